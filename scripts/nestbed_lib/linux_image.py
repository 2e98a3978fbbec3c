"""Makes the Linux guest: Debian's own kernel, unmodified, and a small initramfs around busybox.

Nothing is installed: the kernel package is fetched and unpacked below build/. The kernel comes out
of its bzImage here, since decompressing it inside an emulator would take most of the boot.
"""

import dataclasses
import fcntl
import gzip
import lzma
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import cpio, paths
from .errors import NestbedError

META_PACKAGE = "linux-image-amd64"
SOURCES = paths.ROOT / "guests" / "linux"
BUSYBOX = Path("/usr/bin/busybox")
# KVM's modules, each with those that it needs, the nearest first.
MODULES = {
    "kernel/virt/lib/irqbypass.ko": (),
    "kernel/arch/x86/kvm/kvm.ko": ("irqbypass.ko",),
    "kernel/arch/x86/kvm/kvm-intel.ko": ("kvm.ko", "irqbypass.ko"),
    "kernel/drivers/crypto/ccp/ccp.ko": (),
    "kernel/arch/x86/kvm/kvm-amd.ko": ("ccp.ko", "kvm.ko", "irqbypass.ko"),
}
COMPILE = (
    "gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -nostdlib -ffreestanding"
    " -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -s"
).split()

SETUP_SECTORS, PAYLOAD = 0x1F1, 0x248
SECTOR = 512
# Magic of a compressed kernel and what decompresses it from standard input.
TOOLS = {b"\x28\xb5\x2f\xfd": ["zstd", "-dc"], b"\x02\x21\x4c\x18": ["lz4", "-dc"]}
ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
ELF_PROGRAM = struct.Struct("<IIQQQQQQ")
PT_LOAD = 1


@dataclasses.dataclass(frozen=True)
class LinuxImage:
    """The guest's files."""

    package: str  # name and version
    vmlinux: Path
    bzimage: Path
    initramfs: Path


def make() -> LinuxImage:
    """The guest, made from scratch where build/ does not have it yet."""
    directory = paths.BUILD / "linux"
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tree = _kernel_tree(directory)
        bzimage = next((tree / "boot").glob("vmlinuz-*"))
        vmlinux = directory / f"vmlinux-{tree.name}"
        if not vmlinux.exists():
            _write(vmlinux, repack(decompress(bzimage.read_bytes())))
        initramfs = directory / "initramfs.cpio"
        _write(initramfs, _initramfs(directory, tree))
    return LinuxImage(tree.name, vmlinux, bzimage, initramfs)


def with_commands(
    image: LinuxImage, commands: Sequence[str], path: Path, files: Mapping[str, Path]
) -> None:
    """Writes the initramfs for one run: the image's own, and an archive with the commands and
    further files under their names in the guest."""
    archive = cpio.Archive()
    archive.file("etc/commands", "".join(f"{line}\n" for line in commands).encode())
    made: set[Path] = set()
    for name, file in files.items():
        inside = Path(name.lstrip("/"))
        for parent in reversed(inside.parents[:-1]):
            if parent not in made:
                archive.directory(str(parent))
            made.add(parent)
        archive.file(str(inside), file.read_bytes(), 0o755)
    path.write_bytes(image.initramfs.read_bytes() + archive.finish())


def in_root(files: Iterable[Path]) -> dict[str, Path]:
    """Files as with_commands() takes them, for the guest's root directory."""
    return {file.name: file for file in files}


def decompress(bzimage: bytes) -> bytes:
    """The vmlinux inside a bzImage ("The Linux/x86 Boot Protocol", payload_offset)."""
    if len(bzimage) < PAYLOAD + 8 or bzimage[0x202:0x206] != b"HdrS":
        raise NestbedError("The kernel is no bzImage.")
    offset, length = struct.unpack_from("<II", bzimage, PAYLOAD)
    offset += (bzimage[SETUP_SECTORS] + 1) * SECTOR
    payload = bzimage[offset : offset + length]
    if payload.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        return gzip.decompress(payload[:-4])
    tool = TOOLS.get(payload[:4])
    if not tool:
        raise NestbedError("The kernel is compressed in a way that is not known here.")
    if not shutil.which(tool[0]):
        raise NestbedError(f"The kernel needs {tool[0]} to be decompressed: install it.")
    # The uncompressed size, 4 bytes, stands behind the compressed data.
    return subprocess.run(tool, input=payload[:-4], capture_output=True, check=True).stdout


