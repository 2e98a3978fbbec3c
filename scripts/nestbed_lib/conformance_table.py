"""What `nestbed conformance` prints: a line a run, one table, and the differences."""

from rich import box
from rich.markup import escape
from rich.table import Table

from .console import complain, out
from .machine import Platform
from .unit_tests import BAD, GOOD, OTHER, Entry, Side, Verdict

WIDTH = 104
DIFFERENCES_SHOWN = 12
NAME_MAX = 30
STYLES = {Verdict.PASS: "green", Verdict.SKIP: "dim", Verdict.FAIL: "yellow"}
SIDES = {"native": "natively", "l2": "as L2"}


def _styled(verdict: Verdict) -> str:
    style = STYLES.get(verdict, "red")
    return f"[{style}]{verdict.value}[/]"


def line(entry: Entry, which: str, side: Side) -> str:
    """One run for the progress report."""
    why = next((test.why for test in side.tests.values() if test.why), "")
    text = f"{escape(entry.name)} {SIDES[which]}: {_styled(side.verdict)}"
    return f"{text} ({escape(why)})" if why else text


def _cells(side: Side | None) -> list[str]:
    if side is None:
        return [""] * 4
    counts = map(side.count, (GOOD, BAD, OTHER))
    return [_styled(side.verdict), *(f"{count:,}" if count else "" for count in counts)]


def make(comparisons: list, platform: Platform) -> Table:
    """All entries: verdicts and assertions on both sides, and what was lost."""
    table = Table(
        title=f"kvm-unit-tests on {platform.name} {platform.cpu_model}, natively and as L2",
        caption="Lost: what is good natively and not as L2, assertions and whole tests.",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("test", no_wrap=True, min_width=NAME_MAX, max_width=NAME_MAX)
    for name in ("natively", "as L2"):
        table.add_column(name, no_wrap=True)
        for heading in ("pass", "fail", "skip"):
            table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("lost", justify="right", no_wrap=True)
    for comparison in comparisons:
        lost = len(comparison.differences)
        table.add_row(
            escape(comparison.entry.name),
            *_cells(comparison.native),
            *_cells(comparison.l2),
            f"[bold red]{lost:,}[/]" if lost else "",
        )
    return table


def print_differences(comparisons: list) -> None:
    """Each difference in a line, the first few of an entry, and the sum of all."""
    for comparison in comparisons:
        for difference in comparison.differences[:DIFFERENCES_SHOWN]:
            where = " / ".join(filter(None, (comparison.entry.name, difference.test)))
            what = f"{difference.native} natively, {difference.l2} as L2"
            complain(f"{where}: {what}: {difference.text}", "lost")
        if comparison.unsteady:
            tests = ", ".join(sorted({difference.test for difference in comparison.unsteady}))
            out.print(f"{comparison.entry.name}: fails natively too when it runs alone: {tests}")
        more = len(comparison.differences) - DIFFERENCES_SHOWN
        if more > 0:
            complain(f"{comparison.entry.name}: {more} more are in the result file", "lost")
    good = sum(comparison.native.count(GOOD) for comparison in comparisons)
    lost = sum(len(comparison.differences) for comparison in comparisons)
    text = f"{len(comparisons)} runs; {good:,} assertions are good natively"
    compared = any(comparison.l2 for comparison in comparisons)
    out.print(text + (f"; {lost:,} differences as L2." if compared else "."), soft_wrap=True)
