"""Guests that misbehave with VMX or SVM are contained, and what they printed before is kept."""

import dataclasses

import catalogue
import pytest
from catalogue import BOCHS, PHENOM, RYZEN, TCG, Guest, Place, case_name
from nestbed_lib.guest_list import SVM, VMX
from nestbed_lib.machine import End, Limits

GUESTS = {guest.name: guest for guest in catalogue.read()}
PREFIXES = {VMX: "hostile-", SVM: "hostile-svm-"}
SEEDS = range(1, 4)
SHORT = Limits(silence=5, total=300)
POINT_CASES = [(place, w) for place in catalogue.MAIN_PLACES for w in catalogue.all_ways(place)]
FUZZ_CASES = [
    (BOCHS, "vmcs=trap merge=full"),
    (BOCHS, "vmcs=shadow merge=dirty"),
    (TCG, "vmcb=copy-all gif=trap"),
    (TCG, "vmcb=clean-bits gif=virtual"),
    (RYZEN, "vmcb=clean-bits"),
    (PHENOM, "vmcb=copy-all"),
]
# QUIRK(bochs-2.7): Bochs does not survive a triple fault where SVM intercepts shutdown.
BAD_ENDS = [
    (BOCHS, "triple-fault", "triple fault"),
    (BOCHS, "abort", "VMX abort"),
    (TCG, "triple-fault", "triple fault"),
    (TCG, "shutdown-l3", "triple fault"),
]
PLACES = pytest.mark.parametrize("place", catalogue.PLACES, ids=case_name)


def hostile(place: Place, name: str) -> Guest:
    """The guest that misbehaves so with the extension of this place."""
    return GUESTS[PREFIXES[place.extension] + name]


@pytest.mark.parametrize("place, ways", POINT_CASES, ids=case_name)
def test_pointers_to_memory_of_others_find_nothing(place, ways):
    end = "" if place.offers_nested_paging(ways) else place.no_nested_paging
    catalogue.run(hostile(place, f"point{end}").boot(ways), place)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("place, ways", FUZZ_CASES, ids=case_name)
def test_random_instructions_are_survived(place, ways, seed):
    fuzz = hostile(place, "fuzz")
    boot = dataclasses.replace(fuzz, words=f"{fuzz.words} seed={seed}").boot(ways)
    catalogue.run(boot, place)


@pytest.mark.parametrize("place", [TCG, RYZEN, PHENOM], ids=case_name)
def test_what_an_emulator_does_not_survive_never_reaches_it(place):
    catalogue.run(hostile(place, "deadly").boot(), place)


def test_a_shutdown_that_is_intercepted_is_an_exit():
    catalogue.run(hostile(TCG, "shutdown").boot(), TCG)


@pytest.mark.parametrize("place, name, sentence", BAD_ENDS, ids=case_name)
def test_a_bad_end_is_named(run_in, place, name, sentence):
    outcome = run_in(place, hostile(place, name).boot(), SHORT)
    assert outcome.end is End.BAD and outcome.serial.startswith("# before")
    assert any(sentence in text for text in outcome.errors())


@PLACES
@pytest.mark.parametrize("name", ["spin", "spin-l3"])
def test_the_watchdog_ends_what_never_ends(run_in, place, name):
    outcome = run_in(place, hostile(place, name).boot(), SHORT)
    assert outcome.end is End.SILENT and outcome.serial.startswith("# before")
    assert outcome.of_kind("trace")
