"""Bochs as a platform: its configuration, its start, what its end means, its debugger.

The only place that writes a Bochs configuration. Runs repeat bit for bit: no clock of the host
reaches the machine (docs/platforms.md).
"""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from . import bootdisk, paths, trace
from .boot import Boot
from .errors import NestbedError

PROGRAM = "bochs-bin"
# The CPU model for each extension.
MODELS = {"vmx": "corei7_skylake_x", "svm": "ryzen"}
# Its models with SVM; all later ones of the other vendor have VMX.
AMD_MODELS = ("turion64_tyler", "phenom_8650_toliman", "zambezi", "trinity_apu", "ryzen")
# A low rate makes the serial line cheap: it sends 115200 baud of emulated time, and a second of
# emulated time has this many instructions.
IPS = 4_000_000
EMULATED_EPOCH = 946684800
# MiB of the host that Bochs takes at most; memory of the machine beyond it comes from a file.
HOST_MEMORY_MAX = 2048
DEBUGGER_SECONDS = 20

CONFIGURATION = """\
plugin_ctrl: biosdev=0, speaker=0, extfpuirq=0, parallel=0, gameport=0, iodebug=1, unmapped=1, \
serial=1
config_interface: textconfig
display_library: rfb, options="timeout=0"
vga: extension=none, update_freq=1, realtime=0
romimage: file={rom}, address=0
ata0-master: type=disk, path=disk.img, mode=flat, cylinders={cylinders}, heads={heads}, spt={spt}
memory: guest={memory}, host={host}
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs={ignore}
clock: sync=none, time0={epoch}
log: bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
port_e9_hack: enabled=1
com1: enabled=1, mode=file, dev=com1.txt
"""

# The debugger runs the machine, and when it stops (the guest's exit, or our interrupt) what stands
# in the file `after` at that time.
COMMANDS = "c\nsource after\n"
SHUTDOWN = re.compile(r"Shutdown port: shutdown requested$")
PROMPT = re.compile(r"^(<bochs:\d+> )+")
MODEL_LINE = re.compile(r"^(\w+)$", re.MULTILINE)
LOG = "log.txt"  # where the machine's standard output goes


def models() -> set[str]:
    """The CPU models of this build; none when Bochs is not installed."""
    program = shutil.which(PROGRAM)
    if not program:
        return set()
    listed = subprocess.run(
        [program, "--help", "cpu"], capture_output=True, text=True, check=False
    )
    return set(MODEL_LINE.findall(listed.stdout + listed.stderr))


@dataclasses.dataclass(frozen=True)
class Bochs:
    """Starts machines in Bochs."""

    model: str = MODELS["vmx"]
    ips: int = IPS
    ignore_bad_msrs: bool = True
    extra: tuple[str, ...] = ()  # more lines of configuration

    name = "bochs"

    @property
    def cpu_model(self) -> str:
        """The emulated CPU, as results name it."""
        return self.model

    @property
    def version(self) -> str:
        """The emulator's version, as Debian's package has it."""
        query = ["dpkg-query", "-W", "-f", "${Version}", "bochs"]
        found = subprocess.run(query, capture_output=True, text=True, check=False)
        return f"bochs {found.stdout or 'unknown'}"

    @staticmethod
    def ticks(_cpus: int) -> str:
        """What the guests' time-stamp counter counts."""
        return "instructions"

    def environment(self) -> dict[str, str]:
        """What the process needs in its environment."""
        return {**os.environ, "LD_PRELOAD": str(paths.built("tools/steady.so"))}

    def prepare(self, boot: Boot, directory: Path) -> list[str]:
        """Fills `directory` and returns the command that starts the machine there."""
        program = shutil.which(PROGRAM)
        if not program:
            raise NestbedError("Bochs is not installed: run scripts/setup.")
        cylinders = bootdisk.write(boot, directory / "disk.img")
        configuration = CONFIGURATION.format(
            rom=paths.built("rom.bin"),
            cylinders=cylinders,
            heads=bootdisk.HEADS,
            spt=bootdisk.SECTORS_PER_TRACK,
            memory=boot.memory,
            host=min(boot.memory, HOST_MEMORY_MAX),
            model=self.model,
            cpus=boot.cpus,
            ips=self.ips,
            ignore=int(self.ignore_bad_msrs),
            epoch=EMULATED_EPOCH,
        )
        (directory / "bochsrc").write_text("\n".join([configuration, *self.extra, ""]))
        (directory / "commands").write_text(COMMANDS)
        (directory / "after").write_text("q\n")
        return [program, "-q", "-f", "bochsrc", "-rc", "commands"]

    def tsc_khz(self, _cpus: int) -> int:
        """The frequency of the time-stamp counter: one tick an instruction."""
        return self.ips // 1000

    @staticmethod
    def log_line(line: str) -> str:
        """A line of the log channel as it was before the debugger's prompt got in front of it."""
        return PROMPT.sub("", line)

    @staticmethod
    def ended_well(status: int, _complaints: list[str]) -> bool:
        """Whether the guest left by the exit port for success."""
        return status == 0

    @staticmethod
    def guest_left(status: int, complaints: list[str]) -> bool:
        """Whether the guest left by the exit port, or by its word for failure."""
        return status == 0 or any(map(SHUTDOWN.search, complaints))

    @staticmethod
    def interrogate(
        process: subprocess.Popen, directory: Path, trace_at: int | None
    ) -> tuple[list[str], bytes]:
        """Ends a silent machine; what its debugger tells of its state, and the ring of exits."""
        told = (directory / LOG).stat().st_size
        questions = ["r", "creg", "print-stack 8"]
        if trace_at is not None:
            questions.append(f"xp /{trace.SIZE // 4}wx {trace_at:#x}")
        (directory / "after").write_text("\n".join([*questions, "q", ""]))
        process.send_signal(signal.SIGINT)
        try:
            process.wait(DEBUGGER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        answers = (directory / LOG).read_bytes()[told:].decode(errors="replace")
        return trace.without_dump(answers), trace.ring_of_dump(answers)
