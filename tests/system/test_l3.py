"""A guest hypervisor and its guest say the same natively and under Nestbed, in every way."""

import functools

import catalogue
import pytest
from catalogue import BOCHS, TCG, Place, case_name
from nestbed_lib import paths, results
from nestbed_lib.boot import nestbed_boot
from nestbed_lib.experiment import words

L3_WORDS = {"bench": "n=5 cold=on tap=sub", "paging": ""}
# TCG does not page as the processor does it.
L3_IN = {BOCHS: ("bench", "paging"), TCG: ("bench",)}
PROFILES = ("minimal", "kvm", "haxm", "5+2")
NESTED_PAGING_WORD = {"vmx": "ept", "svm": "npt"}  # of hv
WAYS_CASES = [
    (l3, place, ways)
    for place, guests in L3_IN.items()
    for l3 in guests
    for ways in catalogue.all_ways(place)
]


def boot(l3: str, hv_words: str, l1_words: str = ""):
    """The project's hypervisor with that guest."""
    return nestbed_boot(
        paths.image("hv"), hv_words, paths.image(l3), L3_WORDS[l3], l1_words=l1_words
    )


def hv_words(place: Place, profile: str, nested_paging: bool) -> str:
    """The words of hv."""
    switch = "on" if nested_paging else "off"
    return f"profile={profile} {NESTED_PAGING_WORD[place.extension]}={switch}"


@functools.cache
def native(place: Place, l3: str, words_of_hv: str) -> str:
    """What both say when the platform's extension is used directly."""
    return catalogue.run(boot(l3, words_of_hv, "native=on"), place)


@pytest.mark.parametrize("l3, place, ways", WAYS_CASES, ids=[case_name(*c) for c in WAYS_CASES])
def test_every_way_gives_the_same_results(l3, place, ways):
    alike = hv_words(place, "kvm", place.offers_nested_paging(ways))
    assert catalogue.run(boot(l3, "profile=kvm", ways), place) == native(place, l3, alike)


@pytest.mark.parametrize("place", L3_IN, ids=case_name)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("nested_paging", [True, False])
def test_every_profile_gives_the_same_results(place, profile, nested_paging):
    told = hv_words(place, profile, nested_paging)
    assert catalogue.run(boot("bench", told), place) == native(place, "bench", told)


@pytest.mark.parametrize("place", L3_IN, ids=case_name)
def test_ways_can_change_between_two_measurements_of_one_boot(run_in, place):
    half = place.half
    combinations = half.combinations()
    ways_word = ";".join(words(ways) for ways in combinations)
    outcome = run_in(place, boot("bench", f"profile=kvm ways={ways_word}"))
    catalogue.tap(outcome)
    rows = results.parse(outcome.serial, {}, {})
    seen = {words({axis: row[axis] for axis in half.axes}) for row in rows}
    assert seen == {words(ways) for ways in combinations}
    changes = [{axis: event[axis] for axis in half.axes} for event in outcome.of_kind("strategy")]
    assert [change for change in changes if change in combinations][-1] == combinations[-1]
