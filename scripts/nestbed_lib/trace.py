"""L1's ring of the last exits, as a platform's debugger reads it from memory, with names of exits.

The ring is `struct trace` of l1-hypervisor/trace.h; the names come from the tables that L1 itself
is made from.
"""

import re
import struct

from . import paths

MAGIC = b"NBTRACE1"
HEADER = struct.Struct("<8sQ")
ENTRY = struct.Struct("<2Q")
ENTRIES = 32
LEVEL3 = 0x100
SIZE = HEADER.size + ENTRIES * ENTRY.size
EXIT_ROW = re.compile(r"^(?:VMX|SVM)_EXIT\(\s*(\w+)\s*,\s*(\w+)", re.MULTILINE)
DUMP_ROW = re.compile(r"^0x[0-9a-f]+ <[^>]*>:((?:[ \t]+0x[0-9a-f]{8})+)", re.MULTILINE)


def exit_names(backend: str) -> dict[int, str]:
    """Exit reasons by number, of L1's backend vmx or svm."""
    table = (paths.ROOT / "shadow-vmcs" / f"{backend}_exits.def").read_text()
    return {int(number, 0): name for number, name in EXIT_ROW.findall(table)}


def ring_of_dump(text: str) -> bytes:
    """The memory that Bochs's `xp /NNNwx` printed."""
    words = [int(word, 16) for row in DUMP_ROW.findall(text) for word in row.split()]
    return b"".join(word.to_bytes(4, "little") for word in words)


def from_ring(ring: bytes, backend: str) -> list[dict]:
    """Trace events, oldest first; none when the memory is no ring of L1."""
    if len(ring) < SIZE or not ring.startswith(MAGIC):
        return []
    _, newest = HEADER.unpack_from(ring)
    names = exit_names(backend)
    events = []
    for i in range(ENTRIES):
        at = HEADER.size + (newest + (i + 1) * ENTRY.size) % (ENTRIES * ENTRY.size)
        rip, reason = ENTRY.unpack_from(ring, at)
        if not rip and not reason:
            continue  # not used yet
        level = 3 if reason & LEVEL3 else 2
        number = reason & ~LEVEL3 & 0xFFFF
        name = names.get(number, "?")
        events.append(
            {"ev": "trace", "level": level, "reason": number, "name": name, "rip": rip}
        )
    return events


def without_dump(text: str) -> list[str]:
    """The lines of a debugger's output that are not the dump of the ring."""
    return [line for line in DUMP_ROW.sub("", text).splitlines() if line.strip()]
