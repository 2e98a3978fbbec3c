"""Guests that misbehave with VMX are contained, and what they printed before is kept."""

import dataclasses

import catalogue
import pytest
from nestbed_lib.machine import End, Limits

HOSTILE = {guest.name: guest for guest in catalogue.read() if guest.platforms == "l2-vmx"}
SEEDS = range(1, 4)
SHORT = Limits(silence=5, total=300)


def words_for(ways: str, name: str) -> str:
    """The variant of a guest that these ways allow."""
    return name + catalogue.NO_EPT if catalogue.without_ept(ways) else name


@pytest.mark.parametrize("ways", catalogue.all_ways(), ids=lambda ways: ways.replace(" ", ","))
def test_pointers_to_memory_of_others_find_nothing(ways):
    catalogue.run(HOSTILE[words_for(ways, "hostile-point")].boot(ways))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ways", ["vmcs=trap merge=full", "vmcs=shadow merge=dirty"])
def test_random_instructions_are_survived(ways, seed):
    fuzz = HOSTILE["hostile-fuzz"]
    boot = dataclasses.replace(fuzz, words=f"{fuzz.words} seed={seed}").boot(ways)
    catalogue.run(boot)


@pytest.mark.parametrize(
    "name, sentence",
    [("hostile-triple-fault", "triple fault"), ("hostile-abort", "VMX abort")],
)
def test_a_bad_end_is_named(run, name, sentence):
    outcome = run(HOSTILE[name].boot(), SHORT)
    assert outcome.end is End.BAD and outcome.serial.startswith("# before")
    assert any(sentence in text for text in outcome.errors())


@pytest.mark.parametrize("name", ["hostile-spin", "hostile-spin-l3"])
def test_the_watchdog_ends_what_never_ends(run, name):
    outcome = run(HOSTILE[name].boot(), SHORT)
    assert outcome.end is End.SILENT and outcome.serial.startswith("# before")
