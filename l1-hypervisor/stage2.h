/*
 * ept12: L2's memory is the machine's, at the same addresses, except L1's own range, where L2 finds
 * absent memory: reads give ones, and what is written there is forgotten.
 * DEVIATION: a store to absent memory can be read back until the next exit of that CPU.
 */
#ifndef L1_STAGE2_H
#define L1_STAGE2_H

#include "l1-hypervisor/memory_map.h"
#include "nested-ept/cache.h"

struct vcpu;

/* Builds ept12 once, for all CPUs: RAM write-back, everything else uncacheable, up to `top` or
 * 4 GiB; higher addresses are added when they are first touched. */
void stage2_init(const struct nept_format *format, const struct memory_map *map, u32 max_shift,
		 u32 physical_bits);

/* The table, for entries and for nept_lookup12. */
struct nept_table *stage2_table(void);
u64 stage2_root_pointer(void);

/* Makes stores of L2 to this page of device memory miss, or lets them through again. */
void stage2_protect(pa2_t page, bool on);

/* The page that stands for memory that is not there. */
pa1_t stage2_absent_page(void);

/* Whether this address is in L1's own range. */
bool stage2_is_absent(pa2_t at);

/* L2 missed at `at` with an access that needs `rights`: it runs on, with the memory mapped, or with
 * a page of absent memory lent until the next exit. Ends L2 where this machine has no such address.
 */
void stage2_serve(pa2_t at, u32 rights);
/* The same for what L3 reaches, whom no absent memory is lent: whether it is mapped now. */
bool stage2_touch(pa2_t at, u32 rights);
/* Before an entry: takes back the page of absent memory if it was lent in an earlier exit. True:
 * the caller must flush. */
bool stage2_take_back(void);

/* Makes this CPU's cache of merged tables, of L2's in this format and with these features. Its pool
 * comes out of what is left of L1's memory; ends L2 if that is too small. */
void stage2_make_cache(struct nept_cache *cache, const struct nept_format *format,
		       const struct nept_features *features);

/* L2's memory, for L1: true when `length` bytes at `at` are RAM of L2's. Copies nothing of L1. */
bool guest_memory_is_ram(pa2_t at, u64 length);
/* Copy out of and into L2's memory; false, with nothing copied, unless all of it is L2's RAM. */
bool guest_read(pa2_t at, void *to, u64 length);
bool guest_write(pa2_t at, const void *from, u64 length);
/* The memory as nested-ept wants it. */
extern struct nept_memory guest_memory;

#endif
