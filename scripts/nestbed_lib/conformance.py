"""`nestbed conformance`: kvm-unit-tests natively and as L2, compared assertion by assertion.

A run that dies in one test is started again without that test, so that it does not hide the others.
What differs must be good natively also when its test runs alone: the outcome of some hangs on time.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import tempfile
from collections import defaultdict, deque
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import commands, conformance_table, paths, report, results, unit_tests
from .boot import Boot, Module, nestbed_boot
from .console import err, out, print_wide
from .errors import NestbedError
from .machine import ENDING, End, Limits, Outcome, Platform, run
from .unit_tests import GOOD, Entry, Point, Side, Test, Verdict

SUMMARY = "run kvm-unit-tests natively and as L2, and compare"
EXAMPLES = """\
examples:
  nestbed conformance ~/kvm-unit-tests                         everything that is built there
  nestbed conformance ~/kvm-unit-tests svm svm_npt "vmexit*"   tests by their names in its list
  nestbed conformance ~/kvm-unit-tests "svm.flat svm_pae_test" an image with words of one's own
  nestbed conformance ~/kvm-unit-tests --native                only what the platform itself passes
"""
# What the images need: memory, and on Bochs a serial line that costs little.
MEMORY = 512
IPS = 1_000_000
# Some say nothing while they do a million world switches, or count to 2^30. As L2 that may take
# so many times as long, where it comes to an end natively.
SILENCE = 300
PATIENCE_AS_L2 = 4
RESTARTS_MAX = 60
FILE = "conformance.jsonl"
MISSING = "missing"
NATIVE, L2 = "native", "l2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this subcommand has."""
    parser.set_defaults(memory=MEMORY, ips=IPS, silence=SILENCE)
    parser.add_argument("tree", type=Path, metavar="DIR", help="a tree of built kvm-unit-tests")
    parser.add_argument(
        "tests",
        nargs="*",
        metavar="TEST",
        help="a test, an image or a pattern; words for the image may follow after a blank",
    )
    parser.add_argument(
        "--leave-out", action="append", default=[], metavar="TEST", help="the same, not to run"
    )
    parser.add_argument("--native", action="store_true", help="only run without Nestbed")
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="machines at a time (default: as many as there are CPUs here)",
    )
    parser.add_argument(
        "--results", type=Path, default=paths.RESULTS, metavar="DIR", help="where results go"
    )
    parser.add_argument(
        "--serial", type=Path, metavar="DIR", help="keep there what the images print"
    )


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that is good natively and not as L2."""

    test: str
    text: str
    native: str
    l2: str  # the verdict there, or that it is missing


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An entry on both sides."""

    entry: Entry
    native: Side
    l2: Side | None  # none when only the native side was asked for
    differences: list[Difference] = dataclasses.field(default_factory=list)
    unsteady: list[Difference] = dataclasses.field(default_factory=list)  # also natively


def ending(platform: Platform, outcome: Outcome) -> tuple[Verdict | None, str]:
    """How a run broke and why; none when the image came to its own end."""
    if outcome.errors():
        return Verdict.CRASHED, " ".join(outcome.errors())
    gave_up = unit_tests.GAVE_UP.search(outcome.serial)
    if gave_up:
        return Verdict.ABORTED, gave_up[0]
    if outcome.end in (End.SILENT, End.TOO_LONG):
        return Verdict.HUNG, report.sentence(outcome)
    if platform.guest_left(outcome.status, outcome.complaints):
        return None, ""
    return Verdict.CRASHED, "".join(outcome.complaints[-1:]) or "the machine ended"


