"""`nestbed run` and `nestbed platforms`: from arguments to machines and back to a status."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from . import bochs, experiment, guest_list, paths, platforms, report
from .boot import Boot, Module, nestbed_boot
from .console import complain, err, out, print_wide
from .errors import NestbedError
from .machine import Limits, Outcome, Platform, run

WAY = re.compile(r"^(?:(\d+):)?([a-z][a-z0-9.]*)=([A-Za-z0-9_+-]+)$")
MEMORY_PER_NESTBED = 16  # MiB, what each takes
EVENTS_SHOWN = 8


def strategy_words(arguments: list[str], depth: int = 1, depths: int = 1) -> dict[str, str]:
    """The axes and ways of all --strategy arguments for the Nestbed at a depth, one of so many; it
    is the outermost one where they say none. Which ones exist is L1's to say."""
    ways: dict[str, str] = {}
    for argument in arguments:
        for word in argument.split(","):
            found = WAY.match(word)
            if not found:
                raise NestbedError(f"The strategy {word!r} is not of the form NAME=WAY.")
            at, axis, way = found.groups()
            if not 1 <= int(at or 1) <= depths:
                raise NestbedError(f"The strategy {word} has no Nestbed: they are {depths} deep.")
            if int(at or 1) != depth:
                continue
            if ways.setdefault(axis, way) != way:
                raise NestbedError(f"The strategy {axis} is given as {ways[axis]} and as {way}.")
    return ways


def l1_words(arguments: argparse.Namespace, depth: int) -> str:
    """The command line of the Nestbed at a depth."""
    ways = strategy_words(arguments.strategy, depth, arguments.depth)
    words = [f"{axis}={way}" for axis, way in ways.items()]
    if arguments.native:
        words.append("native=on")
    return " ".join([*words, arguments.l1_append]).strip()


def make_boot(arguments: argparse.Namespace) -> Boot:
    """The machine that the arguments describe."""
    default = "hv" if arguments.l3 else "bench"
    if arguments.native and arguments.depth > 1:
        raise NestbedError("--native runs no Nestbed and --depth several: leave one out.")
    return nestbed_boot(
        paths.image(arguments.l2 or default),
        arguments.append,
        paths.image(arguments.l3) if arguments.l3 else None,
        arguments.l3_append,
        tuple(Module.parse(module) for module in arguments.module),
        tuple(l1_words(arguments, depth) for depth in range(1, arguments.depth + 1)),
        cpus=arguments.cpus,
        memory=arguments.memory + (arguments.depth - 1) * MEMORY_PER_NESTBED,
    )


def choose_platform(arguments: argparse.Namespace) -> Platform:
    """The platform that the arguments name, or that the image and the ways need."""
    wants = guest_list.extension_of(getattr(arguments, "l2", None) or "")
    depths = getattr(arguments, "depth", 1)
    for axis in strategy_words(getattr(arguments, "strategy", []), depths=depths):
        having = [name for name, half in experiment.load().items() if axis in half.axes]
        wants = having[0] if len(having) == 1 else wants
    return platforms.choose(arguments.platform, arguments.ips, arguments.cpu, wants)


def limits(arguments: argparse.Namespace) -> Limits:
    """The watchdog's limits."""
    return Limits(
        silence=arguments.silence,
        silence_wall=10 * arguments.silence,
        total=arguments.timeout,
    )


def commit() -> str:
    """The state of the tree, as L1 has it too."""
    command = ["git", "--no-optional-locks", "describe", "--always", "--dirty"]
    found = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def result_object(platform: Platform, boot: Boot, outcome: Outcome) -> dict:
    """One run as one object, with everything needed to understand it later."""
    start = next(iter(outcome.of_kind("start")), {})
    backend = start.get("backend", platforms.extension_of(platform))
    return {
        "platform": platform.name,
        "platform_version": platform.version,
        "cpu_model": platform.cpu_model,
        "backend": backend,
        "ticks": platform.ticks(boot.cpus),
        "commit": commit(),
        "l1_words": boot.words,
        "modules": [{"file": str(m.path), "text": m.text} for m in boot.modules],
        "cpus": boot.cpus,
        "memory": boot.memory,
        "strategies": {axis: start.get(axis) for axis in experiment.load()[backend].axes},
        "end": outcome.end.value,
        "seconds": round(outcome.seconds, 3),
        "cpu_seconds": round(outcome.cpu_seconds, 3),
        "serial": outcome.serial,
        "log": outcome.events,
    }


def write_json(path: str, content: dict) -> None:
    """Writes a result file."""
    try:
        Path(path).write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise NestbedError(f"{path} cannot be written: {error.strerror}.") from error


def explain(outcome: Outcome) -> None:
    """Says on standard error why a run was not good, with what is known of its end."""
    complain(report.sentence(outcome))
    trace = outcome.of_kind("trace")
    if trace:
        err.print(report.trace_table(trace))
    panics = outcome.of_kind("panic")
    for event in panics:
        err.print(f"  {json.dumps(event)}", soft_wrap=True, markup=False)
    if not outcome.errors():
        for event in [e for e in outcome.events if e not in trace][-EVENTS_SHOWN:]:
            err.print(f"  L1: {json.dumps(event)}", soft_wrap=True, markup=False)
    # Bochs calls it a panic when a guest, or L1, ends the machine on purpose.
    complaints = [line for line in outcome.complaints if not bochs.SHUTDOWN.search(line)]
    for line in [*complaints, *outcome.state]:
        err.print(f"  {line}", soft_wrap=True, markup=False)


def write_through(data: bytes) -> None:
    """Hands on a guest's serial output as it comes."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def print_exits(outcome: Outcome) -> None:
    """The exit table of each Nestbed that ran."""
    for depth in outcome.depths:
        title = "Hardware exits" if outcome.depths == [1] else f"Exits that L{depth} saw"
        table = report.exit_table(outcome, title, depth)
        err.print(table or f"L{depth} wrote no exit table.")


def command_run(arguments: argparse.Namespace) -> int:
    """Starts L2, alone or under Nestbed, and says whether it did well."""
    boot = make_boot(arguments)
    platform = choose_platform(arguments)
    outcome = run(platform, boot, write_through, limits(arguments))
    if arguments.json:
        write_json(arguments.json, result_object(platform, boot, outcome))
    if arguments.depth > 1 and outcome.depths:
        print_wide(report.nestbeds_table(outcome), report.NESTBEDS_WIDTH, err)
    if arguments.exits:
        print_exits(outcome)
    if outcome.good:
        return 0
    explain(outcome)
    return 1


def command_platforms(_arguments: argparse.Namespace) -> int:
    """Prints what each platform can do here."""
    out.print(report.platform_table([probe() for probe in platforms.PROBES.values()]))
    return 0
