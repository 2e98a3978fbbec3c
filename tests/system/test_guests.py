"""Each test guest says the same natively and as L2 of Nestbed, under every way."""

import catalogue
import pytest

GUESTS = [guest for guest in catalogue.read() if guest.platforms in ("vmx", "any")]
TWINS = {guest.name + catalogue.NO_EPT: guest.name for guest in GUESTS}


def guests_for(ways: str) -> list[catalogue.Guest]:
    """The guests that can run under these ways: without EPT, the twins that do not use it."""
    names = {guest.name for guest in GUESTS}
    if catalogue.without_ept(ways):
        return [g for g in GUESTS if g.name + catalogue.NO_EPT not in names]
    return [g for g in GUESTS if not g.name.endswith(catalogue.NO_EPT)]


CASES = [(guest, ways) for ways in catalogue.all_ways() for guest in guests_for(ways)]


@pytest.mark.parametrize("guest", GUESTS, ids=lambda guest: guest.name)
def test_a_guest_passes_natively_and_as_l2(guest):
    assert catalogue.run(guest.boot()) == catalogue.native(guest)


@pytest.mark.parametrize(
    "guest, ways", CASES, ids=[f"{guest.name}-{ways.replace(' ', ',')}" for guest, ways in CASES]
)
def test_every_way_gives_the_same_results(guest, ways):
    assert catalogue.run(guest.boot(ways)) == catalogue.native(guest)
