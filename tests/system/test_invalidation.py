"""The invalidations that L1 executes. An emulator hides a missing one, so they are counted."""

import functools

import catalogue
import pytest
from nestbed_lib import bochs, machine, paths
from nestbed_lib.boot import nestbed_boot

MEMORY = 64
FEW, MANY = 13, 25  # rounds; more than the EPTPs that the guest uses in turn


@functools.cache
def outcome(op: str, rounds: int, ways: str, address: int = 0) -> machine.Outcome:
    """A run of the guest; it has checked that its changes took effect."""
    words = f"op={op} n={rounds} at={address}"
    boot = nestbed_boot(paths.image("invalidation"), words, l1_words=ways, memory=MEMORY)
    done = machine.run(bochs.Bochs(), boot, limits=catalogue.LIMITS)
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
