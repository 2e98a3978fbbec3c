"""`nestbed bench`: the exit-cost experiment, from machines to table, result file and picture."""

import argparse
import concurrent.futures
import dataclasses
import os
import re
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import baseline, bench_table, commands, experiment, paths, platforms, report, results
from .boot import Boot, nestbed_boot
from .console import complain, err, out, print_wide
from .errors import NestbedError
from .experiment import Half, Ways, words
from .machine import ENDING, Limits, Outcome, Platform, run

SUMMARY = "measure what an exit costs, with VMX and SVM, at every level and in every way"
EXAMPLES = """\
examples:
  nestbed bench                                  everything: with VMX on Bochs, with SVM on TCG
  nestbed bench --platform tcg                   one half
  nestbed bench --platform bochs --cpu ryzen     SVM on another CPU model
  nestbed bench --quick                          only what the picture shows
  nestbed bench --emulated --check-baseline      and compare with the checked-in baselines, exactly
  nestbed bench --emulated --update-baseline "merge reads two fields less"
"""
RESULT_MARK = re.compile(rb'# \{"op"')
PARALLEL_MACHINES = 2


@dataclasses.dataclass(frozen=True)
class Plan:
    """One half of the experiment on one platform."""

    platform: Platform
    half: Half  # with the ways that the platform has
    lacking: dict[str, str]  # the other ways, and why L1 refuses them there


@dataclasses.dataclass(frozen=True)
class Part:
    """One machine of the experiment."""

    plan: Plan
    boot: Boot
    ways: Ways  # at its start
    results: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this subcommand has."""
    parser.set_defaults(memory=max(half.memory for half in experiment.load().values()))
    parser.add_argument(
        "--results", type=Path, default=paths.RESULTS, metavar="DIR", help="where results go"
    )
    parser.add_argument(
        "--quick", action="store_true", help="only the ways and profiles that the picture shows"
    )
    parser.add_argument(
        "--emulated", action="store_true", help="both halves, also where hardware nests one"
    )
    parser.add_argument("--no-plot", action="store_true", help="write no picture")
    exact = parser.add_mutually_exclusive_group()
    exact.add_argument(
        "--check-baseline", action="store_true", help="fail when a figure is not the baseline's"
    )
    exact.add_argument(
        "--update-baseline", metavar="REASON", help="make this run the baseline, and record why"
    )


def bench_words(half: Half, level: int, cold: bool) -> str:
    """The bench's command line."""
    state = "on" if cold else "off"
    return f"ops={','.join(half.ops[level])} n={half.n} cold={state}"


def result_count(half: Half, level: int, cold: bool) -> int:
    """How many results one run of the bench prints: each operation warm, and cold if wanted."""
    return len(half.ops[level]) * (2 if cold else 1)


def l1_words(ways: Ways) -> str:
    """L1's command line for a start under these ways."""
    return " ".join(f"{axis}={way}" for axis, way in ways.items())


def l2_part(plan: Plan, ways: Ways, cpus: int) -> Part:
    """The bench as L2."""
    boot = nestbed_boot(
        paths.image("bench"),
        bench_words(plan.half, 2, cold=True),
        l1_words=l1_words(ways),
        cpus=cpus,
        memory=plan.half.memory,
    )
    return Part(plan, boot, ways, result_count(plan.half, 2, cold=True))


def l3_part(plan: Plan, profiles: list[str], ways: list[Ways], cpus: int, cold: bool) -> Part:
    """The bench as L3, once for every profile and way, in one machine."""
    ways_word = ";".join(words(way) for way in ways)
    boot = nestbed_boot(
        paths.image("hv"),
        f"profiles={';'.join(profiles)} ways={ways_word}",
        paths.image("bench"),
        f"{bench_words(plan.half, 3, cold)} tap=sub",
        l1_words=l1_words(ways[0]),
        cpus=cpus,
        memory=plan.half.memory,
    )
    count = result_count(plan.half, 3, cold) * len(profiles) * len(ways)
    return Part(plan, boot, ways[0], count)


def make_parts(plan: Plan, quick: bool, cpus: int) -> list[Part]:
    """The machines of a half, about longest first. Cold runs take long: each empties the merged
    tables. So the ways that only combine others, and more profiles, are measured warm."""
    half = plan.half
    shown = half.series_ways()
    variations = shown if quick else half.variations()
    slow_first = sorted(variations, key=lambda ways: "trap" not in ways.values())
    parts = [l3_part(plan, [half.profile], [ways], cpus, cold=True) for ways in slow_first]
    rest = [ways for ways in half.combinations() if ways not in variations]
    if rest and not quick:
        parts.insert(0, l3_part(plan, [half.profile], rest, cpus, cold=False))
    series_profiles = {series.profile for series in half.series}
    profiles = [p for p in half.more_profiles if not quick or p in series_profiles]
    if profiles:
        parts.append(l3_part(plan, profiles, shown, cpus, cold=False))
    return parts + [l2_part(plan, ways, cpus) for ways in variations]


def run_parts(parts: list[Part], limits: Limits) -> list[Outcome]:
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

        def run_part(part: Part) -> Outcome:
            return run(part.plan.platform, part.boot, heard, limits)

        outcomes = two_at_a_time(run_part, parts)
        progress.update(task, completed=sum(part.results for part in parts))
    return outcomes