class Runner:
    """Runs entries on one platform."""

    def __init__(
        self, platform: Platform, arguments: argparse.Namespace, environment: Path
    ) -> None:
        self._platform = platform
        self._modules = (Module(environment, "environment"),)
        self._cpus, self._memory = arguments.cpus, arguments.memory
        self._limits = commands.limits(arguments)
        self._serial = arguments.serial
        depths = range(1, arguments.depth + 1)
        self.l1_words = tuple(commands.l1_words(arguments, depth) for depth in depths)

    def native(self, entry: Entry) -> Side:
        """Runs an entry without Nestbed."""
        return self._side(entry, NATIVE, self._limits)

    def l2(self, entry: Entry, native: Side) -> Side:
        """Runs an entry as L2, given what it did natively."""
        patience = 1 if native.verdict is Verdict.HUNG else PATIENCE_AS_L2
        return self._side(entry, L2, self._limits.times(patience))

    def _side(self, entry: Entry, which: str, limits: Limits) -> Side:
        """Runs an entry on one side, again without each test that ended the machine."""
        tests: dict[str, Test] = {}
        dead: list[str] = []
        words = entry.words
        for turn in range(RESTARTS_MAX):
            outcome = run(self._platform, self._boot(entry, words, which), limits=limits)
            self._keep(entry, which, turn, outcome)
            broken, why = ending(self._platform, outcome)
            ran = unit_tests.parse(outcome.serial)
            if broken:
                ran[-1].broken, ran[-1].why = broken, why
            for test in ran:
                tests.setdefault(test.name, test)
            if not broken or not ran[-1].name or ran[-1].name in dead:
                break
            dead.append(ran[-1].name)
            done = [name for name in tests if name and name not in dead]
            words = unit_tests.left_out(entry.words, dead, done)
        return Side(tests)

    def _boot(self, entry: Entry, words: str, which: str) -> Boot:
        l1_words = self.l1_words if which == L2 else ("native=on",)
        inner = (len(l1_words) - 1) * commands.MEMORY_PER_NESTBED
        return nestbed_boot(
            entry.image,
            words,
            modules=self._modules,
            l1_words=l1_words,
            cpus=self._cpus,
            memory=self._memory + inner,
            steady=not entry.measures,
        )

    def _keep(self, entry: Entry, which: str, turn: int, outcome: Outcome) -> None:
        if self._serial:
            name = f"{entry.name}-{which}-{turn}.txt".replace("/", "_")
            (self._serial / name).write_text(outcome.serial)


def paired(native: list[Point], l2: list[Point]) -> list[tuple[Point, Point | None]]:
    """Each native point with L2's same one: the same text, or one that differs in numbers only."""
    rest = list(l2)
    partners: dict[int, Point] = {}
    for key in (lambda point: point.text, lambda point: point.shape):
        waiting = defaultdict(deque)
        for point in rest:
            waiting[key(point)].append(point)
        for index, point in enumerate(native):
            if index not in partners and waiting[key(point)]:
                partners[index] = waiting[key(point)].popleft()
        rest = [point for queue in waiting.values() for point in queue]
    return [(point, partners.get(index)) for index, point in enumerate(native)]


def test_differences(native: Test, l2: Test | None) -> list[Difference]:
    """What is good in a test natively and not as L2."""
    if l2 is None and native.verdict is Verdict.SKIP:
        return []
    if l2 is None:
        l2 = Test(native.name, broken=Verdict.MISSING)
    differences = [
        Difference(native.name, point.text, point.verdict, partner.verdict if partner else MISSING)
        for point, partner in paired(native.points, l2.points)
        if point.verdict in GOOD and (partner is None or partner.verdict not in GOOD)
    ]
    worse = native.verdict is Verdict.PASS and l2.verdict is not Verdict.PASS
    if l2.broken and not native.broken or worse and not differences:
        text = l2.why or "; ".join(point.text for point in l2.points if point.verdict not in GOOD)
        differences.append(Difference(native.name, text, native.verdict.value, l2.verdict.value))
    return differences


def compare(entry: Entry, native: Side, l2: Side) -> Comparison:
    """Both sides of an entry."""
    differences = [
        difference
        for name, test in native.tests.items()
        for difference in test_differences(test, l2.tests.get(name))
    ]
    return Comparison(entry, native, l2, differences)


def is_steady(difference: Difference, alone: Test | None) -> bool:
    """Whether what is good natively is so too when its test runs alone, as far as that is known."""
    if alone is None:
        return True
    shape = Point(difference.native, difference.text).shape
    same = [point for point in alone.points if point.shape == shape]
    if same:
        return any(point.verdict in GOOD for point in same)
    return difference.native not in GOOD and alone.verdict.value == difference.native


