"""Each test guest says the same natively and as L2, under every way and on every platform."""

import catalogue
import pytest
from catalogue import Guest, Place, case_name

GUESTS = catalogue.read()
NAMES = {guest.name for guest in GUESTS}
PLAIN_CASES = [(g, place) for place in catalogue.PLACES for g in GUESTS if g.runs_in(place)]


def guests_for(place: Place, ways: str) -> list[Guest]:
    """The guests that can run under these ways: without nested paging, the twins that do not use
    it."""
    end = place.no_nested_paging
    there = [guest for guest in GUESTS if guest.runs_in(place)]
    if place.offers_nested_paging(ways):
        return [guest for guest in there if not guest.name.endswith(end)]
    return [guest for guest in there if guest.name + end not in NAMES]


WAYS_CASES = [
    (guest, place, ways)
    for place in catalogue.PLACES
    for ways in catalogue.some_ways(place)
    for guest in guests_for(place, ways)
]


@pytest.mark.parametrize("guest, place", PLAIN_CASES, ids=[case_name(*c) for c in PLAIN_CASES])
def test_a_guest_passes_natively_and_as_l2(guest, place):
    assert catalogue.run(guest.boot(), place) == catalogue.native(guest, place)


@pytest.mark.parametrize("guest, place, ways", WAYS_CASES, ids=[case_name(*c) for c in WAYS_CASES])
def test_every_way_gives_the_same_results(guest, place, ways):
    assert catalogue.run(guest.boot(ways), place) == catalogue.native(guest, place)
