"""L2 starts its CPUs: as natively, through either face of the local APIC, and only those it has."""

import pytest

from nestbed_lib import paths

LINES = 6  # a plan and its points


@pytest.mark.parametrize("apic", ["xapic", "x2apic"])
@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_l2_starts_its_cpus(nestbed, cpus, apic):
    """The same report natively and as L2."""
    arguments = ["--l2", "smp", "--cpus", cpus, "--append", f"cpus={cpus} apic={apic}"]
    here = nestbed("run", *arguments)
    assert here.status == 0, here.out + here.err
    assert len(here.out.splitlines()) == LINES
    assert here.out == nestbed("run", "--native", *arguments).out


def test_l2_cannot_start_a_cpu_that_it_was_not_given(nestbed):
    """A machine with two CPUs, of which L1 gives L2 one."""
    said = nestbed(
        "run", "--l2", "smp", "--cpus", 2, "--append", "cpus=1", "--l1-append", "cpus=1"
    )
    assert said.status == 0, said.out + said.err


def test_a_nestbed_in_nestbed_starts_its_cpus(nestbed):
    """Two levels of Nestbed, both with two CPUs."""
    inner = ["--l2", paths.built("nestbed.elf"), "--append", "nested=off"]
    inner += ["--module", f"{paths.built('guests/smp.elf')} cpus=2"]
    said = nestbed("run", "--cpus", 2, *inner)
    assert said.status == 0, said.out + said.err
