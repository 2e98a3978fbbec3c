"""`nestbed linux`: Debian's own Linux as L2, to user space, and what that costs.

The same kernel and initramfs are booted without a hypervisor on the same machine, and the two are
compared: ticks from the kernel's first instruction to the first one in user space.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import json
import re
import sys
import tempfile
import threading
from pathlib import Path

from rich.table import Table

from . import commands, linux_guest, linux_image, paths, report
from .boot import Boot, Module, nestbed_boot
from .console import complain, err, out, print_wide
from .errors import NestbedError
from .machine import End, Outcome, Platform, run

SUMMARY = "boot Debian's Linux as L2, run commands there, and compare with a native boot"
EXAMPLES = """\
examples:
  nestbed linux                                  to user space, KVM loaded, off again
  nestbed linux --cpus 2 --command "cat /proc/interrupts"
  nestbed linux --strategy tlb=flush --json linux.json
  nestbed linux --native                         the native boot only
  nestbed linux --platform tcg --guest linux     Linux's KVM as L2, the same Linux as its L3
  nestbed linux --no-compare --memory 384 --file build/tools/kvmclient \\
      --file build/guests/bench.elf --command "/kvmclient /bench.elf 'bench ops=cpuid level=3'"
                                                 Linux's KVM as L2, the bench as its L3
"""
# Enough for the kernel, its initramfs and L1. A tick of Linux's clock comes 250 times in a second
# of emulated time, so a second must have many instructions.
MEMORY = 256
IPS = 50_000_000
SILENCE = 120
TABLE_WIDTH = 90

NATIVE, UNDER_NESTBED = "native", "L2 of Nestbed"

# What lets the kernel boot fast where every instruction is emulated. Bochs has no firmware tables
# and no PCI, and nothing here needs them elsewhere.
KERNEL_WORDS = (
    "console=ttyS0,115200 quiet loglevel=3 nokaslr mitigations=off preempt=none tsc=reliable"
    " nolapic_timer rodata=off nowatchdog audit=0 cryptomgr.notests=1 acpi=off pci=off idle=halt"
    " rcupdate.rcu_expedited=1 initcall_blacklist=load_system_certificate_list"
)
RESULT = re.compile(r'^# (\{"linux":.*\})$', re.MULTILINE)
PLAN = re.compile(r"^1\.\.(\d+)$", re.MULTILINE)
POINT = re.compile(r"^(not )?ok \d+", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Boots:
    """What came of one boot of Linux."""

    good: bool
    failed: int  # points, of a session that came to its end
    user_ticks: int | None  # from the kernel's entry to user space
    release: str
    seconds: float
    guest_ticks: int | None = None  # the same of the Linux that its KVM ran

    @classmethod
    def of(cls, outcome: Outcome) -> "Boots":
        """Reads the guest's TAP and L1's log."""
        serial = outcome.serial
        found = RESULT.search(serial)
        told = json.loads(found[1])["linux"] if found else {}
        plan = PLAN.search(serial)
        points = POINT.findall(serial)
        complete = bool(plan) and len(points) == int(plan[1])
        failed = sum(map(bool, points)) if complete else 0
        entered = [e["tsc"] for kind in ("start", "native") for e in outcome.of_kind(kind)]
        ticks = told["user_ticks"] - entered[0] if told and entered else None
        return cls(
            outcome.end is End.GOOD and complete and not failed,
            failed,
            ticks,
            told.get("release", "unknown"),
            round(outcome.seconds, 1),
            linux_guest.user_ticks(serial),
        )


class Abandoned(Exception):
    """The native boot is no longer wanted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's own arguments."""
    parser.set_defaults(memory=MEMORY, ips=IPS, silence=SILENCE)
    group = parser.add_argument_group("Linux")
    group.add_argument(
        "--append", default="", metavar="WORDS", help="further words for the kernel"
    )
    group.add_argument(
        "--command",
        dest="commands",
        action="append",
        default=[],
        metavar="COMMAND",
        help="a shell command to run in the guest; may be repeated",
    )
    group.add_argument(
        "--file",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a file for the guest's root directory; may be repeated",
    )
    group.add_argument(
        "--guest",
        choices=("linux",),
        help="what Linux's KVM runs in the end: the same Linux, one level deeper, with"
        f" {linux_guest.MEMORY_AROUND} MiB where --memory says nothing else",
    )
    group.add_argument(
        "--bzimage",
        action="store_true",
        help="boot the compressed kernel: it spends minutes on decompressing itself",
    )
    group.add_argument(
        "--strategy",
        action="append",
        default=[],
        metavar="NAME=WAY[,NAME=WAY]",
        help="how L1 does a job, e.g. tlb=flush",
    )
    group.add_argument(
        "--l1-append", default="stats=full", metavar="WORDS", help="further words for L1"
    )
    group.add_argument("--native", action="store_true", help="only the boot without Nestbed")
    group.add_argument("--no-compare", action="store_true", help="only the boot under Nestbed")
    group.add_argument("--json", metavar="FILE", help="write the comparison as one JSON object")


