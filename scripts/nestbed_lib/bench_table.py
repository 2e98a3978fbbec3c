"""The exit-cost experiment as one table, with others' figures beside ours."""

import dataclasses

from rich import box
from rich.table import Table

from .experiment import Half, words
from .results import find

WIDTH = 116
FIGURES = ("ticks_min", "ticks_median", "ticks_max", "hw_exits_per_op")


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured of one half."""

    half: Half
    rows: list[dict]
    lacking: dict[str, str]  # ways that the platform lacks, and why

    @property
    def where(self) -> str:
        """The extension and its platform, as headings have it."""
        first = self.rows[0]
        return f"{self.half.extension.upper()} on {first['platform']} {first['cpu_model']}"


def number(value: float | None) -> str:
    """A count, without a fraction when it has none."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}".rstrip("0")


def reference_cells(row: dict, half: Half) -> tuple[str, str]:
    """What others measured for the same operation, and how much of it went into lengths."""
    reference = half.references.find(row)
    if not reference:
        return "", ""
    exits = "" if reference.exits is None else f" ({reference.exits})"
    lengths = half.references.ticks_for_lengths(reference)
    return f"{number(reference.ticks)}{exits}", f"~{number(lengths)}" if lengths else ""


def rows_of(rows: list[dict], half: Half, level: int, op: str) -> list[tuple]:
    """Warm measurements with their name: the reference, then each way that changes a figure, and
    the profiles of the series."""
    main = half.profile if level == 3 else None
    shown = [(half.variation_name(ways), ways, main) for ways in half.variations()]
    shown += [
        (f"profile={series.profile}", series.ways, series.profile)
        for series in half.series
        if series.level == level and series.profile != main
    ]
    kept = []
    for name, ways, profile in shown:
        row = find(rows, level=level, op=op, state="warm", profile=profile, **ways)
        if row is None:
            continue
        figures = [row.get(figure) for figure in FIGURES]
        if not kept or figures != [kept[0][1].get(figure) for figure in FIGURES]:
            kept.append((name, row))
    return kept


def notes(measured: list[Measured]) -> str:
    """What a reader must know of the figures."""
    lines = [
        f"Profile of the guest hypervisor: {measured[0].half.profile}. Reference ways, and below "
        "them the ways that change a figure, one at a time:"
    ]
    for part in measured:
        lines.append(f"  {part.where}: {words(part.half.reference_ways)}")
        lines += [f"  {way} is not measured: {why}" for way, why in part.lacking.items()]
    for part in measured:
        references = part.half.references
        if part.rows[0]["platform"] == references.platform:
            name = f"{part.half.extension.upper()}: {references.name}"
            lines.append(f"{name} is {references.what} (docs/platforms.md). {references.note}")
    lines.append("Every combination of ways, every profile, and cold measurements: run.jsonl.")
    return "\n".join(lines)


def make(measured: list[Measured]) -> Table:
    """The table of the warm measurements under the reference ways and each other way alone."""
    first = measured[0].rows[0]
    places = ", ".join(part.where for part in measured)
    table = Table(
        title=f"{first['ticks'].capitalize()} of one operation, warm, n = {first['n']}\n"
        f"{places}; Nestbed {first['commit']}",
        caption=notes(measured),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("", "operation", "ways"):
        table.add_column(heading, no_wrap=True)
    for heading in ("min", "median", "max", "hardware\nexits"):
        table.add_column(heading, justify="right", no_wrap=True)
    name = measured[0].half.references.name
    for heading in (f"{name}\n(exits)", "of it for\nlengths"):
        table.add_column(heading, justify="right", style="dim", no_wrap=True)
    for part in measured:
        add_half(table, part)
    return table


def add_half(table: Table, part: Measured) -> None:
    """The rows of one half, a section for each level."""
    for level, ops in part.half.ops.items():
        for op in ops:
            shown = rows_of(part.rows, part.half, level, op)
            for index, (name, row) in enumerate(shown):
                table.add_row(
                    "" if index else f"{part.half.extension.upper()} L{level}",
                    "" if index else op,
                    name,
                    *(number(row.get(figure)) for figure in FIGURES),
                    *reference_cells(row, part.half),
                )
        table.add_section()
