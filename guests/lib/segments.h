/*
 * The guests' descriptor table: fixed selectors for every mode that tests visit, a TSS, and spare
 * entries that a test fills itself. Assembly sees the selectors only.
 */
#ifndef GUESTS_LIB_SEGMENTS_H
#define GUESTS_LIB_SEGMENTS_H

#define SEL_CODE64      0x08
#define SEL_DATA        0x10
#define SEL_CODE32      0x18
#define SEL_USER_CODE32 0x23
#define SEL_USER_DATA   0x2b
#define SEL_USER_CODE64 0x33
#define SEL_TSS         0x38 /* two entries */
#define SEL_CODE16      0x48
#define SEL_DATA16      0x50
#define SEL_SPARE       0x58 /* SEL_SPARES entries for tests */
#define SEL_SPARES      8

/* Access rights of the segments of CPL 3, as segment_descriptor() and the inner guest take them. */
#define ACCESS_USER_CODE64 0xa0fb
#define ACCESS_USER_DATA   0xc0f3

/* Interrupt stack table entry of double faults. */
#define IST_DOUBLE_FAULT 1

#ifndef __ASSEMBLER__

#include "l1-hypervisor/leaf/types.h"

/* What lgdt, lidt, sgdt and sidt use. */
struct table_pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 io_map;
} __attribute__((packed));

extern u64 guest_gdt[];
extern struct table_pointer guest_gdt_pointer;
extern struct tss guest_tss;

/*
 * A descriptor as the table holds it. `access` has type, S, DPL and P in bits 7:0 and AVL, L, D/B
 * and G in bits 15:12, as VMCS access rights do; `limit` counts in the unit that G says.
 */
u64 segment_descriptor(u32 base, u32 limit, u16 access);

/* Puts a descriptor into the table; the caller reloads the segment register. */
void segment_set(u16 selector, u64 descriptor);

/* Points the TSS descriptor at guest_tss and loads TR: at start-up, and after TR was changed. */
void segments_init(void);

#endif

#endif
