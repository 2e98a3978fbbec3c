"""The exit-cost experiment as one table: operations down, ways across, others' figures beside."""

from rich.table import Table

from .experiment import Experiment, Ways
from .results import find

WIDTH = 140


def number(value: float) -> str:
    """A count, without a fraction when it has none."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def ticks(row: dict) -> str:
    """Minimum, median and maximum; one figure when they are the same."""
    values = [row["ticks_min"], row["ticks_median"], row["ticks_max"]]
    if values[0] == values[2]:
        return number(values[0])
    return "/".join(number(value) for value in values)


def cell(row: dict | None) -> str:
    """Ticks and hardware exits of a measurement."""
    if row is None:
        return ""
    if "hw_exits_per_op" not in row:
        return ticks(row)
    return f"{ticks(row)} ({number(row['hw_exits_per_op'])})"


def reference_cell(row: dict | None, experiment: Experiment) -> str:
    """What others measured for the same operation."""
    if row is None:
        return ""
    for reference in experiment.references:
        if reference.matches(row):
            exits = "" if reference.exits is None else f" ({reference.exits})"
            return f"{number(reference.ticks)}{exits}"
    return ""


def make(rows: list[dict], experiment: Experiment) -> Table:
    """The table of the warm measurements under the reference ways and each other way alone."""
    first = rows[0]
    unit = first["ticks"]
    table = Table(
        title=f"{unit.capitalize()} of one operation, warm (hardware exits); "
        f"min/median/max where they differ\n{first['platform']} {first['cpu_model']}, "
        f"Nestbed {first['commit']}",
        caption=f"{experiment.reference_name}: {experiment.reference_what} (docs/platforms.md). "
        "All combinations of ways, and cold measurements, are in run.jsonl.",
    )
    columns: list[Ways] = [
        ways for ways in experiment.variations() if find(rows, level=3, **ways) is not None
    ]
    trap = experiment.reference_ways | {"vmcs": "trap"}
    table.add_column("level", no_wrap=True)
    table.add_column("operation", no_wrap=True)
    for ways in columns:
        table.add_column(experiment.variation_name(ways), justify="right")
        if ways == trap or ways == experiment.reference_ways:
            table.add_column(experiment.reference_name, justify="right", style="dim")
    for level, ops in experiment.ops.items():
        for op in ops:
            cells = []
            for ways in columns:
                wanted = {"level": level, "op": op, "state": "warm", **ways}
                profile = experiment.profile if level == 3 else None
                row = find(rows, profile=profile, **wanted)
                cells.append(cell(row))
                if ways == trap or ways == experiment.reference_ways:
                    cells.append(reference_cell(row, experiment))
            table.add_row(f"L{level}", op, *cells, end_section=op == ops[-1])
    return table
