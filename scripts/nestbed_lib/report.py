"""Tables for people: exits, traces, platforms."""

from rich.table import Table

from . import experiment
from .machine import End, Outcome
from .platforms import Report

NESTBEDS_WIDTH = 108
END_TEXTS = {
    End.BAD: "The guests ended badly.",
    End.SILENT: "The watchdog ended the run: nothing was heard for too long (--silence).",
    End.TOO_LONG: "The watchdog ended the run: it took too long (--timeout).",
}


def sentence(outcome: Outcome) -> str:
    """Why a run was not good, in L1's words if it had any."""
    return " ".join(outcome.errors()) or END_TEXTS[outcome.end]


def exit_table(
    outcome: Outcome, title: str = "Hardware exits", depth: int = 1
) -> Table | None:
    """L1's exit table, or that of a Nestbed in it, most frequent first; none when it wrote none."""
    rows: dict[tuple, list[int]] = {}
    for row in outcome.of_kind("exits", depth):
        by = {"L1": depth, "L2": depth + 1}.get(row["by"])
        key = (row["level"] + depth - 1, row["name"], f"L{by}" if by else row["by"])
        count, low, high, total = rows.get(key, (0, None, 0, 0))
        lows = [n for n in (low, row.get("ticks_min")) if n is not None]
        rows[key] = (
            count + row["count"],
            min(lows, default=None),
            max(high, row.get("ticks_max", 0)),
            total + row.get("ticks_sum", 0),
        )
    if not rows:
        return None
    table = Table(title=title)
    for heading in ("level", "exit", "handled by"):
        table.add_column(heading)
    for heading in ("count", "%", "ticks min", "avg", "max"):
        table.add_column(heading, justify="right")
    everything = sum(row[0] for row in rows.values())
    for key, (count, low, high, total) in sorted(rows.items(), key=lambda item: -item[1][0]):
        ticks = [f"{low:,}", f"{total / count:,.1f}", f"{high:,}"] if total else ["", "", ""]
        share = f"{100 * count / everything:.2f}"
        table.add_row(f"L{key[0]}", key[1], key[2], f"{count:,}", share, *ticks)
    return table


def nestbeds_table(outcome: Outcome) -> Table:
    """The Nestbeds that ran, one in the other: their memory, ways and exits."""
    table = Table(title="Nestbed in Nestbed, the outermost first")
    table.add_column("Nestbed")
    table.add_column("guest")
    for heading in ("MiB taken", "exits"):
        table.add_column(heading, justify="right")
    table.add_column("ways")
    for depth in outcome.depths:
        start = outcome.of_kind("start", depth)[0]
        exits = sum(row["count"] for row in outcome.of_kind("exits", depth))
        axes = experiment.load()[start["backend"]].axes
        table.add_row(
            f"L{depth}",
            f"L{depth + 1}",
            f"{start['memory_taken'] >> 20}",
            f"{exits:,}",
            experiment.words({axis: start[axis] for axis in axes}),
        )
    return table


def trace_table(events: list[dict]) -> Table:
    """The last exits, oldest first."""
    table = Table(title="Last exits")
    table.add_column("level")
    table.add_column("exit")
    table.add_column("guest RIP", justify="right")
    for event in events:
        table.add_row(
            f"L{event.get('level', '?')}",
            f"{event.get('name', '?')} ({event.get('reason', 0)})",
            f"{event.get('rip', 0):#x}",
        )
    return table


def platform_table(reports: list[Report]) -> Table:
    """What each platform can do here."""
    table = Table(title="Platforms on this machine")
    table.add_column("platform")
    table.add_column("VMX")
    table.add_column("SVM")
    for report in reports:
        cells = []
        for ability in (report.vmx, report.svm):
            mark = "[green]yes[/]" if ability.usable else "[red]no[/]"
            cells.append(f"{mark}: {ability.why}")
        table.add_row(report.name, *cells)
    return table
