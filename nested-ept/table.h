/*
 * One second-level page table that hardware runs on: its tree of pages, leaves in and out of it.
 * ept12 is such a table that L1 maps; ept13 is one that nept_fill() fills.
 *
 * Owns: the pages below its root, and the count of removals that tells who must INVEPT.
 * Assumes: the caller serializes changes of one table; hardware may walk it meanwhile, but pages
 * that small leaves leave behind are used again at once, so a table that several CPUs run on gets
 * no larger leaf in the place of smaller ones.
 * Refuses: 23-side knowledge; here an address is just the input of a table.
 */
#ifndef NESTED_EPT_TABLE_H
#define NESTED_EPT_TABLE_H

#include "nested-ept/format.h"
#include "nested-ept/memory.h"
#include "nested-ept/pool.h"

struct nept_table {
	const struct nept_format *format;
	struct nept_pool *pool;
	u64 *root;
	/* Counts the changes after which hardware may still use a translation that is no longer in
	 * the table: a CPU must INVEPT before it next enters when this differs from what it was at
	 * that CPU's last INVEPT (of this table). Adding never counts. */
	u64 removals;
};

/* False when the pool has no page for the root. */
bool nept_table_init(struct nept_table *table, const struct nept_format *format,
		     struct nept_pool *pool);

/* Removes every translation; the root page stays. */
void nept_table_clear(struct nept_table *table);

static inline pa1_t nept_table_root(const struct nept_table *table)
{
	return nept_pool_pa1(table->pool, table->root);
}

static inline bool nept_table_is_empty(const struct nept_table *table)
{
	return nept_pool_page_of(table->pool, table->root)->high == 0;
}

/*
 * Puts a finished leaf entry for the page of 1 << shift bytes that holds `address`, replacing what
 * was there, larger or smaller. False when the pool is empty; the page is then not mapped.
 */
bool nept_table_put(struct nept_table *table, u64 address, u32 shift, u64 entry);

/* A range of L2's memory as L1 maps it. Addresses and size are multiples of 4 KiB. */
struct nept_range {
	pa2_t from;
	pa1_t to;
	u64 size;
	u32 rights; /* never writing without reading */
	enum memory_type type;
};

/* Maps a range with the largest pages, up to 1 << max_shift bytes, that its alignment allows.
 * False when the pool is empty; part of the range may be mapped then. */
bool nept_map(struct nept_table *table, const struct nept_range *range, u32 max_shift);
/* Maps every 4-KByte page of the range to the one page at range->to. Fails as nept_map() does. */
bool nept_map_scratch(struct nept_table *table, const struct nept_range *range);
/* Leaves a hole; larger pages that only begin or end in it are split. Fails as nept_map() does. */
bool nept_unmap(struct nept_table *table, pa2_t from, u64 size);

/* What the table says of an address; a `find` for struct nept_lookup12 whose ctx is an ept12. */
void nept_table_find(void *table, pa2_t at, struct nept_page12 *page);

#endif
