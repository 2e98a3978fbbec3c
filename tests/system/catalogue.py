"""The guests that are tests, from guests/catalogue, the machines that they are tested on, and how
their output is compared."""

import dataclasses
import functools
import re

from nestbed_lib import bochs, experiment, guest_list, machine, paths, qemu
from nestbed_lib.boot import Boot, nestbed_boot
from nestbed_lib.experiment import Half
from nestbed_lib.guest_list import SVM, VMX

# Names of guests for ways in which L2 is not offered nested paging end so.
NO_NESTED_PAGING = {VMX: "-no-ept", SVM: "-no-npt"}
WITHOUT_NESTED_PAGING = {VMX: "ept=shadow-on-ept", SVM: "npt=shadow-on-npt"}
RESULT_LINE = re.compile(r"^\s*# \{.*\n", re.MULTILINE)
POINT = re.compile(r"^\s*(not )?ok \d+", re.MULTILINE)
PLAN = re.compile(r"^\s*1\.\.(\d+)$", re.MULTILINE)
LIMITS = machine.Limits(silence=60, total=900)


@dataclasses.dataclass(frozen=True)
class Place:
    """A platform with a CPU model, and the ways that L1 refuses there."""

    name: str
    extension: str
    platform: machine.Platform
    lacking: frozenset[str] = frozenset()

    @property
    def half(self) -> Half:
        """The experiment's half, with the ways that are possible here."""
        return experiment.load()[self.extension].without(self.lacking)

    @property
    def no_nested_paging(self) -> str:
        """How names of guests end that do without nested paging."""
        return NO_NESTED_PAGING[self.extension]

    def offers_nested_paging(self, ways: str) -> bool:
        """Whether L2 is offered EPT or NPT under these ways."""
        return WITHOUT_NESTED_PAGING[self.extension] not in ways


BOCHS = Place("bochs", VMX, bochs.Bochs())
TCG = Place("tcg", SVM, qemu.Qemu(), frozenset({"vls=virtual"}))
NO_VIRTUAL = frozenset({"vls=virtual", "gif=virtual"})
EPYC = Place("tcg-epyc", SVM, qemu.Qemu(cpu="EPYC,+svm,+npt"), NO_VIRTUAL)
RYZEN = Place("ryzen", SVM, bochs.Bochs(model="ryzen"), NO_VIRTUAL)
PHENOM = Place("phenom", SVM, bochs.Bochs(model="phenom_8650_toliman"), NO_VIRTUAL)
PLACES = (BOCHS, TCG, EPYC, RYZEN, PHENOM)
# Where every combination of ways is tested; elsewhere each way alone.
MAIN_PLACES = (BOCHS, TCG)


class Guest(guest_list.Guest):
    """One line of the catalogue, as a machine to run."""

    def boot(self, l1_words: str = "") -> Boot:
        """The machine that runs it as L2."""
        return nestbed_boot(paths.built(f"guests/{self.image}"), self.words, l1_words=l1_words)

    def runs_in(self, place: Place) -> bool:
        """Whether it runs natively there too."""
        return self.platforms in ("any", place.extension)


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


def run(boot: Boot, place: Place = BOCHS) -> str:
    """Runs a machine; its report."""
    return tap(machine.run(place.platform, boot, limits=LIMITS))


@functools.cache
def native(guest: Guest, place: Place) -> str:
    """The guest's report without Nestbed, on the same platform."""
    return run(guest.boot("native=on"), place)


def words(ways: experiment.Ways) -> str:
    """Ways as words for L1."""
    return " ".join(f"{axis}={way}" for axis, way in ways.items())


def all_ways(place: Place) -> list[str]:
    """Every combination of ways, as words for L1."""
    return [words(ways) for ways in place.half.combinations()]


def some_ways(place: Place) -> list[str]:
    """Every combination where that is tested, else each way alone."""
    if place in MAIN_PLACES:
        return all_ways(place)
    return [words(ways) for ways in place.half.variations()]


def case_name(*parts) -> str:
    """A name for a test case."""
    return "-".join(getattr(part, "name", str(part)).replace(" ", ",") for part in parts)
