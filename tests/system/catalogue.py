"""The guests that are tests, from guests/catalogue, and how their output is compared."""

import dataclasses
import functools
import re

from nestbed_lib import bochs, guest_list, machine, paths
from nestbed_lib.boot import nestbed_boot
from nestbed_lib.experiment import Experiment

NO_EPT = "-no-ept"
RESULT_LINE = re.compile(r"^\s*# \{.*\n", re.MULTILINE)
POINT = re.compile(r"^\s*(not )?ok \d+", re.MULTILINE)
PLAN = re.compile(r"^\s*1\.\.(\d+)$", re.MULTILINE)
LIMITS = machine.Limits(silence=60, total=900)


class Guest(guest_list.Guest):
    """One line of the catalogue, as a machine to run."""

    def boot(self, l1_words: str = ""):
        """The machine that runs it as L2."""
        return nestbed_boot(paths.built(f"guests/{self.image}"), self.words, l1_words=l1_words)


def read() -> list[Guest]:
    """All guests of the catalogue."""
    return [Guest(**dataclasses.asdict(guest)) for guest in guest_list.read()]


def tap(outcome: machine.Outcome) -> str:
    """A guest's report without the figures, which differ; it must be complete and good."""
    text = RESULT_LINE.sub("", outcome.serial)
    assert outcome.end is machine.End.GOOD, (outcome.end, outcome.events, text[-2000:])
    planned = sum(int(count) for count in PLAN.findall(text))  # a hypervisor's and its guests'
    failed = POINT.findall(text)
    assert planned and len(failed) == planned and not any(failed), text
    return text


def run(boot) -> str:
    """Runs a machine on Bochs; its report."""
    return tap(machine.run(bochs.Bochs(), boot, limits=LIMITS))


@functools.cache
def native(guest: Guest) -> str:
    """The guest's report without Nestbed, on the same platform."""
    return run(guest.boot("native=on"))


def all_ways() -> list[str]:
    """Every combination of ways, as words for L1."""
    combinations = Experiment.load().combinations()
    return [" ".join(f"{axis}={way}" for axis, way in ways.items()) for ways in combinations]


def without_ept(ways: str) -> bool:
    """Whether L2 is offered no EPT under these ways."""
    return "ept=shadow-on-ept" in ways
