"""KVM as L0 where the hardware has none: QEMU with KVM inside of Debian's Linux inside of TCG.

The machine that is asked for runs in the very QEMU that `--platform kvm` would start, with the same
command line, but in an emulated machine whose Linux has kvm-amd. Its serial line and its log leave
by serial lines of that Linux, so that everything arrives as from any other platform.
"""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from . import linux, linux_image, qemu
from .boot import Boot
from .errors import NestbedError

MODEL = "EPYC,+svm,+npt"  # one that KVM accepts as its `host`
# Linux with QEMU's files, beside the machine inside.
MEMORY_AROUND = 512
HOME = "inside"  # the directory in Linux where the machine inside is started
CONSOLE = "console.txt"
# Linux's own console, the machine's serial line, the machine's log.
CHANNELS = ("-serial", f"file:{CONSOLE}", "-serial", "file:com1.txt", "-serial", "stdio")
SERIAL, LOG = "/dev/ttyS1", "/dev/ttyS2"
FIRMWARE = (
    "seabios/bios-256k.bin",
    "qemu/multiboot_dma.bin",
    "qemu/linuxboot_dma.bin",
    "qemu/kvmvapic.bin",
)
LIBRARY = re.compile(r"(/\S+) \(0x")


def _program_files() -> list[Path]:
    """QEMU, its libraries and its firmware, as they are installed here."""
    program = shutil.which(qemu.PROGRAM)
    if not program:
        raise NestbedError("QEMU is not installed: run scripts/setup.")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    libraries = [Path(name) for name in LIBRARY.findall(listed.stdout)]
    return [Path(program), *libraries, *(Path("/usr/share") / name for name in FIRMWARE)]


def _command(boot: Boot, directory: Path) -> str:
    """The shell command that runs the machine inside; it succeeds when the machine did well."""
    command = shlex.join(qemu.Qemu("kvm", "host").prepare(boot, directory))
    return (
        f"cd /{HOME} && stty -F {SERIAL} raw && stty -F {LOG} raw && ln -s {SERIAL} com1.txt"
        f" && {command} >{LOG}; test $? = {qemu.GOOD_STATUS}"
    )


@dataclasses.dataclass(frozen=True)
class Inside:
    """Starts machines in QEMU with KVM, inside of TCG."""

    around: qemu.Qemu = qemu.Qemu("tcg", MODEL, CHANNELS)

    name = "kvm"

    def ticks(self, cpus: int) -> str:
        """What the guests' time-stamp counter counts: what it counts around."""
        return self.around.ticks(cpus)

    @property
    def cpu_model(self) -> str:
        """The CPU that KVM makes of the emulated one."""
        return f"host in {self.around.cpu_model}"

    @property
    def version(self) -> str:
        """The emulator's version, which is that of the QEMU inside too."""
        return self.around.version

    def environment(self) -> dict[str, str]:
        """What the process needs in its environment."""
        return dict(os.environ)

    def prepare(self, boot: Boot, directory: Path) -> list[str]:
        """Fills `directory` and returns the command that starts the machine there."""
        inner = directory / HOME
        inner.mkdir()
        command = _command(boot, inner)
        files = {str(path): path for path in _program_files()}
        files[str(boot.kernel.resolve())] = boot.kernel
        files |= {f"/{HOME}/{module.name}": module.path for module in boot.modules}
        image = linux_image.make()
        initrd = directory / "initramfs.cpio"
        linux_image.with_commands(image, [command], initrd, files)
        memory = MEMORY_AROUND + boot.memory
        return self.around.prepare(
            linux.boot_of(self.around, 1, memory, image.vmlinux, initrd), directory
        )

    @staticmethod
    def tsc_khz(_cpus: int) -> int | None:
        """The frequency of the time-stamp counter: KVM's to choose."""
        return None

    @staticmethod
    def log_line(line: str) -> str:
        """A line of the log channel."""
        return line

    def ended_well(self, status: int, complaints: list[str]) -> bool:
        """Whether the machine inside ended well, and so Linux around it."""
        return self.around.ended_well(status, complaints)

    def guest_left(self, status: int, complaints: list[str]) -> bool:
        """Whether the guest ended the machine inside well: the others' ends look all alike."""
        return self.ended_well(status, complaints)

    @staticmethod
    def interrogate(
        process: subprocess.Popen, directory: Path, _trace_at: int | None
    ) -> tuple[list[str], bytes]:
        """Ends a silent machine; the last lines of Linux's console."""
        process.kill()
        process.wait()
        return (directory / CONSOLE).read_text(errors="replace").splitlines()[-8:], b""