def kernel_words(platform: Platform, cpus: int) -> str:
    """Linux's command line on this platform: where the frequency of the TSC is known, it is told,
    since CPUID names that of the real processor and measuring it takes long."""
    khz = platform.tsc_khz(cpus)
    told = f" tsc_early_khz={khz}" if khz else ""
    return f"{KERNEL_WORDS}{told} nestbed.cpus={cpus}"


def boot_of(
    platform: Platform,
    cpus: int,
    memory: int,
    kernel: Path,
    initrd: Path,
    words: str = "",
    l1_words: str = "native=on",
) -> Boot:
    """A machine with Linux in it."""
    return nestbed_boot(
        kernel,
        f"{kernel_words(platform, cpus)} {words}".strip(),
        modules=(Module(initrd, "initrd"),),
        l1_words=l1_words,
        cpus=cpus,
        memory=memory,
    )


def make_boot(
    arguments: argparse.Namespace,
    platform: Platform,
    image: linux_image.LinuxImage,
    initrd: Path,
    native: bool,
) -> Boot:
    """The machine that the arguments describe."""
    memory = arguments.memory
    if arguments.guest and memory == MEMORY:
        memory = linux_guest.MEMORY_AROUND
    return boot_of(
        platform,
        arguments.cpus,
        memory,
        image.bzimage if arguments.bzimage else image.vmlinux,
        initrd,
        arguments.append,
        "native=on" if native else l1_words_of(arguments),
    )


def l1_words_of(arguments: argparse.Namespace) -> str:
    """L1's command line when it is a hypervisor."""
    ways = commands.strategy_words(arguments.strategy)
    return " ".join([*(f"{axis}={way}" for axis, way in ways.items()), arguments.l1_append])


