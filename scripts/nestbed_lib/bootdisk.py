"""Writes the raw disk that the reset ROM boots from.

The format is `struct disk_header` of l1-hypervisor/boot/rom/rom.h: the header in the first 8 KiB
with all texts, then the files, each from a sector of its own.
"""

import os
import struct
from pathlib import Path

from .boot import Boot
from .errors import NestbedError

MAGIC = b"NBDISK01"
SECTOR = 512
HEADER_SIZE = 8192
MODULES_MAX = 32
HEADER = struct.Struct("<8s3I")
FILE = struct.Struct("<3I")
TEXTS = HEADER.size + FILE.size * (1 + MODULES_MAX)
# A disk of whole cylinders, so that the emulator takes its size from the file.
HEADS, SECTORS_PER_TRACK = 16, 63
CYLINDER = HEADS * SECTORS_PER_TRACK * SECTOR


def write(boot: Boot, path: Path) -> int:
    """Writes the disk for `boot` to `path`; returns its number of cylinders."""
    texts = bytearray()
    entries = []
    with open(path, "wb") as disk:
        disk.seek(HEADER_SIZE)
        files = [(boot.kernel, boot.kernel_line)]
        files += [(module.path, module.text) for module in boot.modules]
        for source, text in files:
            sector = disk.tell() // SECTOR
            content = source.read_bytes()
            disk.write(content)
            disk.seek(-disk.tell() % SECTOR, os.SEEK_CUR)
            entries.append(FILE.pack(sector, len(content), TEXTS + len(texts)))
            texts += text.encode() + b"\0"
        if TEXTS + len(texts) > HEADER_SIZE:
            raise NestbedError(
                f"The command lines are longer than {HEADER_SIZE - TEXTS} bytes together."
            )
        cylinders = -(-disk.tell() // CYLINDER)
        disk.truncate(cylinders * CYLINDER)
        disk.seek(0)
        disk.write(HEADER.pack(MAGIC, boot.memory, boot.cpus, len(boot.modules)))
        disk.write(b"".join(entries))
        disk.seek(TEXTS)
        disk.write(texts)
    return cylinders
