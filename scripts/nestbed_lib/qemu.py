"""QEMU as a platform, with its own emulator (TCG: SVM, no VMX) or with KVM."""

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

from .boot import Boot
from .errors import NestbedError

PROGRAM = "qemu-system-x86_64"
# isa-debug-exit ends QEMU with (value << 1) | 1, and a guest that did well writes 0.
GOOD_STATUS = 1
# With these TCG repeats bit for bit and RDTSC counts instructions; one CPU only.
STEADY = ["-seed", "1", "-icount", "shift=0,sleep=off", "-rtc", "base=2020-01-01,clock=vm"]


def escaped(text: str) -> str:
    """A text inside a comma-separated option of QEMU."""
    return text.replace(",", ",,")


@dataclasses.dataclass(frozen=True)
class Qemu:
    """Starts machines in QEMU."""

    name: str = "tcg"
    cpu: str = "max"

    @property
    def ticks(self) -> str:
        """What the guests' time-stamp counter counts."""
        return "instructions" if self.name == "tcg" else "cycles"

    @property
    def cpu_model(self) -> str:
        """The CPU that QEMU was asked for."""
        return f"qemu {self.cpu}"

    @property
    def version(self) -> str:
        """The emulator's version."""
        found = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False)
        return found.stdout.partition("\n")[0] or "unknown"

    def environment(self) -> dict[str, str]:
        """What the process needs in its environment."""
        return dict(os.environ)

    def prepare(self, boot: Boot, directory: Path) -> list[str]:
        """Fills `directory` and returns the command that starts the machine there."""
        program = shutil.which(PROGRAM)
        if not program:
            raise NestbedError("QEMU is not installed: run scripts/setup.")
        command = [program, "-M", "q35", "-nodefaults", "-display", "none", "-no-reboot"]
        command += ["-m", str(boot.memory), "-smp", str(boot.cpus)]
        command += ["-accel", self.name, "-cpu", self.cpu]
        if self.name == "tcg" and boot.cpus == 1:
            command += STEADY
        command += ["-serial", "file:com1.txt", "-debugcon", "stdio"]
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
    def ended_well(status: int) -> bool:
        """Whether the guest left by the exit port for success."""
        return status == GOOD_STATUS

    @staticmethod
    def interrogate(process: subprocess.Popen, _directory: Path, _trace_at: int | None) -> None:
        """Ends a silent machine."""
        process.kill()
        process.wait()
