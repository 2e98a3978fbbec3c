"""`nestbed bench`: the exit-cost experiment, from machines to table, result file and picture."""

import argparse
import concurrent.futures
import dataclasses
import os
import re
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import baseline, bench_table, commands, paths, report, results
from .boot import Boot, nestbed_boot
from .console import complain, err, out, print_wide
from .errors import NestbedError
from .experiment import Experiment, Ways, words
from .machine import Limits, Outcome, Platform, run

SUMMARY = "measure what an exit costs, at every level and in every way"
EXAMPLES = """\
examples:
  nestbed bench                                  everything: about a minute on Bochs
  nestbed bench --quick                          only the reference ways and vmcs=trap
  nestbed bench --check-baseline                 and compare with the checked-in baseline, exactly
  nestbed bench --update-baseline "merge reads two fields less"
"""
RESULT_MARK = re.compile(rb'# \{"op"')
PARALLEL_MACHINES = 2


@dataclasses.dataclass(frozen=True)
class Part:
    """One machine of the experiment."""

    boot: Boot
    ways: Ways  # at its start
    results: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this subcommand has."""
    parser.add_argument(
        "--results", type=Path, default=paths.RESULTS, metavar="DIR", help="where results go"
    )
    parser.add_argument(
        "--quick", action="store_true", help="only the reference ways and vmcs=trap"
    )
    parser.add_argument("--no-plot", action="store_true", help="write no picture")
    exact = parser.add_mutually_exclusive_group()
    exact.add_argument(
        "--check-baseline", action="store_true", help="fail when a figure is not the baseline's"
    )
    exact.add_argument(
        "--update-baseline", metavar="REASON", help="make this run the baseline, and record why"
    )


def bench_words(experiment: Experiment, level: int, cold: bool) -> str:
    """The bench's command line."""
    state = "on" if cold else "off"
    return f"ops={','.join(experiment.ops[level])} n={experiment.n} cold={state}"


def result_count(experiment: Experiment, level: int, cold: bool) -> int:
    """How many results one run of the bench prints: each operation warm, and cold if wanted."""
    return len(experiment.ops[level]) * (2 if cold else 1)


def l1_words(ways: Ways) -> str:
    """L1's command line for a start under these ways."""
    return " ".join(f"{axis}={way}" for axis, way in ways.items())


def l2_part(experiment: Experiment, ways: Ways, cpus: int) -> Part:
    """The bench as L2."""
    boot = nestbed_boot(
        paths.image("bench"),
        bench_words(experiment, 2, cold=True),
        l1_words=l1_words(ways),
        cpus=cpus,
        memory=experiment.memory,
    )
    return Part(boot, ways, result_count(experiment, 2, cold=True))


def l3_part(
    experiment: Experiment, profiles: list[str], ways: list[Ways], cpus: int, cold: bool
) -> Part:
    """The bench as L3, once for every profile and way, in one machine."""
    ways_word = ";".join(words(way) for way in ways)
    boot = nestbed_boot(
        paths.image("hv"),
        f"profiles={';'.join(profiles)} ways={ways_word}",
        paths.image("bench"),
        f"{bench_words(experiment, 3, cold)} tap=sub",
        l1_words=l1_words(ways[0]),
        cpus=cpus,
        memory=experiment.memory,
    )
    return Part(boot, ways[0], result_count(experiment, 3, cold) * len(profiles) * len(ways))


def make_parts(experiment: Experiment, quick: bool, cpus: int) -> list[Part]:
    """The machines of the experiment, about longest first. Cold runs take long: each empties the
    merged tables. So the ways that only combine others, and more profiles, are measured warm."""
    kvm = [experiment.profile]
    both_vmcs = [experiment.reference_ways | {"vmcs": way} for way in experiment.axes["vmcs"]]
    variations = both_vmcs if quick else experiment.variations()
    parts = [l3_part(experiment, kvm, [ways], cpus, cold=True) for ways in variations]
    parts.sort(key=lambda part: part.ways["vmcs"] != "trap")
    if not quick:
        rest = [ways for ways in experiment.combinations() if ways not in variations]
        parts.insert(0, l3_part(experiment, kvm, rest, cpus, cold=False))
        parts.append(l3_part(experiment, experiment.more_profiles, both_vmcs, cpus, cold=False))
    return parts + [l2_part(experiment, ways, cpus) for ways in variations]


