"""Debian's own Linux as L2: it reaches user space at almost no cost, and its KVM runs guests."""

import json

import pytest
from nestbed_lib import paths

OVERHEAD_PERCENT_MAX = 1.0


def check_boot(nestbed, file, cpus: int, module: str, *arguments: object) -> None:
    """To user space, commands run, KVM loads; at most 1 % more instructions than native."""
    told = ("--cpus", cpus, "--command", "nproc", "--json", file, *arguments)
    said = nestbed("linux", *told)
    assert said.status == 0, said.out + said.err
    result = json.loads(file.read_text())
    assert f"# command: nproc\n    {cpus}\nok 4 - nproc" in result["serial"]
    assert f"# {module}: nested=" in result["serial"]
    assert result["overhead_percent"] <= OVERHEAD_PERCENT_MAX
    start = next(event for event in result["log"] if event["ev"] == "start")
    assert start["cpus"] == cpus
    assert "CPUID" in said.out and "native" in said.out


@pytest.mark.parametrize("cpus", [1, 2])
def test_linux_boots_as_l2(nestbed, tmp_path, cpus):
    """On VMX, with one CPU and with two."""
    check_boot(nestbed, tmp_path / "linux.json", cpus, "kvm-intel", "--platform", "bochs")


@pytest.mark.parametrize("cpu", ["max", "EPYC,+svm,+npt"])
def test_linux_boots_as_l2_of_svm(nestbed, tmp_path, cpu):
    """On SVM, with all that TCG can emulate and with little of it."""
    machine = ("--platform", "tcg", "--cpu", cpu)
    check_boot(nestbed, tmp_path / "linux.json", 1, "kvm-amd", *machine)


KVM_RUNS_THE_BENCH = {
    "vmx": ("--platform", "bochs", "--strategy", "vmcs=shadow,vmcs.fields=kvm,merge=dirty"),
    "svm": ("--platform", "tcg"),
    "svm-virtual-gif": ("--platform", "tcg", "--strategy", "gif=virtual"),
    "svm-without-npt": ("--platform", "tcg", "--strategy", "npt=shadow-on-npt"),
}


@pytest.mark.parametrize("machine", KVM_RUNS_THE_BENCH.values(), ids=KVM_RUNS_THE_BENCH)
def test_kvm_runs_its_guest_on_nestbed(nestbed, machine):
    """Linux's own KVM as the hypervisor in L2: the bench is its guest, L3 of Nestbed."""
    client, bench = (paths.BUILD / name for name in ("tools/kvmclient", "guests/bench.elf"))
    said = nestbed(
        *("linux", "--no-compare", "--memory", 384, "--file", client, "--file", bench),
        *(*machine, "--command"),
        f"/{client.name} /{bench.name} 'bench ops=cpuid,wrmsr,in,touch n=20 cold=off level=3'",
    )
    assert said.status == 0, said.out + said.err
    lines = said.out.splitlines()
    assert "    1..4" in lines
    for number, op in enumerate(("cpuid", "wrmsr", "in", "touch"), 1):
        assert f"    ok {number} - {op} warm" in lines


@pytest.mark.long
def test_linux_runs_in_kvm_in_linux_on_nestbed(nestbed, tmp_path):
    """Unmodified Linux as L3, to user space; both levels' exits are told."""
    file = tmp_path / "linux.json"
    machine = ("--platform", "tcg", "--cpu", "EPYC,+svm,+npt")
    said = nestbed("linux", *machine, "--guest", "linux", "--json", file)
    assert said.status == 0, said.out + said.err
    result = json.loads(file.read_text())
    inner = result["serial"].partition("# command:")[2]
    assert "    ok 1 - the kernel reached user space" in inner
    assert result["linux"]["guest_ticks"] > 0
    levels = {row["level"] for row in result["log"] if row["ev"] == "exits"}
    assert levels == {2, 3}
    assert "Exits of KVM's guest" in said.out


def test_kvmclient_says_what_is_wrong(nestbed):
    """One sentence for what it cannot run; the machine goes on."""
    client = paths.BUILD / "tools/kvmclient"
    image = "/etc/session x"
    wrong = (f"/kvmclient {image}", f"/kvmclient -m 1 {image}", f"rm /dev/kvm; /kvmclient {image}")
    words = [word for command in wrong for word in ("--command", command)]
    said = nestbed("linux", "--platform", "tcg", "--native", "--file", client, *words)
    assert said.status == 1
    assert "kvmclient: the L2 image is no Multiboot 1 image" in said.out
    assert "kvmclient: -m 1 is refused: choose 32 to 3072 MiB" in said.out
    assert "kvmclient: there is no /dev/kvm" in said.out


def test_a_missing_file_for_the_guest_is_refused(nestbed):
    """Before anything is booted."""
    said = nestbed("linux", "--file", "no/such/file")
    assert "no/such/file" in said.one_sentence()


def test_a_failing_command_is_a_failing_run(nestbed):
    """The guest's own verdict counts, natively too."""
    said = nestbed("linux", "--native", "--command", "false")
    assert said.status == 1
    assert "not ok 4 - false" in said.out


def test_contradicting_boots_are_refused(nestbed):
    """Neither only the one nor only the other."""
    said = nestbed("linux", "--native", "--no-compare")
    assert "--native and --no-compare" in said.one_sentence()


@pytest.mark.long
def test_the_compressed_kernel_boots_as_l2(nestbed):
    """A bzImage as Debian ships it, which decompresses itself under Nestbed."""
    said = nestbed("linux", "--bzimage", "--no-compare", "--silence", 600)
    assert said.status == 0, said.out + said.err
