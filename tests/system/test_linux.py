"""Debian's own Linux as L2: it reaches user space on one and two CPUs, at almost no cost."""

import json

import pytest

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