def settled(runner: Runner, comparison: Comparison) -> Comparison:
    """The comparison with what is unsteady natively set apart."""
    entry, names = comparison.entry, {difference.test for difference in comparison.differences}
    alone = {
        name: runner.native(Entry(f"{entry.name}-alone", entry.image, unit_tests.word(name)))
        for name in sorted(names - {""})
    }
    parts: dict[bool, list[Difference]] = {True: [], False: []}
    for difference in comparison.differences:
        side = alone.get(difference.test, Side({}))
        parts[is_steady(difference, side.tests.get(difference.test))].append(difference)
    return dataclasses.replace(comparison, differences=parts[True], unsteady=parts[False])


def write_environment(path: Path, arguments: argparse.Namespace) -> None:
    """What the images otherwise ask QEMU's firmware interface for, which Bochs lacks."""
    path.write_text(f"NR_CPUS={arguments.cpus}\nMEMSIZE={arguments.memory}\n")


def run_all(runner: Runner, entries: list[Entry], native_only: bool, jobs: int) -> list[Comparison]:
    """Runs every entry on both sides, with a progress bar."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("runs", total=len(entries) * (1 if native_only else 2))

        def note(entry: Entry, which: str, side: Side) -> Side:
            progress.console.print(conformance_table.line(entry, which, side), soft_wrap=True)
            progress.advance(task)
            return side

        def one(entry: Entry) -> Comparison:
            native = note(entry, NATIVE, runner.native(entry))
            if native_only:
                return Comparison(entry, native, None)
            l2 = note(entry, L2, runner.l2(entry, native))
            return settled(runner, compare(entry, native, l2))

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            try:
                return [future.result() for future in [pool.submit(one, e) for e in entries]]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                ENDING.set()
                raise


def _of_test(differences: list[Difference], name: str) -> list[dict]:
    return [dataclasses.asdict(each) for each in differences if each.test == name]


def rows_of(
    platform: Platform, l1_words: tuple[str, ...], comparisons: list[Comparison]
) -> list[dict]:
    """One object a test."""
    common = {
        "platform": platform.name,
        "platform_version": platform.version,
        "cpu_model": platform.cpu_model,
        "commit": commands.commit(),
        "l1_words": " / ".join(l1_words),
    }
    rows = []
    for comparison in comparisons:
        entry, l2 = comparison.entry, comparison.l2
        for name, test in comparison.native.tests.items():
            rows.append(
                {
                    **common,
                    "entry": entry.name,
                    "image": str(entry.image),
                    "words": entry.words,
                    "test": name,
                    "native": test.figures(),
                    "l2": l2.tests[name].figures() if l2 and name in l2.tests else None,
                    "differences": _of_test(comparison.differences, name),
                    "unsteady": _of_test(comparison.unsteady, name),
                }
            )
    return rows


def command(arguments: argparse.Namespace) -> int:
    """Runs the tests; zero when everything that is good natively is good as L2."""
    if arguments.jobs < 1:
        raise NestbedError("At least one machine must run at a time: give --jobs 1 or more.")
    entries = unit_tests.choose(
        unit_tests.entries_of(arguments.tree), arguments.tests, arguments.leave_out
    )
    if not entries:
        raise NestbedError("No test is left to run: --leave-out names all that were chosen.")
    for image in {entry.image for entry in entries}:
        unit_tests.check_image(image)
    for directory in filter(None, (arguments.results, arguments.serial)):
        results.make_directory(directory)
    platform = commands.choose_platform(arguments)
    with tempfile.TemporaryDirectory(prefix="nestbed-") as directory:
        environment = Path(directory) / "environment"
        write_environment(environment, arguments)
        runner = Runner(platform, arguments, environment)
        comparisons = run_all(runner, entries, arguments.native, arguments.jobs)
    file = arguments.results / FILE
    results.write_lines(file, rows_of(platform, runner.l1_words, comparisons))
    print_wide(conformance_table.make(comparisons, platform), conformance_table.WIDTH)
    conformance_table.print_differences(comparisons)
    out.print(f"Results: {file}", soft_wrap=True)
    return 1 if any(comparison.differences for comparison in comparisons) else 0
