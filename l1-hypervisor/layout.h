/*
 * L1's address space, for C and assembly: where the image is linked, where it is loaded before it
 * moves itself to the top of memory, and where all physical memory is mapped.
 */
#ifndef L1_LAYOUT_H
#define L1_LAYOUT_H

/* The image is linked to run at IMAGE_BASE; Multiboot loads it at LOAD_BASE. */
#define IMAGE_BASE 0x40000000
#define LOAD_BASE  0x200000
#define IMAGE_MAX  0x400000

/* Physical address 0 appears at DIRECT_MAP; the slot of the PML4 follows from it. */
#define DIRECT_MAP      0xffff800000000000
#define DIRECT_MAP_SLOT 256

/* One page below 1 MiB, borrowed while the other CPUs start, then restored. */
#define TRAMPOLINE 0x8000

#define L1_STACK_SIZE 0x4000

#define SEL_CODE64 0x08
#define SEL_DATA   0x10
#define SEL_CODE32 0x18
#define SEL_TSS    0x20

#endif
