/*
 * Second-level tables of an inner guest, EPT or NPT: plain offset maps in one page size at a time.
 * The two formats agree in what is done here: four levels, bit 7 for a leaf above the last, and
 * bits 2:0 for an entry that allows everything.
 */
#ifndef GUESTS_LIB_STAGE2_H
#define GUESTS_LIB_STAGE2_H

#include "l1-hypervisor/leaf/types.h"

/* Tables are taken from `next` up to `end`. */
struct stage2 {
	u64 *root;
	u8 *next, *end;
};

/* `pages` is `count` 4 KiB pages, aligned; one becomes the root, empty. */
void stage2_init(struct stage2 *tables, void *pages, size_t count);

/*
 * Maps [from, from + bytes) to [to, to + bytes) in pages of 1 << shift (12, 21 or 30), all of
 * them aligned to it. `attributes`: those of the leaves, EPT_RAM or NPT_RAM for ordinary memory.
 * Replaces what was mapped at that page size. False when the pages for tables are used up, or a
 * larger page is in the way.
 */
bool stage2_map(struct stage2 *tables, u64 from, u64 to, u64 bytes, u64 attributes, unsigned shift);

/* The entry that maps `address` in pages of 1 << shift, its tables made as needed; NULL as in
 * stage2_map(). */
u64 *stage2_entry(struct stage2 *tables, u64 address, unsigned shift);

#endif
