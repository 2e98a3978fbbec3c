"""`nestbed peer`: what Linux's KVM needs for the same exits, on the same processor.

Debian's kernel runs on the platform without Nestbed, loads its KVM, and a small client
(guests/kvmclient) runs the same guest images in it: the bench as KVM's guest, and the guest
hypervisor with the bench in it, for each series of the experiment's half.
"""

import argparse
import dataclasses
import re
import tempfile
from pathlib import Path

from rich import box
from rich.table import Table

from . import bench_table, commands, experiment, linux, linux_image, paths, platforms, results
from .console import err, out, print_wide
from .errors import NestbedError
from .experiment import Half, Series
from .machine import Outcome, Platform, run

SUMMARY = "measure Linux's KVM with the same guests on the same processor, for comparison"
EXAMPLES = """\
examples:
  nestbed peer                                   KVM beside Nestbed, about 2 minutes on Bochs
  nestbed peer --platform tcg                    the same with SVM, about a minute
  nestbed peer --n 300 --json results/kvm.jsonl
"""
CLIENT = "tools/kvmclient"
MEMORY = 384
WIDTH = 100
COMMAND = re.compile(r"^# command: .*$", re.MULTILINE)
# Their cost under KVM says nothing of an exit: they wait for a timer, or need L1's own counters.
LEFT_OUT = {"hlt"}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A command in the guest, and the series that its result lines belong to."""

    command: str
    series: Series | None = None  # none: it prints no results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's own arguments."""
    parser.set_defaults(memory=MEMORY, ips=linux.IPS, silence=300)
    parser.add_argument("--n", type=int, default=100, help="runs of an operation (default 100)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one object a measurement")
    parser.add_argument(
        "--results",
        type=Path,
        default=paths.RESULTS,
        metavar="DIR",
        help="where `nestbed bench` left Nestbed's own figures",
    )


def measurements(half: Half, n: int) -> list[Measurement]:
    """What is done in the guest, in this order. KVM starts with VMCS shadowing where it has it."""
    ops = [op for op in half.ops[3] if op not in LEFT_OUT]
    words = f"ops={','.join(ops)} n={n} cold=off"
    plan = []
    vmcs = half.reference_ways.get("vmcs")
    for series in half.series:
        if series.level == 2:
            plan.append(Measurement(f"/kvmclient /bench.elf 'bench {words} level=2'", series))
            continue
        if series.ways.get("vmcs") != vmcs:
            vmcs = series.ways["vmcs"]
            shadow = f"enable_shadow_vmcs={int(vmcs == 'shadow')}"
            plan.append(Measurement(f"rmmod kvm_intel && modprobe kvm-intel nested=1 {shadow}"))
        hv = f"/kvmclient /hv.elf 'hv profile={series.profile}'"
        plan.append(Measurement(f"{hv} /bench.elf 'l3 {words} tap=sub'", series))
    return plan


def run_linux(
    arguments: argparse.Namespace, platform: Platform, plan: list[Measurement]
) -> Outcome:
    """Boots Linux without Nestbed and does the measurements there."""
    files = linux_image.in_root(
        [paths.built(CLIENT), paths.image("bench"), paths.image("hv")],
    )
    image = linux_image.make()
    with tempfile.TemporaryDirectory(prefix="nestbed-peer-") as name:
        initrd = Path(name) / "initramfs.cpio"
        linux_image.with_commands(image, [part.command for part in plan], initrd, files)
        boot = linux.boot_of(platform, arguments.cpus, arguments.memory, image.vmlinux, initrd)
        return run(platform, boot, limits=commands.limits(arguments))


def collect(platform: Platform, outcome: Outcome, plan: list[Measurement]) -> list[dict]:
    """One row a measurement."""
    common = {
        "peer": "kvm",
        "release": linux.Boots.of(outcome).release,
        "platform": platform.name,
        "platform_version": platform.version,
        "cpu_model": platform.cpu_model,
        "commit": commands.commit(),
    }
    rows = []
    for part, serial in zip(plan, COMMAND.split(outcome.serial)[1:]):
        if part.series:
            own = {"level": part.series.level, "series": part.series.label}
            rows += [{**row, **own} for row in results.parse(serial, common, {})]
    return rows


def ours(path: Path) -> list[dict]:
    """Nestbed's own figures, if they were measured."""
    return results.read_lines(path) if path.is_file() else []


def table_of(half: Half, rows: list[dict], nestbed: list[dict]) -> Table:
    """KVM's figures with Nestbed's beside them: median ticks of one operation."""
    note = half.references.note or None
    table = Table(
        title="Median instructions of one operation", caption=note, box=box.SIMPLE_HEAD
    )
    table.add_column("operation")
    for series in half.series:
        table.add_column(f"{series.label}\nKVM", justify="right")
        table.add_column("\nNestbed", justify="right")
    for op in dict.fromkeys(row["op"] for row in rows):
        cells = []
        for series in half.series:
            theirs = results.find(rows, op=op, series=series.label)
            wanted = {"op": op, "level": series.level, "state": "warm", "profile": series.profile}
            ours_too = results.find(nestbed, **wanted, **series.ways)
            for row in (theirs, ours_too):
                cells.append(bench_table.number(row["ticks_median"]) if row else "")
        table.add_row(op, *cells)
    return table


def command(arguments: argparse.Namespace) -> int:
    """Measures KVM and prints its figures beside Nestbed's."""
    if arguments.n < 1:
        raise NestbedError("An operation must run at least once: give --n 1 or more.")
    platform = commands.choose_platform(arguments)
    half = experiment.load()[platforms.extension_of(platform)]
    plan = measurements(half, arguments.n)
    err.print("[dim]booting Linux on the platform and measuring its KVM[/]")
    outcome = run_linux(arguments, platform, plan)
    boots = linux.Boots.of(outcome)
    if not boots.good:
        out.print(outcome.serial, markup=False, soft_wrap=True)
        if not boots.failed:
            commands.explain(outcome)
        raise NestbedError("The measurements in Linux failed.")
    rows = collect(platform, outcome, plan)
    if not rows:
        raise NestbedError("KVM's measurements printed no result.")
    if arguments.json:
        results.write_lines(arguments.json, rows)
    nestbed = ours(arguments.results / "run.jsonl")
    print_wide(table_of(half, rows, nestbed), WIDTH)
    if not nestbed:
        out.print("Nestbed's own figures come from `nestbed bench`, which was not run yet.")
    return 0