def run_parts(platform: Platform, parts: list[Part], limits: Limits) -> list[Outcome]:
    """Runs the machines, two at a time, with a progress bar; outcomes in the parts' order."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("measurements", total=sum(part.results for part in parts))

        def heard(data: bytes) -> None:
            progress.advance(task, len(RESULT_MARK.findall(data)))

        workers = min(PARALLEL_MACHINES, os.cpu_count() or 1)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            runs = [pool.submit(run, platform, part.boot, heard, limits) for part in parts]
            outcomes = [future.result() for future in runs]
        progress.update(task, completed=sum(part.results for part in parts))
    return outcomes


def common_fields(platform: Platform, outcome: Outcome) -> dict:
    """What every row of one machine says."""
    start = next(iter(outcome.of_kind("start")), {})
    model = platform.cpu_model if platform.name != "kvm" else start.get("cpu", "unknown")
    return {
        "platform": platform.name,
        "platform_version": platform.version,
        "cpu_model": model,
        "ticks": platform.ticks,
        "commit": commands.commit(),
    }


def collect(platform: Platform, parts: list[Part], outcomes: list[Outcome]) -> list[dict]:
    """All rows, the bench as L2 first."""
    rows = []
    for part, outcome in zip(parts, outcomes):
        rows += results.parse(outcome.serial, common_fields(platform, outcome), part.ways)
    return sorted(rows, key=lambda row: row["level"])


def faults_of(parts: list[Part], outcomes: list[Outcome]) -> list[str]:
    """Why the experiment is not complete."""
    faults = []
    for part, outcome in zip(parts, outcomes):
        which = " ".join(module.text for module in part.boot.modules)
        if not outcome.good:
            faults.append(f"{which}: {report.sentence(outcome)}")
        faults += [f"{which}: {line}" for line in results.failures(outcome.serial)]
        got = len(RESULT_MARK.findall(outcome.serial.encode()))
        if outcome.good and got != part.results:
            faults.append(f"{which}: {got} measurements instead of {part.results}")
    return faults


def write_pictures(rows: list[dict], experiment: Experiment, directory: Path) -> list[Path]:
    """The picture in both formats."""
    from . import plot  # matplotlib takes long to load, and only this needs it

    return plot.write(rows, experiment, directory / "run")


def handle_baseline(
    arguments: argparse.Namespace, platform: Platform, rows: list[dict], experiment: Experiment
) -> bool:
    """Compares with the baseline or replaces it, as asked; false when a figure differs."""
    path = baseline.path_for(platform.name, rows[0]["cpu_model"])
    if arguments.update_baseline is not None:
        baseline.update(path, rows, experiment, arguments.update_baseline)
        out.print(f"Baseline: {path}", soft_wrap=True)
    if not arguments.check_baseline:
        return True
    differences = baseline.compare(rows, experiment, baseline.load(path))
    for difference in differences:
        complain(difference, "baseline")
    if not differences:
        out.print(f"All {len(rows)} measurements are as in {path.name}.")
    return not differences


def command(arguments: argparse.Namespace) -> int:
    """Runs the experiment; zero when all guests did well and the baseline, if asked, holds."""
    if arguments.update_baseline is not None and not arguments.update_baseline.strip():
        raise NestbedError('A baseline changes for a reason: make baseline REASON="...".')
    if arguments.quick and (arguments.check_baseline or arguments.update_baseline):
        raise NestbedError("A baseline covers the whole experiment: leave --quick away.")
    experiment = Experiment.load()
    platform = commands.choose_platform(arguments)
    parts = make_parts(experiment, arguments.quick, arguments.cpus)
    outcomes = run_parts(platform, parts, commands.limits(arguments))
    rows = collect(platform, parts, outcomes)
    results.write_lines(arguments.results / "run.jsonl", rows)
    faults = faults_of(parts, outcomes)
    for fault in faults:
        complain(fault)
    if not rows:
        return 1
    print_wide(bench_table.make(rows, experiment), bench_table.WIDTH)
    files = [arguments.results / "run.jsonl"]
    if not arguments.no_plot:
        files += write_pictures(rows, experiment, arguments.results)
    out.print("Results: " + ", ".join(str(file) for file in files), soft_wrap=True)
    if faults:
        return 1
    return 0 if handle_baseline(arguments, platform, rows, experiment) else 1
