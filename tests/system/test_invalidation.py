"""The invalidations that L1 executes. An emulator hides a missing one, so they are counted.

Bochs for VMX, then TCG for SVM: what is counted is what L1 does, whatever the platform makes of it.
"""

import functools

import catalogue
import pytest
from nestbed_lib import bochs, machine, paths, qemu
from nestbed_lib.boot import nestbed_boot

MEMORY = 64
FEW, MANY = 13, 25  # rounds; more than the EPTPs that the guest uses in turn


@functools.cache
def outcome(
    op: str, rounds: int, ways: str, address: int = 0, svm: bool = False
) -> machine.Outcome:
    """A run of the guest; it has checked that its changes took effect."""
    words = f"op={op} n={rounds} at={address}"
    boot = nestbed_boot(paths.image("invalidation"), words, l1_words=ways, memory=MEMORY)
    done = machine.run(qemu.Qemu() if svm else bochs.Bochs(), boot, limits=catalogue.LIMITS)
    catalogue.tap(done)
    return done


def per_round(op: str, ways: str = "", address: int = 0) -> tuple[float, float]:
    """INVEPTs and INVVPIDs that L1 executed in one round of the operation."""
    few, many = (
        outcome(op, rounds, ways, address).of_kind("accesses")[0] for rounds in (FEW, MANY)
    )
    return tuple((many[name] - few[name]) / (MANY - FEW) for name in ("invepts", "invvpids"))


@pytest.mark.parametrize("ways", ["vmcs=shadow merge=dirty", "vmcs=trap merge=full"])
@pytest.mark.parametrize("tlb", ["vpid", "flush"])
@pytest.mark.parametrize("op", ["invept-single", "invept-global", "drop"])
def test_what_l2_invalidates_in_its_tables_is_invalidated_before_l3_runs(op, tlb, ways):
    invepts, invvpids = per_round(op, f"{ways} tlb={tlb}")
    assert (invepts, invvpids) == (1, 0)


@pytest.mark.parametrize("op", ["invvpid-address", "invvpid-single"])
def test_what_l2_invalidates_of_a_vpid_is_invalidated(op):
    assert per_round(op, "tlb=vpid") == (0, 1)


def test_all_vpids_of_l2_are_invalidated():
    invepts, invvpids = per_round("invvpid-all", "tlb=vpid")
    assert invepts == 0 and invvpids >= 1


@pytest.mark.parametrize("op", ["invvpid-single", "invvpid-all", "vpid", "no-vpid"])
def test_without_vpids_every_switch_invalidates_by_itself(op):
    assert per_round(op, "tlb=flush") == (0, 0)


@pytest.mark.parametrize("op", ["none", "eptp"])
def test_nothing_is_invalidated_without_need(op):
    assert per_round(op, "tlb=vpid") == (0, 0)


def test_a_merged_table_that_serves_another_eptp_is_invalidated():
    assert per_round("eptps", "tlb=vpid") == (1, 0)


def test_a_vpid_that_serves_another_one_is_invalidated():
    assert per_round("vpid", "tlb=vpid") == (0, 1)


def test_a_switch_without_vpid_invalidates_both_levels():
    """At the entry what L3 has of the time before, at the exit what L2 has."""
    invepts, invvpids = per_round("no-vpid", "tlb=vpid")
    assert invepts == 0 and invvpids >= 2


def test_a_change_of_ways_leaves_no_translation_of_a_time_before():
    invepts, invvpids = per_round("ways", "tlb=vpid")
    assert invepts >= 1 and invvpids >= 1


def test_absent_memory_that_was_written_is_taken_back():
    start = outcome("none", FEW, "tlb=vpid").of_kind("start")[0]
    invepts, _ = per_round("absent", "tlb=vpid", start["memory_from"])
    assert invepts >= 1


def svm_per_round(op: str, ways: str = "", address: int = 0) -> tuple[float, float]:
    """VMRUNs with a flush, and INVLPGAs, that L1 executed in one round of the operation."""
    few, many = (
        outcome(op, rounds, ways, address, svm=True).of_kind("accesses")[0]
        for rounds in (FEW, MANY)
    )
    return tuple((many[name] - few[name]) / (MANY - FEW) for name in ("tlb_flushes", "invlpgas"))


@pytest.mark.parametrize("vmcb", ["clean-bits", "copy-all"])
@pytest.mark.parametrize("op", ["flush-all", "flush-asid", "flush-non-global", "drop"])
def test_svm_what_l2_flushes_is_flushed_before_l3_runs(op, vmcb):
    """APM 2 "TLB Flush" (15.16.2)."""
    assert svm_per_round(op, f"vmcb={vmcb} tlb=asid") == (1, 0)


@pytest.mark.parametrize("op, flushes", [("invlpga", 1), ("invlpga-own", 0)])
def test_svm_invlpga_of_l2_is_executed_for_its_asid(op, flushes):
    """APM 2 "Invalidate Page, Alternate ASID" (15.16.3). Behind an address of L3's any entry of the
    merged table may be, so that a flush follows; behind one of L2's own there is none."""
    assert svm_per_round(op, "tlb=asid") == (flushes, 1)


@pytest.mark.parametrize("op", ["ncr3", "ncr3s", "asid"])
def test_svm_another_merged_table_for_a_vmcb_is_flushed(op):
    """Its ASID may have translations of the table before."""
    assert svm_per_round(op, "tlb=asid") == (1, 0)


def test_svm_nothing_is_flushed_without_need():
    assert svm_per_round("none", "tlb=asid") == (0, 0)


@pytest.mark.parametrize("op", ["none", "flush-all", "ncr3"])
def test_svm_without_asids_every_switch_flushes(op):
    """Into L3 and out of it."""
    flushes, invlpgas = svm_per_round(op, "tlb=flush")
    assert flushes >= 2 and invlpgas == 0


def test_svm_a_change_of_ways_leaves_no_translation_of_a_time_before():
    flushes, _ = svm_per_round("ways", "tlb=asid")
    assert flushes >= 1


def test_svm_absent_memory_that_was_written_is_taken_back():
    start = outcome("none", FEW, "tlb=asid", svm=True).of_kind("start")[0]
    flushes, _ = svm_per_round("absent", "tlb=asid", start["memory_from"])
    assert flushes >= 1
