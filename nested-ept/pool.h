/*
 * Pages for tables, from one contiguous range. A free page is always zero: whoever gives one back
 * has cleared what he used, which costs in proportion to the use and not to the page.
 * Assumes one CPU at a time. Refuses to grow: an empty pool is an error of the caller's to answer.
 */
#ifndef NESTED_EPT_POOL_H
#define NESTED_EPT_POOL_H

#include "l1-hypervisor/leaf/types.h"

/* Which entries of a table page may be in use: those from `low` to before `high`. */
struct nept_pool_page {
	u32 next_free; /* index + 1; 0 ends the list */
	u16 low, high;
};

struct nept_pool {
	u8 *base;
	u64 distance;                 /* from the pages' L1-physical addresses to their pointers */
	struct nept_pool_page *pages; /* lies in the first pages of the range */
	u32 count;
	u32 untouched; /* pages from here on were never handed out nor cleared */
	u32 free_list; /* index + 1 of the page given back last */
	u32 used;
	u64 given; /* counts pages given back: a CPU that may have kept references must flush */
};

/* The range of `count` pages at `base`, which is page-aligned and L1-physically at `base1`. Its
 * contents do not matter. A few of the pages are used for bookkeeping (1 of 512). */
void nept_pool_init(struct nept_pool *pool, void *base, pa1_t base1, u32 count);

/* A zeroed page, or NULL when there is none left. */
u64 *nept_pool_take(struct nept_pool *pool);
/* Needs a page of this pool whose entries are all 0 again. */
void nept_pool_give(struct nept_pool *pool, u64 *page);

u32 nept_pool_available(const struct nept_pool *pool);

static inline pa1_t nept_pool_pa1(const struct nept_pool *pool, const u64 *page)
{
	return PA1((uintptr_t)page - pool->distance);
}

static inline u64 *nept_pool_pointer(const struct nept_pool *pool, pa1_t page)
{
	return (u64 *)(page.v + pool->distance);
}

static inline struct nept_pool_page *nept_pool_page_of(const struct nept_pool *pool,
						       const u64 *page)
{
	return &pool->pages[(u64)((const u8 *)page - pool->base) >> PAGE_SHIFT];
}

#endif