def repack(vmlinux: bytes) -> bytes:
    """The same memory image in a shorter file: without sections and without zeros at the end of
    segments, which the loader makes itself."""
    header = list(ELF_HEADER.unpack_from(vmlinux))
    table, entry_size, count = header[5], header[9], header[10]
    programs = []
    for i in range(count):
        program = list(ELF_PROGRAM.unpack_from(vmlinux, table + i * entry_size))
        if program[0] == PT_LOAD:
            content = vmlinux[program[2] : program[2] + program[5]].rstrip(b"\0")
            programs.append((program, content))
    header[5], header[6], header[9] = ELF_HEADER.size, 0, ELF_PROGRAM.size
    header[10:] = len(programs), 0, 0, 0
    out = bytearray(ELF_HEADER.pack(*header))
    at = len(out) + ELF_PROGRAM.size * len(programs)
    for program, content in programs:
        program[2], program[5] = at, len(content)
        out += ELF_PROGRAM.pack(*program)
        at += len(content)
    return bytes(out) + b"".join(content for _, content in programs)


def _kernel_tree(directory: Path) -> Path:
    """The unpacked kernel package; fetched when there is none."""
    known = sorted(directory.glob("linux-image-*/boot/vmlinuz-*"))
    if known:
        return known[-1].parents[1]
    depends = _output(["apt-cache", "depends", META_PACKAGE], directory)
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if not found:
        raise NestbedError(
            f"apt knows no package {META_PACKAGE}: this needs Debian with `apt-get update` done."
        )
    package = found[1]
    _output(["apt-get", "-o", "APT::Sandbox::User=root", "download", package], directory)
    archive = next(directory.glob(f"{package}_*.deb"))
    tree = directory / archive.stem
    partial = directory / "unpacking"
    shutil.rmtree(partial, ignore_errors=True)
    _output(["dpkg-deb", "-x", str(archive), str(partial)], directory)
    partial.rename(tree)
    archive.unlink()
    return tree


def _output(command: list[str], directory: Path) -> str:
    """A command's output, or a sentence about its failure."""
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise NestbedError(f"{command[0]} is not here: the Linux guest needs Debian.") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise NestbedError(f"`{' '.join(command)}` failed: {last}") from error
    return done.stdout


def _write(path: Path, content: bytes) -> None:
    """Replaces a file whole, so that an interrupted run leaves no half of one."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.rename(path)


def _initramfs(directory: Path, tree: Path) -> bytes:
    if not BUSYBOX.exists():
        raise NestbedError("busybox-static is not installed: run scripts/setup.")
    user = directory / "user"
    _output([*COMPILE, "-I", str(paths.ROOT), "-o", str(user), str(SOURCES / "user.c")], directory)
    archive = cpio.Archive()
    for name in ("bin", "dev", "etc", "lib", "lib/modules", "proc", "sys"):
        archive.directory(name)
    archive.character_device("dev/console", 5, 1)
    archive.file("init", user.read_bytes(), 0o755)
    archive.file("bin/leave", user.read_bytes(), 0o755)
    archive.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
    archive.file("etc/session", (SOURCES / "session").read_bytes())
    archive.file("bin/kvm-exits", (SOURCES / "kvm-exits").read_bytes(), 0o755)
    _add_modules(archive, directory, next((tree / "lib" / "modules").iterdir()))
    return archive.finish()


def _add_modules(archive: cpio.Archive, directory: Path, source: Path) -> None:
    """KVM's modules where modprobe looks for them, without debug data and unneeded symbols: the
    kernel walks all of a module's symbols for each of its functions."""
    home = f"lib/modules/{source.name}"
    archive.directory(home)
    dependencies = []
    for name, needed in MODULES.items():
        stripped = directory / Path(name).name
        _output(["strip", "--strip-unneeded", "-o", str(stripped), str(source / name)], directory)
        archive.file(f"{home}/{stripped.name}", stripped.read_bytes())
        dependencies.append(f"{stripped.name}: {' '.join(needed)}\n")
    archive.file(f"{home}/modules.dep", "".join(dependencies).encode())
