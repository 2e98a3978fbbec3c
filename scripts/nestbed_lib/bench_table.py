"""The exit-cost experiment as one table, with others' figures beside ours."""

from rich import box
from rich.table import Table

from .experiment import Experiment, words
from .results import find

WIDTH = 98
FIGURES = ("ticks_min", "ticks_median", "ticks_max", "hw_exits_per_op")


def number(value: float | None) -> str:
    """A count, without a fraction when it has none."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}".rstrip("0")


def reference_cell(row: dict, experiment: Experiment) -> str:
    """What others measured for the same operation."""
    for reference in experiment.references:
        if reference.matches(row):
            exits = "" if reference.exits is None else f" ({reference.exits})"
            return f"{number(reference.ticks)}{exits}"
    return ""


def rows_of(rows: list[dict], experiment: Experiment, level: int, op: str) -> list[tuple]:
    """Warm measurements with the ways' name: the reference, then each way that changes a figure."""
    profile = experiment.profile if level == 3 else None
    kept = []
    for ways in experiment.variations():
        row = find(rows, level=level, op=op, state="warm", profile=profile, **ways)
        if row is None:
            continue
        figures = [row.get(name) for name in FIGURES]
        if not kept or figures != [kept[0][1].get(name) for name in FIGURES]:
            kept.append((experiment.variation_name(ways), row))
    return kept


def make(rows: list[dict], experiment: Experiment) -> Table:
    """The table of the warm measurements under the reference ways and each other way alone."""
    first = rows[0]
    table = Table(
        title=f"{first['ticks'].capitalize()} of one operation, warm, n = {first['n']}\n"
        f"{first['platform']} {first['cpu_model']}, Nestbed {first['commit']}",
        caption=f"Reference ways: {words(experiment.reference_ways)}; further rows: the ways that "
        f"change a figure, one at a time. Profile of the guest hypervisor: {experiment.profile}.\n"
        f"{experiment.reference_name}: {experiment.reference_what} (docs/platforms.md).\n"
        "Every combination of ways, every profile, and cold measurements are in run.jsonl.",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("", no_wrap=True)
    table.add_column("operation", no_wrap=True)
    table.add_column("ways", no_wrap=True)
    for heading in ("min", "median", "max", "hardware\nexits"):
        table.add_column(heading, justify="right", no_wrap=True)
    other = f"{experiment.reference_name}\n(exits)"
    table.add_column(other, justify="right", style="dim", no_wrap=True)
    for level, ops in experiment.ops.items():
        for op in ops:
            for index, (name, row) in enumerate(rows_of(rows, experiment, level, op)):
                table.add_row(
                    "" if index else f"L{level}",
                    "" if index else op,
                    name,
                    *(number(row.get(figure)) for figure in FIGURES),
                    reference_cell(row, experiment),
                )
        table.add_section()
    return table