def two_at_a_time(function, items: list) -> list:
    """What the function returns for each item, in their order."""
    workers = min(PARALLEL_MACHINES, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            return list(pool.map(function, items))
        except BaseException:
            ENDING.set()
            raise


def make_plan(platform: Platform, half: Half, limits: Limits) -> Plan:
    """Asks L1 which ways the platform has."""

    def refusal(axis_and_way: tuple[str, str]) -> str | None:
        ways = dict([axis_and_way])
        boot = nestbed_boot(paths.image("bench"), "ops=empty n=1 cold=off", l1_words=l1_words(ways))
        return " ".join(run(platform, boot, limits=limits).errors()) or None

    single = half.single_ways()
    whys = zip(single, two_at_a_time(refusal, single))
    lacking = {f"{axis}={way}": why for (axis, way), why in whys if why}
    return Plan(platform, half.without(set(lacking)), lacking)


def make_plans(arguments: argparse.Namespace) -> list[Plan]:
    """The half of the platform that is named or has nesting in hardware; else both, emulated."""
    halves = {
        name: dataclasses.replace(half, memory=arguments.memory)
        for name, half in experiment.load().items()
    }
    limits = commands.limits(arguments)
    named = arguments.platform != "auto" or arguments.cpu
    if named and arguments.emulated:
        raise NestbedError("--emulated chooses the platforms: leave --platform and --cpu away.")
    if arguments.emulated or not named and not platforms.kvm_nests():
        machines = {
            half.extension: platforms.make(half.platform, arguments.ips)
            for half in halves.values()
        }
    else:
        platform = commands.choose_platform(arguments)
        machines = {platforms.extension_of(platform): platform}
    return [make_plan(machine, halves[name], limits) for name, machine in machines.items()]


def common_fields(part: Part, outcome: Outcome) -> dict:
    """What every row of one machine says."""
    platform = part.plan.platform
    start = next(iter(outcome.of_kind("start")), {})
    model = platform.cpu_model if platform.name != "kvm" else start.get("cpu", "unknown")
    return {
        "platform": platform.name,
        "platform_version": platform.version,
        "cpu_model": model,
        "backend": part.plan.half.extension,
        "ticks": platform.ticks(part.boot.cpus),
        "commit": commands.commit(),
    }


def collect(plan: Plan, parts: list[Part], outcomes: list[Outcome]) -> list[dict]:
    """All rows of a half, the bench as L2 first."""
    rows = []
    for part, outcome in zip(parts, outcomes):
        if part.plan is plan:
            rows += results.parse(outcome.serial, common_fields(part, outcome), part.ways)
    return sorted(rows, key=lambda row: row["level"])


def faults_of(parts: list[Part], outcomes: list[Outcome]) -> list[str]:
    """Why the experiment is not complete."""
    faults = []
    for part, outcome in zip(parts, outcomes):
        which = f"{part.plan.platform.name}: "
        which += " ".join(module.text for module in part.boot.modules)
        if not outcome.good:
            faults.append(f"{which}: {report.sentence(outcome)}")
        faults += [f"{which}: {line}" for line in results.failures(outcome.serial)]
        got = len(RESULT_MARK.findall(outcome.serial.encode()))
        if outcome.good and got != part.results:
            faults.append(f"{which}: {got} measurements instead of {part.results}")
    return faults


def write_pictures(measured: list[bench_table.Measured], directory: Path) -> list[Path]:
    """The picture in both formats."""
    from . import plot  # matplotlib takes long to load, and only this needs it

    return plot.write(measured, directory / "run")


def handle_baseline(
    arguments: argparse.Namespace, platform: Platform, half: Half, rows: list[dict]
) -> bool:
    """Compares with the baseline or replaces it, as asked; false when a figure differs."""
    path = baseline.path_for(platform.name, rows[0]["cpu_model"])
    if arguments.update_baseline is not None:
        baseline.update(path, rows, half, arguments.update_baseline)
        out.print(f"Baseline: {path}", soft_wrap=True)
    if not arguments.check_baseline:
        return True
    differences = baseline.compare(rows, half, baseline.load(path))
    for difference in differences:
        complain(difference, "baseline")
    if not differences:
        out.print(f"All {len(rows)} measurements are as in {path.name}.")
    return not differences


def show(arguments: argparse.Namespace, measured: list[bench_table.Measured]) -> None:
    """Prints the table and writes the files."""
    print_wide(bench_table.make(measured), bench_table.WIDTH)
    files = [arguments.results / "run.jsonl"]
    if not arguments.no_plot:
        files += write_pictures(measured, arguments.results)
    out.print("Results: " + ", ".join(str(file) for file in files), soft_wrap=True)


def command(arguments: argparse.Namespace) -> int:
    """Runs the experiment; zero when all guests did well and the baselines, if asked, hold."""
    if arguments.update_baseline is not None and not arguments.update_baseline.strip():
        raise NestbedError('A baseline changes for a reason: make baseline REASON="...".')
    if arguments.quick and (arguments.check_baseline or arguments.update_baseline):
        raise NestbedError("A baseline covers the whole experiment: leave --quick away.")
    results.make_directory(arguments.results)
    plans = make_plans(arguments)
    parts = [part for plan in plans for part in make_parts(plan, arguments.quick, arguments.cpus)]
    outcomes = run_parts(parts, commands.limits(arguments))
    measured = [
        bench_table.Measured(plan.half, collect(plan, parts, outcomes), plan.lacking)
        for plan in plans
    ]
    rows = [row for part in measured for row in part.rows]
    results.write_lines(arguments.results / "run.jsonl", rows)
    faults = faults_of(parts, outcomes)
    for fault in faults:
        complain(fault)
    if all(part.rows for part in measured):
        show(arguments, measured)
    if faults or not rows:
        return 1
    whole = [
        handle_baseline(arguments, plan.platform, plan.half, part.rows)
        for plan, part in zip(plans, measured)
    ]
    return 0 if all(whole) else 1
