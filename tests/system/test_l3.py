"""A guest hypervisor and its guest say the same natively and under Nestbed, in every way."""

import functools

import catalogue
import pytest
from nestbed_lib import paths, results
from nestbed_lib.boot import nestbed_boot
from nestbed_lib.experiment import Experiment, words

L3_WORDS = {"bench": "n=5 cold=on tap=sub", "paging": ""}
PROFILES = ("minimal", "kvm", "haxm", "5+2")


def boot(l3: str, hv_words: str, l1_words: str = ""):
    """The project's hypervisor with that guest."""
    return nestbed_boot(
        paths.image("hv"), hv_words, paths.image(l3), L3_WORDS[l3], l1_words=l1_words
    )


@functools.cache
def native(l3: str, hv_words: str) -> str:
    """What both say when the platform's VMX is used directly."""
    return catalogue.run(boot(l3, hv_words, "native=on"))


@pytest.mark.parametrize("l3", L3_WORDS)
@pytest.mark.parametrize("ways", catalogue.all_ways(), ids=lambda ways: ways.replace(" ", ","))
def test_every_way_gives_the_same_results(l3, ways):
    ept = "off" if catalogue.without_ept(ways) else "on"
    assert catalogue.run(boot(l3, "profile=kvm", ways)) == native(l3, f"profile=kvm ept={ept}")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("ept", ["on", "off"])
def test_every_profile_gives_the_same_results(profile, ept):
    hv_words = f"profile={profile} ept={ept}"
    assert catalogue.run(boot("bench", hv_words)) == native("bench", hv_words)


def test_ways_can_change_between_two_measurements_of_one_boot(run):
    combinations = Experiment.load().combinations()
    ways_word = ";".join(words(ways) for ways in combinations)
    outcome = run(boot("bench", f"profile=kvm ways={ways_word}"))
    catalogue.tap(outcome)
    rows = results.parse(outcome.serial, {}, {})
    seen = {words({axis: row[axis] for axis in results.AXES}) for row in rows}
    assert seen == {words(ways) for ways in combinations}
    changes = [
        {axis: event[axis] for axis in results.AXES} for event in outcome.of_kind("strategy")
    ]
    assert [change for change in changes if change in combinations][-1] == combinations[-1]
