"""L2 starts its CPUs: as natively, through either face of the local APIC, and only those it has."""

import pytest

from catalogue import BOCHS, EPYC, PHENOM, RYZEN, TCG, case_name
from nestbed_lib import paths

LINES = 6  # a plan and its points
# No CPU model with SVM has an x2APIC. TCG runs more CPUs than its host has, but not in time.
CASES = [
    (place, cpus, apic)
    for place, most, apics in (
        (BOCHS, 4, ("xapic", "x2apic")),
        (RYZEN, 4, ("xapic",)),
        (PHENOM, 4, ("xapic",)),
        (TCG, 2, ("xapic",)),
        (EPYC, 2, ("xapic",)),
    )
    for cpus in (1, 2, 4)
    for apic in apics
    if cpus <= most
]


@pytest.mark.parametrize("place, cpus, apic", CASES, ids=[case_name(*c) for c in CASES])
def test_l2_starts_its_cpus(nestbed, place, cpus, apic):
    """The same report natively and as L2."""
    platform = place.platform
    arguments = ["--platform", platform.name, "--cpu", platform.cpu_model]
    arguments += ["--l2", "smp", "--cpus", cpus, "--append", f"cpus={cpus} apic={apic}"]
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


@pytest.mark.parametrize("machine", [[], ["--platform", "bochs", "--cpu", "ryzen"]])
def test_a_nestbed_in_nestbed_starts_its_cpus(nestbed, machine):
    """Two levels of Nestbed, both with two CPUs."""
    inner = ["--l2", paths.built("nestbed.elf"), "--append", "nested=off"]
    inner += ["--module", f"{paths.built('guests/smp.elf')} cpus=2"]
    said = nestbed("run", *machine, "--cpus", 2, *inner)
    assert said.status == 0, said.out + said.err
