/*
 * How this room reaches page tables that lie in a guest's memory, and how it asks where that memory
 * really is. The core gives the functions; the host tests give arrays.
 */
#ifndef NESTED_EPT_MEMORY_H
#define NESTED_EPT_MEMORY_H

#include "l1-hypervisor/leaf/types.h"

/* What a read of absent memory returns, as on a bus where nothing answers. */
#define NEPT_ABSENT_MEMORY (~0ULL)

/*
 * L2's memory: where L1 sees the 8 bytes at `at` (a multiple of 8); NULL when L2 has no memory
 * there. L2 may change them at any time: they are read once and replaced by compare-exchange.
 */
struct nept_memory {
	void *ctx;
	u64 *(*entry)(void *ctx, pa2_t at);
	/* Most of it, without a call: `plain_size` bytes from `plain_from` on lie at `plain`. */
	u8 *plain;
	u64 plain_from, plain_size;
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

/* An entry that was read: its value, and where to set flags in it. */
struct nept_used {
	u64 *where;
	u64 value;
};

/* Where `length` bytes at `at` are if they are in the plain part, else NULL. */
static inline void *nept_plain(const struct nept_memory *memory, pa2_t at, u64 length)
{
	u64 offset = at.v - memory->plain_from;

	if (likely(offset < memory->plain_size && length <= memory->plain_size - offset))
		return memory->plain + offset;
	return NULL;
}

static inline struct nept_used nept_read(const struct nept_memory *memory, pa2_t at)
{
	u64 offset = at.v - memory->plain_from;
	u64 *where = (u64 *)(memory->plain + offset);

	if (unlikely(offset >= memory->plain_size)) {
		where = memory->entry(memory->ctx, at);
		if (!where)
			return (struct nept_used){ NULL, NEPT_ABSENT_MEMORY };
	}
	return (struct nept_used){ where, __atomic_load_n(where, __ATOMIC_ACQUIRE) };
}

/* Replaces an entry that is still what was read; false when it is not. */
static inline bool nept_replace(struct nept_used *used, u64 new)
{
	u64 old = used->value;

	/* Every bit of absent memory reads as set, and there is nothing to set it in. */
	if (unlikely(!used->where))
		return true;
	used->value = new;
	return __atomic_compare_exchange_n(used->where, &old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

#endif
