"""`nestbed debug`: a machine under the platform's debugger, with L1's and its guests' symbols."""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import commands, paths, platforms
from .boot import Boot
from .console import err
from .errors import NestbedError

SUMMARY = "run under the platform's debugger: Bochs's own, or GDB on QEMU"
EXAMPLES = """\
examples:
  nestbed debug                                  the bench as L2, in Bochs's debugger
  nestbed debug --platform tcg                   the same in GDB
In Bochs's debugger: c runs, Ctrl-C stops, lb ADDRESS and lb "SYMBOL" set breakpoints,
vmexitbp stops at every VM exit, `trace on` shows instructions, r and creg show registers.
"""
GDB_PORT = 1234


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Nothing beyond the machine and its guests."""


def symbol_files(boot: Boot) -> list[Path]:
    """The images with symbols behind what is booted, as far as the project built them."""
    images = [boot.kernel, *(module.path for module in boot.modules)]
    candidates = [image.with_name(f"{image.stem}64.elf") for image in images]
    return [path for path in candidates if path.is_file()]


def _write_bochs_symbols(image: Path, path: Path) -> None:
    """Symbols as Bochs reads them: an address and a name a line."""
    listed = subprocess.run(
        ["nm", "--defined-only", str(image)], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    path.write_text("".join(f"{row[0]} {row[2]}\n" for row in rows if len(row) == 3))


def _debug_bochs(platform: platforms.Platform, boot: Boot, directory: Path) -> int:
    command = platform.prepare(boot, directory)
    script = []
    for image in symbol_files(boot):
        symbols = directory / f"{image.stem}.sym"
        _write_bochs_symbols(image, symbols)
        script.append(f'ldsym global "{symbols.name}"\n')
    (directory / "commands").write_text("".join(script))
    err.print(f"Guest's serial output: {directory}/com1.txt")
    return subprocess.call(command, cwd=directory, env=platform.environment())


def _debug_qemu(platform: platforms.Platform, boot: Boot, directory: Path) -> int:
    gdb = shutil.which("gdb")
    if not gdb:
        raise NestbedError("GDB is not installed: run `apt-get install gdb`.")
    command = [*platform.prepare(boot, directory), "-S", "-gdb", f"tcp:localhost:{GDB_PORT}"]
    script = [gdb, "-ex", f"target remote localhost:{GDB_PORT}"]
    for image in symbol_files(boot):
        script += ["-ex", f"add-symbol-file {image}"]
    err.print(f"Guest's serial output: {directory}/com1.txt; log: {directory}/log.txt")
    with open(directory / "log.txt", "wb") as log:
        machine = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log)
    try:
        return subprocess.call(script, cwd=paths.ROOT, env=dict(os.environ))
    finally:
        machine.kill()
        machine.wait()


def command(arguments: argparse.Namespace) -> int:
    """Starts the machine in a directory of its own and hands the terminal to the debugger."""
    platform = commands.choose_platform(arguments)
    boot = commands.make_boot(arguments)
    start = _debug_bochs if platform.name == "bochs" else _debug_qemu
    with tempfile.TemporaryDirectory(prefix="nestbed-debug-") as directory:
        return start(platform, boot, Path(directory))
