"""The contract of scripts/nestbed that other scripts rely on."""

import json
import subprocess

import pytest
import tiny
from catalogue import BOCHS, RYZEN, TCG
from conftest import TOOL
from nestbed_lib import paths
from nestbed_lib.boot import Module, nestbed_boot

QUICK = "ops=empty,cpuid n=3 cold=off"
# With more CPUs the time stands still within an emulator's turn, and `empty` takes no tick.
L3_WORDS = "ops=cpuid,touch n=3 tap=sub"


def test_status_zero_means_that_the_guest_did_well(nestbed):
    said = nestbed("run", "--append", QUICK)
    assert said.status == 0 and said.err == ""
    assert "\nok 2 - cpuid warm\n" in said.out


def test_a_guest_that_fails_gives_a_status(nestbed):
    said = nestbed("run", "--append", "ops=juggle")
    assert said.status == 1
    assert "unknown operation 'juggle'" in said.out


def test_a_guest_is_named_by_file_or_by_name(nestbed):
    by_name = nestbed("run", "--l2", "bench", "--append", QUICK)
    by_file = nestbed("run", "--l2", paths.BUILD / "guests" / "bench.elf", "--append", QUICK)
    assert by_name == by_file and by_name.status == 0


def test_native_runs_without_nestbed(nestbed):
    said = nestbed("run", "--native", "--append", QUICK)
    assert said.status == 0
    assert "hw_exits_per_op" not in said.out


def test_l3_is_handed_to_the_l2_hypervisor(nestbed):
    said = nestbed("run", "--l3", "bench", "--l3-append", f"{QUICK} tap=sub")
    assert said.status == 0
    assert '"level":3' in said.out


def test_the_result_file_tells_everything(nestbed, tmp_path):
    file = tmp_path / "run.json"
    ways = ["--strategy", "vmcs=shadow,merge=dirty", "--strategy", "tlb=flush"]
    said = nestbed("run", "--append", QUICK, *ways, "--json", file)
    assert said.status == 0
    result = json.loads(file.read_text())
    assert result["platform"] == "bochs" and result["end"] == "good"
    expected = {"vmcs": "shadow", "merge": "dirty", "ept": "nested-lazy", "tlb": "flush"}
    assert result["strategies"] == expected
    assert result["serial"] == said.out
    assert {"start", "exits", "accesses"} <= {event["ev"] for event in result["log"]}


def test_the_result_file_tells_the_backend(nestbed, tmp_path):
    file = tmp_path / "run.json"
    said = nestbed("run", "--strategy", "gif=virtual", "--append", QUICK, "--json", file)
    assert said.status == 0, said.err
    result = json.loads(file.read_text())
    assert (result["platform"], result["cpu_model"], result["backend"]) == ("tcg", "max", "svm")
    expected = {"vmcb": "clean-bits", "vls": "trap", "gif": "virtual", "npt": "nested-lazy"}
    assert result["strategies"] == expected | {"tlb": "asid"}


def test_the_exit_table_is_printed_on_request(nestbed):
    said = nestbed("run", "--append", QUICK, "--exits", "--l1-append", "stats=full")
    assert said.status == 0
    assert "CPUID" in said.err and "ticks min" in said.err


def test_modules_and_words_reach_l2(run, image):
    # movl 20(%ebx), %eax is mods_count of the Multiboot information; cmp $2, %eax
    check = bytes.fromhex("8b4314" "83f802" "75") + bytes([len(tiny.LEAVE_WELL)])
    kernel = image(tiny.multiboot(check + tiny.LEAVE_WELL + tiny.TRIPLE_FAULT), "kernel")
    for count in (1, 2, 3):
        files = [image(b"content", f"module{i}") for i in range(count)]
        modules = tuple(Module(file, file.name, "some words") for file in files)
        assert run(nestbed_boot(kernel, modules=modules)).good == (count == 2)


@pytest.mark.parametrize("place, cpus", [(BOCHS, 1), (BOCHS, 2), (BOCHS, 4), (TCG, 1), (RYZEN, 1)])
def test_two_runs_are_identical(run_in, place, cpus):
    boot = nestbed_boot(
        paths.image("hv"), "profile=kvm", paths.image("bench"), L3_WORDS, cpus=cpus
    )
    first, second = run_in(place, boot), run_in(place, boot)
    assert first.good
    assert (first.serial, first.events) == (second.serial, second.events)
    assert first.of_kind("start")[0]["cpus"] == cpus


@pytest.mark.parametrize(
    "command",
    [[], *([name] for name in "run bench linux peer conformance debug platforms".split())],
)
def test_every_command_explains_itself(nestbed, command):
    said = nestbed(*command, "--help")
    assert said.status == 0
    if command:
        assert "examples:" in said.out


def test_the_debugger_of_bochs_knows_l1s_symbols():
    done = subprocess.run(
        [TOOL, "debug", "--append", QUICK],
        input='lb "boot_main"\nc\nq\n',
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "boot_main+0" in done.stdout
