"""Images of a few instructions, made here, for what no guest of the project does."""

import struct

MULTIBOOT_MAGIC = 0x1BADB002
FLAG_ADDRESSES = 1 << 16
LOAD_AT = 0x100000
HEADER = struct.Struct("<8I")

# All code below is 32-bit code, as Multiboot starts it.
# By the ports of QEMU and of Bochs: xor %eax, %eax; out %eax, $0xf4; mov $0x8900, %dx;
# mov $'D', %al; out %al, (%dx); 1: hlt; jmp 1b
LEAVE_WELL = bytes.fromhex("31c0" "e7f4" "66ba0089" "b044" "ee" "f4" "ebfd")
CPUID = bytes.fromhex("0fa2")
# cli; 1: jmp 1b
SPIN = bytes.fromhex("fa" "ebfe")
# cli; 1: hlt; jmp 1b
HALT = bytes.fromhex("fa" "f4" "ebfd")
# push $0; push $0; mov %esp, %eax; lidt (%eax); int3: there is no gate, not even for #DF
TRIPLE_FAULT = bytes.fromhex("bc00000900" "6a00" "6a00" "89e0" "0f0118" "cc")
# mov $0x3fb, %dx; mov $3, %al; out %al, (%dx): eight bits a character on COM1
EIGHT_BITS = bytes.fromhex("66bafb03" "b003" "ee")
# Waits until the serial line has sent everything.
DRAIN = bytes.fromhex("66bafd03" "ec" "2460" "3c60" "75f9")


def say(text: str) -> bytes:
    """Code that writes a text to COM1."""
    # mov $0x3fd, %dx; 1: in (%dx), %al; test $0x20, %al; jz 1b; mov $0x3f8, %dx; mov $c, %al; out
    wait = bytes.fromhex("66bafd03" "ec" "a820" "74fb" "66baf803" "b0")
    return EIGHT_BITS + b"".join(wait + bytes([c]) + b"\xee" for c in text.encode()) + DRAIN


def leave_well_if_equal(address: int, value: int) -> bytes:
    """Code that reads 32 bits and ends well when they are this value, else by a triple fault."""
    # mov address, %eax; cmp $value, %eax; jne over
    check = b"\xa1" + struct.pack("<I", address) + b"\x3d" + struct.pack("<I", value)
    return check + b"\x75" + bytes([len(LEAVE_WELL)]) + LEAVE_WELL + TRIPLE_FAULT


def store(address: int, value: int) -> bytes:
    """Code that writes 32 bits: movl $value, address."""
    return b"\xc7\x05" + struct.pack("<II", address, value)


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