def cache_path(platform: Platform, boot: Boot) -> Path:
    """Where a native boot's result is kept: named by everything that L2 can notice."""
    digest = hashlib.sha256()
    facts = [platform.name, platform.version, platform.cpu_model, boot.cpus, boot.memory]
    facts += [platform.tsc_khz(boot.cpus), boot.words, *(m.text for m in boot.modules)]
    digest.update(json.dumps(facts).encode())
    for path in (paths.built("rom.bin"), *(module.path for module in boot.modules)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return paths.BUILD / "linux" / f"native-{digest.hexdigest()[:16]}.json"


class NativeBoot:
    """The boot without Nestbed, in the background, or its result from an earlier time."""

    def __init__(self, platform: Platform, boot: Boot, limits) -> None:
        self._path = cache_path(platform, boot)
        self._abandoned = threading.Event()
        self._executor = concurrent.futures.ThreadPoolExecutor(1)
        self._work = self._executor.submit(self._boots, platform, boot, limits)

    def __enter__(self) -> "NativeBoot":
        return self

    def __exit__(self, *_) -> None:
        self._abandoned.set()  # ends a boot whose result nobody took
        self._executor.shutdown()

    def result(self) -> Boots:
        """Waits for the boot's end."""
        return self._work.result()

    def _heard(self, _data: bytes) -> None:
        if self._abandoned.is_set():
            raise Abandoned

    def _boots(self, platform: Platform, boot: Boot, limits) -> Boots:
        if self._path.exists():
            return Boots(**json.loads(self._path.read_text()))
        outcome = run(platform, boot, self._heard, limits)
        boots = Boots.of(outcome)
        if not boots.good:
            commands.explain(outcome)
            raise NestbedError("The native boot to compare with ended badly.")
        partial = self._path.with_suffix(f".{threading.get_native_id()}")
        partial.write_text(json.dumps(dataclasses.asdict(boots)))
        partial.rename(self._path)
        return boots


def overhead(here: int | None, native: int | None) -> float | None:
    """Ticks beyond the native ones, in per cent of these."""
    if not native or not here:
        return None
    return 100 * (here - native) / native


def comparison_table(ticks_are: str, boots: dict[str, Boots]) -> Table:
    """Ticks to user space of each boot, and of the guest in it, and what they took beyond the
    native ones."""
    release = next(iter(boots.values())).release
    table = Table(title=f"Linux {release} to user space", title_justify="left")
    table.add_column("boot")
    table.add_column(ticks_are, justify="right")
    table.add_column("overhead", justify="right")
    native = boots.get(NATIVE)
    for name, here in boots.items():
        reference = native if native and here is not native else None
        more = overhead(here.user_ticks, reference and reference.user_ticks)
        ticks = "unknown" if here.user_ticks is None else f"{here.user_ticks:,}"
        table.add_row(name, ticks, "" if more is None else f"{more:+.3f} %")
        if here.guest_ticks:
            more = overhead(here.guest_ticks, reference and reference.guest_ticks)
            share = "" if more is None else f"{more:+.1f} %"
            table.add_row(f"KVM's guest in it, {name}", f"{here.guest_ticks:,}", share)
    return table


def result_object(
    arguments: argparse.Namespace,
    platform: Platform,
    boot: Boot,
    outcome: Outcome,
    native: Boots | None,
) -> dict:
    """The comparison, with everything needed to understand it later."""
    here = Boots.of(outcome)
    return {
        **commands.result_object(platform, boot, outcome),
        "commands": arguments.commands,
        "linux": dataclasses.asdict(here),
        "native": dataclasses.asdict(native) if native else None,
        "overhead_percent": overhead(here.user_ticks, native and native.user_ticks),
        "guest_overhead_percent": overhead(here.guest_ticks, native and native.guest_ticks),
    }


def finish(
    arguments: argparse.Namespace,
    platform: Platform,
    boot: Boot,
    outcome: Outcome,
    native: Boots | None,
) -> int:
    """Reports a boot that has ended; the process status."""
    here = Boots.of(outcome)
    if arguments.json:
        write = result_object(arguments, platform, boot, outcome, native)
        commands.write_json(arguments.json, write)
    table = report.exit_table(outcome, f"Exits of Linux on {boot.cpus} CPU(s)")
    for shown in (table, linux_guest.exit_table(outcome.serial)):
        if shown:
            print_wide(shown, TABLE_WIDTH)
    boots = {NATIVE: native} if native else {}
    boots[NATIVE if arguments.native else UNDER_NESTBED] = here
    if here.release != "unknown":
        out.print(comparison_table(platform.ticks(boot.cpus), boots))
    if here.good:
        return 0
    if here.failed:
        complain(f"Linux came to its end, but {here.failed} of its points failed (see above).")
    else:
        commands.explain(outcome)
    return 1


def make_initrd(
    arguments: argparse.Namespace,
    platform: Platform,
    image: linux_image.LinuxImage,
    directory: Path,
) -> Path:
    """The initramfs with the run's commands and files, those of a guest of KVM among them."""
    told, files = list(arguments.commands), list(arguments.file)
    if arguments.guest:
        nested = linux_guest.make(image, kernel_words(platform, 1), directory)
        told.append(nested.command)
        files += nested.files
    initrd = directory / "initramfs.cpio"
    linux_image.with_commands(image, told, initrd, linux_image.in_root(files))
    return initrd


def command(arguments: argparse.Namespace) -> int:
    """Boots Linux, alone or under Nestbed or both."""
    platform = commands.choose_platform(arguments)
    limits = commands.limits(arguments)
    if arguments.native and arguments.no_compare:
        raise NestbedError("--native and --no-compare contradict each other: leave one out.")
    for file in arguments.file:
        if not file.is_file():
            raise NestbedError(f"There is no file {file} for the guest: give an existing one.")
    err.print("[dim]making the Linux guest (its kernel is fetched once)[/]")
    image = linux_image.make()
    with tempfile.TemporaryDirectory(prefix="nestbed-linux-") as name:
        initrd = make_initrd(arguments, platform, image, Path(name))
        boot = make_boot(arguments, platform, image, initrd, arguments.native)
        if arguments.native or arguments.no_compare:
            outcome = run(platform, boot, commands.write_through, limits)
            return finish(arguments, platform, boot, outcome, None)
        native_boot = make_boot(arguments, platform, image, initrd, True)
        with NativeBoot(platform, native_boot, limits) as reference:
            outcome = run(platform, boot, commands.write_through, limits)
            sys.stdout.flush()
            if not Boots.of(outcome).good:
                return finish(arguments, platform, boot, outcome, None)
            return finish(arguments, platform, boot, outcome, reference.result())
