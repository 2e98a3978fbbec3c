/*
 * How this room reads and updates page tables that lie in a guest's memory, and how it asks where
 * that memory really is. The core gives the functions; the host tests give arrays.
 */
#ifndef NESTED_EPT_MEMORY_H
#define NESTED_EPT_MEMORY_H

#include "l1-hypervisor/leaf/types.h"

/* What a read of absent memory returns, as on a bus where nothing answers. */
#define NEPT_ABSENT_MEMORY (~0ULL)

/*
 * L2's memory. `at` is a multiple of 8.
 * read: false when L2 has no memory there; the walks then take NEPT_ABSENT_MEMORY.
 * compare_exchange: atomically replaces `old` by `new`; false when the entry was no longer `old`.
 */
struct nept_memory {
	void *ctx;
	bool (*read)(void *ctx, pa2_t at, u64 *entry);
	bool (*compare_exchange)(void *ctx, pa2_t at, u64 old, u64 new);
};

/* The page of ept12 or npt12 that holds an address of L2. */
struct nept_page12 {
	pa1_t base;
	u32 shift;
	u32 rights; /* NEPT_R, W, X; 0 where L2 has no memory (base means nothing then) */
};

struct nept_lookup12 {
	void *ctx;
	void (*find)(void *ctx, pa2_t at, struct nept_page12 *page);
};

static inline u64 nept_read(const struct nept_memory *memory, pa2_t at)
{
	u64 entry;

	return likely(memory->read(memory->ctx, at, &entry)) ? entry : NEPT_ABSENT_MEMORY;
}

#endif
