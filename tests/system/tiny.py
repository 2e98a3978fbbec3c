"""Images of a few instructions, made here, for what no guest of the project does."""

import struct

MULTIBOOT_MAGIC = 0x1BADB002
FLAG_ADDRESSES = 1 << 16
LOAD_AT = 0x100000
HEADER = struct.Struct("<8I")

# 32-bit code: mov $0x8900, %dx; mov $'D', %al; out %al, (%dx); 1: hlt; jmp 1b
LEAVE_WELL = bytes.fromhex("66ba0089" "b044" "ee" "f4" "ebfd")
# cli; 1: jmp 1b
SPIN = bytes.fromhex("fa" "ebfe")
# lidt 0x100028, which is the six zeros at the end; int3: there is no gate, not even for #DF
TRIPLE_FAULT = bytes.fromhex("0f011d" "28001000" "cc" "000000000000")


def multiboot(code: bytes, flags: int = 0, load_at: int = LOAD_AT, extra_memory: int = 0) -> bytes:
    """A Multiboot image that carries its load addresses, as flat binaries do."""
    flags |= FLAG_ADDRESSES
    end = load_at + HEADER.size + len(code)
    checksum = -(MULTIBOOT_MAGIC + flags) & 0xFFFFFFFF
    header = HEADER.pack(
        MULTIBOOT_MAGIC,
        flags,
        checksum,
        load_at,
        load_at,
        end,
        end + extra_memory,
        load_at + HEADER.size,
    )
    return header + code
