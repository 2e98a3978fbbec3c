"""An experiment's file: what is run, under which ways, and what others measured.

It has a half for each extension (VMX, SVM). All that differs between them is in the file.
"""

import dataclasses
import itertools
import tomllib

from . import paths

Ways = dict[str, str]


@dataclasses.dataclass(frozen=True)
class Reference:
    """A figure that others measured, and what ours must not exceed."""

    level: int
    op: str
    ways: Ways
    profile: str | None
    ticks: int
    exits: int | None = None
    at_most: int | None = None
    lengths: int = 0  # of instructions, which they had to find

    def matches(self, row: dict) -> bool:
        """Whether a result row is the same measurement."""
        same = {"level": self.level, "op": self.op, "profile": self.profile, "state": "warm"}
        return all(row[name] == value for name, value in (same | self.ways).items())


@dataclasses.dataclass(frozen=True)
class References:
    """All that others measured on one platform."""

    name: str
    what: str
    platform: str
    rows: list[Reference]
    length_ticks: int = 0
    note: str = ""

    def find(self, row: dict) -> Reference | None:
        """What they measured where we measured this row."""
        if row["platform"] != self.platform:
            return None
        return next((reference for reference in self.rows if reference.matches(row)), None)

    def ticks_for_lengths(self, reference: Reference) -> int:
        """About how many of its ticks are for finding lengths of instructions."""
        return reference.lengths * self.length_ticks


@dataclasses.dataclass(frozen=True)
class Series:
    """Measurements of one level that belong together: a colour of the picture."""

    level: int
    label: str
    ways: Ways
    profile: str | None


@dataclasses.dataclass(frozen=True)
class Half:
    """The experiment with one extension."""

    extension: str
    platform: str  # where it is measured on a machine without the extension
    n: int
    memory: int
    ops: dict[int, list[str]]  # by level
    profile: str
    more_profiles: list[str]
    axes: dict[str, list[str]]
    counts: list[str]  # what L1 counts beside the hardware exits
    counts_only: list[str]
    series: list[Series]
    references: References

    @classmethod
    def load(cls, extension: str, own: dict, common: dict) -> "Half":
        """From the file's table of a half and what both halves share."""
        first = {axis: ways[0] for axis, ways in own["ways"].items()}

        def completed(row: dict) -> dict:
            profile = common["profile"] if row["level"] == 3 else None
            return {"profile": profile, **row, "ways": first | row.get("ways", {})}

        told = dict(own["reference"])
        rows = [Reference(**completed(row)) for row in told.pop("row")]
        return cls(
            extension=extension,
            platform=own["platform"],
            n=common["n"],
            memory=common["memory"],
            ops={2: common["ops"] + own["l2_ops"], 3: common["ops"]},
            profile=common["profile"],
            more_profiles=common["more_profiles"],
            axes=own["ways"],
            counts=own["counts"],
            counts_only=common["counts_only"],
            series=[Series(**completed(row)) for row in own["series"]],
            references=References(**told, rows=rows),
        )

    @property
    def reference_ways(self) -> Ways:
        """The first way of every axis."""
        return {axis: ways[0] for axis, ways in self.axes.items()}

    def combinations(self) -> list[Ways]:
        """Every combination of ways."""
        return [dict(zip(self.axes, ways)) for ways in itertools.product(*self.axes.values())]

    def single_ways(self) -> list[tuple[str, str]]:
        """Each axis with each of its ways but the reference one."""
        return [(axis, way) for axis, ways in self.axes.items() for way in ways[1:]]

    def variations(self) -> list[Ways]:
        """The reference ways, and those that differ from them in one axis."""
        first = self.reference_ways
        return [first] + [first | {axis: way} for axis, way in self.single_ways()]

    def series_ways(self) -> list[Ways]:
        """The ways of the series, each once."""
        found = []
        for series in self.series:
            if series.ways not in found:
                found.append(series.ways)
        return found

    def without(self, lacking: set[str]) -> "Half":
        """The half on a platform that lacks these ways, each as axis=way."""
        axes = {
            axis: [way for way in ways if f"{axis}={way}" not in lacking]
            for axis, ways in self.axes.items()
        }
        there = [
            series
            for series in self.series
            if all(way in axes[axis] for axis, way in series.ways.items())
        ]
        return dataclasses.replace(self, axes=axes, series=there)

    def variation_name(self, ways: Ways) -> str:
        """What a variation changes."""
        changed = [f"{axis}={way}" for axis, way in ways.items() if self.axes[axis][0] != way]
        return " ".join(changed) or "reference"


def load(name: str = "exit-cost") -> dict[str, Half]:
    """The halves of experiments/<name>.toml by extension."""
    with open(paths.ROOT / "experiments" / f"{name}.toml", "rb") as file:
        content = tomllib.load(file)
    return {key: Half.load(key, own, content) for key, own in content["half"].items()}


def words(ways: Ways) -> str:
    """Ways as L1 and the guest hypervisor read them."""
    return ",".join(f"{axis}={way}" for axis, way in ways.items())
