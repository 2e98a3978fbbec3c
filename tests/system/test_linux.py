"""Debian's own Linux as L2: it reaches user space on one and two CPUs, at almost no cost."""

import json

import pytest
from nestbed_lib import paths

OVERHEAD_PERCENT_MAX = 1.0


@pytest.mark.parametrize("cpus", [1, 2])
def test_linux_boots_as_l2(nestbed, tmp_path, cpus):
    """To user space, commands run, KVM loads; at most 1 % more instructions than native."""
    file = tmp_path / "linux.json"
    said = nestbed("linux", "--cpus", cpus, "--command", "nproc", "--json", file)
    assert said.status == 0, said.out + said.err
    result = json.loads(file.read_text())
    assert f"# command: nproc\n    {cpus}\nok 4 - nproc" in result["serial"]
    assert "# kvm-intel: nested=Y" in result["serial"]
    assert result["overhead_percent"] <= OVERHEAD_PERCENT_MAX
    start = next(event for event in result["log"] if event["ev"] == "start")
    assert start["cpus"] == cpus
    assert "CPUID" in said.out and "native" in said.out


def test_kvm_runs_its_guest_on_nestbed(nestbed):
    """Linux's own KVM as the hypervisor in L2: the bench is its guest, L3 of Nestbed."""
    client, bench = (paths.BUILD / name for name in ("tools/kvmclient", "guests/bench.elf"))
    said = nestbed(
        *("linux", "--no-compare", "--memory", 384, "--file", client, "--file", bench),
        *("--strategy", "vmcs=shadow,vmcs.fields=kvm,merge=dirty", "--command"),
        f"/{client.name} /{bench.name} 'bench ops=cpuid,wrmsr,in,touch n=20 cold=off level=3'",
    )
    assert said.status == 0, said.out + said.err
    lines = said.out.splitlines()
    assert "    1..4" in lines
    for number, op in enumerate(("cpuid", "wrmsr", "in", "touch"), 1):
        assert f"    ok {number} - {op} warm" in lines


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
