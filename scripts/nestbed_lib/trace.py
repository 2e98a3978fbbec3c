"""L1's ring of the last exits, as a debugger dumps it from memory, and the names of exits.

The ring is `struct trace` of l1-hypervisor/trace.h; the names come from the table that L1 itself is
made from.
"""

import re
import struct

from . import paths

MAGIC = b"NBTRACE1"
HEADER = struct.Struct("<8sQ")
ENTRY = struct.Struct("<2Q")
ENTRIES = 32
LEVEL3 = 0x100
WORDS = (HEADER.size + ENTRIES * ENTRY.size) // 4
EXIT_ROW = re.compile(r"^VMX_EXIT\(\s*(\d+)\s*,\s*(\w+)", re.MULTILINE)
DUMP_ROW = re.compile(r"^0x[0-9a-f]+ <[^>]*>:((?:[ \t]+0x[0-9a-f]{8})+)", re.MULTILINE)


def exit_names() -> dict[int, str]:
    """Exit reasons by number."""
    table = paths.ROOT / "shadow-vmcs" / "vmx_exits.def"
    if not table.is_file():
        return {}
    return {int(number): name for number, name in EXIT_ROW.findall(table.read_text())}


def from_dump(text: str) -> list[dict]:
    """Trace events, oldest first, from the output of Bochs's `xp /NNNwx`; none if it is not one."""
    words = [int(word, 16) for row in DUMP_ROW.findall(text) for word in row.split()]
    ring = b"".join(word.to_bytes(4, "little") for word in words)
    if len(ring) < WORDS * 4 or not ring.startswith(MAGIC):
        return []
    _, newest = HEADER.unpack_from(ring)
    names = exit_names()
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
