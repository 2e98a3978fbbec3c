"""QEMU as a platform, with its own emulator (TCG: SVM, no VMX) or with KVM."""

import dataclasses
import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from . import trace
from .boot import Boot
from .errors import NestbedError

PROGRAM = "qemu-system-x86_64"
MODEL = "max"  # the CPU of its emulator: all that it can emulate
# isa-debug-exit ends QEMU with (value << 1) | 1, and a guest that did well writes 0.
GOOD_STATUS = 1
# It ends so too when it cannot start the machine, but then it says why.
REFUSAL = re.compile(rf"^{PROGRAM}: (?!warning)")
MODEL_LINE = re.compile(r"^x86 (\S+)", re.MULTILINE)
MONITOR = "monitor"
MONITOR_SECONDS = 20
# With these TCG repeats bit for bit and RDTSC counts instructions; one CPU only.
STEADY = ["-seed", "1", "-icount", "shift=0,sleep=off", "-rtc", "base=2020-01-01,clock=vm"]


def escaped(text: str) -> str:
    """A text inside a comma-separated option of QEMU."""
    return text.replace(",", ",,")


def models() -> set[str]:
    """The CPU models that QEMU knows; none when it is not installed."""
    program = shutil.which(PROGRAM)
    if not program:
        return set()
    listed = subprocess.run([program, "-cpu", "help"], capture_output=True, text=True, check=False)
    return set(MODEL_LINE.findall(listed.stdout))


class Monitor:
    """QEMU's monitor (QMP) of the machine in a directory."""

    def __init__(self, directory: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(MONITOR_SECONDS)
        at = os.open(directory, os.O_PATH)
        try:  # by the descriptor: the name of a socket may have 107 characters only
            self._socket.connect(f"/proc/self/fd/{at}/{MONITOR}")
        finally:
            os.close(at)
        self._lines = self._socket.makefile("rw")
        self._lines.readline()  # who it is
        self.ask("qmp_capabilities")

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_) -> None:
        self._lines.close()
        self._socket.close()

    def ask(self, command: str, **arguments: object) -> object:
        """Executes one command; what it returns, or nothing when it fails."""
        self._lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._lines.flush()
        for line in self._lines:
            answer = json.loads(line)
            if "event" not in answer:
                return answer.get("return")
        return None


@dataclasses.dataclass(frozen=True)
class Qemu:
    """Starts machines in QEMU."""

    name: str = "tcg"
    cpu: str = MODEL
    channels: tuple[str, ...] = ("-serial", "file:com1.txt", "-debugcon", "stdio")

    def ticks(self, cpus: int) -> str:
        """What the guests' time-stamp counter counts; TCG counts instructions of one CPU only."""
        if self.name != "tcg":
            return "cycles"
        return "instructions" if cpus == 1 else "cycles of the host"

    @property
    def cpu_model(self) -> str:
        """The CPU that QEMU was asked for."""
        return self.cpu

    @property
    def version(self) -> str:
        """The emulator's version."""
        found = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False)
        return found.stdout.partition("\n")[0] or "unknown"

    def environment(self) -> dict[str, str]:
        """What the process needs in its environment."""
        return dict(os.environ)

    def _can_be_steady(self, cpus: int) -> bool:
        return self.name == "tcg" and cpus == 1

    def tsc_khz(self, cpus: int) -> int | None:
        """The frequency of the time-stamp counter: an instruction takes a nanosecond with icount;
        unknown where the clock of the host reaches the machine."""
        return 1_000_000 if self._can_be_steady(cpus) else None

    def prepare(self, boot: Boot, directory: Path) -> list[str]:
        """Fills `directory` and returns the command that starts the machine there."""
        program = shutil.which(PROGRAM)
        if not program:
            raise NestbedError("QEMU is not installed: run scripts/setup.")
        command = [program, "-M", "q35", "-nodefaults", "-display", "none", "-no-reboot"]
        command += ["-m", str(boot.memory), "-smp", str(boot.cpus)]
        command += ["-accel", self.name, "-cpu", self.cpu]
        if boot.steady and self._can_be_steady(boot.cpus):
            command += STEADY
        command += self.channels
        command += ["-qmp", f"unix:{MONITOR},server=on,wait=off"]
        command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        command += ["-kernel", str(boot.kernel.resolve()), "-append", boot.words]
        if boot.modules:
            command += ["-initrd", ",".join(self._linked(boot, directory))]
        return command

    @staticmethod
    def _linked(boot: Boot, directory: Path) -> list[str]:
        """Modules as QEMU wants them: it hands on the file's name as the text's first word."""
        texts = []
        for module in boot.modules:
            link = directory / module.name
            if link.exists():
                raise NestbedError(f"Two modules have the name {module.name}: rename one.")
            link.symlink_to(module.path.resolve())
            texts.append(escaped(module.text))
        return texts

    @staticmethod
    def log_line(line: str) -> str:
        """A line of the log channel."""
        return line

    @staticmethod
    def ended_well(status: int, complaints: list[str]) -> bool:
        """Whether the guest left by the exit port for success."""
        return status == GOOD_STATUS and not any(map(REFUSAL.match, complaints))

    @staticmethod
    def guest_left(status: int, complaints: list[str]) -> bool:
        """Whether the guest left by the exit port."""
        return status & 1 == 1 and not any(map(REFUSAL.match, complaints))

    @staticmethod
    def interrogate(
        process: subprocess.Popen, directory: Path, trace_at: int | None
    ) -> tuple[list[str], bytes]:
        """Ends a silent machine; what its monitor tells of its state, and the ring of exits."""
        state, dump = "", directory / "trace.bin"
        try:
            with Monitor(directory) as monitor:
                registers = {"command-line": "info registers"}
                state = str(monitor.ask("human-monitor-command", **registers) or "")
                if trace_at is not None:
                    monitor.ask("pmemsave", val=trace_at, size=trace.SIZE, filename=dump.name)
        except OSError as error:
            state += f"QEMU's monitor does not answer: {error}"
        process.kill()
        process.wait()
        lines = state.partition("\nFCW=")[0].splitlines()  # without the floating-point unit
        return [line for line in lines if line], dump.read_bytes() if dump.exists() else b""
