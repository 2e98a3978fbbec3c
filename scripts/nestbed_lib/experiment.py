"""An experiment's file: what is run, under which ways, and what others measured."""

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
    ticks: int
    exits: int | None = None
    at_most: int | None = None

    def matches(self, row: dict) -> bool:
        """Whether a result row is the same measurement."""
        same = {"level": self.level, "op": self.op, "state": "warm", **self.ways}
        return all(row[name] == value for name, value in same.items())


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The exit-cost experiment."""

    n: int
    memory: int
    ops: dict[int, list[str]]  # by level
    profile: str
    more_profiles: list[str]
    axes: dict[str, list[str]]
    counts_only: list[str]
    reference_name: str
    reference_what: str
    references: list[Reference]

    @classmethod
    def load(cls, name: str = "exit-cost") -> "Experiment":
        """Reads experiments/<name>.toml."""
        with open(paths.ROOT / "experiments" / f"{name}.toml", "rb") as file:
            content = tomllib.load(file)
        reference = content["reference"]
        first = {axis: ways[0] for axis, ways in content["ways"].items()}
        return cls(
            n=content["n"],
            memory=content["memory"],
            ops={2: content["l2"]["ops"], 3: content["l3"]["ops"]},
            profile=content["l3"]["profile"],
            more_profiles=content["l3"]["more_profiles"],
            axes=content["ways"],
            counts_only=content["baseline"]["counts_only"],
            reference_name=reference["name"],
            reference_what=reference["what"],
            references=[
                Reference(**{**row, "ways": first | row.get("ways", {})})
                for row in reference["row"]
            ],
        )

    @property
    def reference_ways(self) -> Ways:
        """The first way of every axis."""
        return {axis: ways[0] for axis, ways in self.axes.items()}

    def combinations(self) -> list[Ways]:
        """Every combination of ways."""
        return [dict(zip(self.axes, ways)) for ways in itertools.product(*self.axes.values())]

    def variations(self) -> list[Ways]:
        """The reference ways, and those that differ from them in one axis."""
        first = self.reference_ways
        return [first] + [
            first | {axis: way} for axis, ways in self.axes.items() for way in ways[1:]
        ]

    def variation_name(self, ways: Ways) -> str:
        """What a variation changes."""
        changed = [f"{axis}={way}" for axis, way in ways.items() if self.axes[axis][0] != way]
        return " ".join(changed) or "reference"


def words(ways: Ways) -> str:
    """Ways as L1 and the guest hypervisor read them."""
    return ",".join(f"{axis}={way}" for axis, way in ways.items())
