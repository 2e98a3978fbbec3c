/*
 * The tree of a second-level table. An entry of it is 0, a reference to a page of the pool, or a
 * leaf; never anything else, so "not 0 and not a leaf" is a reference.
 */
#include "nested-ept/table.h"

static bool refers(const struct nept_table *table, u64 entry, u32 level)
{
	return level > 1 && entry && !(entry & table->format->leaf);
}

static u64 *child_of(const struct nept_table *table, u64 entry)
{
	return nept_pool_pointer(table->pool, PA1(entry & table->format->address));
}

static void write_entry(struct nept_table *table, u64 *page, u32 index, u64 entry)
{
	struct nept_pool_page *used = nept_pool_page_of(table->pool, page);

	if (index < used->low)
		used->low = (u16)index;
	if (index >= used->high)
		used->high = (u16)(index + 1);
	page[index] = entry;
}

/* Zeroes a page, giving back the pages below it; recursion ends with the levels. */
static void clear_page(struct nept_table *table, u64 *page, u32 level)
{
	struct nept_pool_page *used = nept_pool_page_of(table->pool, page);
	u32 i;

	for (i = used->low; i < used->high; i++) {
		u64 entry = page[i];

		page[i] = 0;
		if (refers(table, entry, level)) {
			clear_page(table, child_of(table, entry), level - 1);
			nept_pool_give(table->pool, child_of(table, entry));
		}
	}
	used->low = NEPT_ENTRIES;
	used->high = 0;
}

bool nept_table_init(struct nept_table *table, const struct nept_format *format,
		     struct nept_pool *pool)
{
	table->format = format;
	table->pool = pool;
	table->removals = 0;
	table->root = nept_pool_take(pool);
	return table->root != NULL;
}

void nept_table_clear(struct nept_table *table)
{
	if (nept_table_is_empty(table))
		return;
	clear_page(table, table->root, table->format->levels);
	table->removals++;
}

/* Replaces the leaf `entry` of `level` by leaves of the next level with the same translation. */
static void fill_with_parts(struct nept_table *table, u64 *page, u64 entry, u32 level)
{
	const struct nept_format *format = table->format;
	u64 part =
		format->leaf_entry(level - 1, format->rights(entry), format->caching(entry, level));
	u64 base = ALIGN_DOWN(entry & format->address, BIT(nept_shift_of(level)));
	u32 i;

	for (i = 0; i < NEPT_ENTRIES; i++)
		write_entry(table, page, i, part | (base + ((u64)i << nept_shift_of(level - 1))));
}

/*
 * The page that holds the entry of `target` level for an address; pages that are missing on the way
 * are added. A leaf in the way is split, or with `drops_leaf` given up. NULL: the pool is empty.
 */
static u64 *page_for(struct nept_table *table, u64 address, u32 target, bool drops_leaf)
{
	u64 *page = table->root;
	u32 level;

	for (level = table->format->levels; level > target; level--) {
		u32 index = nept_index(address, level);
		u64 entry = page[index];
		u64 *child;

		if (likely(refers(table, entry, level))) {
			page = child_of(table, entry);
			continue;
		}
		child = nept_pool_take(table->pool);
		if (!child)
			return NULL;
		if (entry) {
			/* Also a split: one address must not be cached in two page sizes. */
			table->removals++;
			if (!drops_leaf)
				fill_with_parts(table, child, entry, level);
		}
		write_entry(table, page, index,
			    nept_pool_pa1(table->pool, child).v | table->format->table_entry);
		page = child;
	}
	return page;
}

/* Whether hardware that still uses `old` would do what `new` does not say. Accessed and dirty
 * flags do not matter, and a right that is missing in `old` makes hardware fault and look again. */
static bool takes_away(const struct nept_table *table, u64 old, u64 new, u32 level)
{
	const struct nept_format *format = table->format;

	if (!old)
		return false;
	return refers(table, old, level) || ((old ^ new) & format->address) ||
	       (format->rights(old) & ~format->rights(new)) ||
	       format->caching(old, level) != format->caching(new, level);
}

static void replace_entry(struct nept_table *table, u64 *page, u64 address, u32 level, u64 new)
{
	u32 index = nept_index(address, level);
	u64 old = page[index];

	if (takes_away(table, old, new, level))
		table->removals++;
	write_entry(table, page, index, new);
	if (refers(table, old, level)) {
		clear_page(table, child_of(table, old), level - 1);
		nept_pool_give(table->pool, child_of(table, old));
	}
}

bool nept_table_put(struct nept_table *table, u64 address, u32 shift, u64 entry)
{
	u32 level = nept_level_of(shift);
	u64 *page = page_for(table, address, level, true);

	if (!page)
		return false;
	replace_entry(table, page, address, level, entry);
	return true;
}

/* The largest page that can begin at these addresses and does not reach beyond `size`. */
static u32 largest_shift(u64 from, u64 to, u64 size, u32 max_shift)
{
	u32 shift;

	for (shift = max_shift; shift > NEPT_SHIFT_4K; shift -= 9)
		if (!((from | to) & (BIT(shift) - 1)) && size >= BIT(shift))
			break;
	return shift;
}

bool nept_map(struct nept_table *table, const struct nept_range *range, u32 max_shift)
{
	const struct nept_format *format = table->format;
	u32 caching = format->caching_of_type(range->type);
	u64 done = 0;

	while (done < range->size) {
		u64 from = range->from.v + done;
		u64 to = range->to.v + done;
		u32 shift = largest_shift(from, to, range->size - done, max_shift);
		u32 level = nept_level_of(shift);
		u64 *page = page_for(table, from, level, false);

		if (!page)
			return false;
		replace_entry(table, page, from, level,
			      to | format->leaf_entry(level, range->rights, caching));
		done += BIT(shift);
	}
	return true;
}

bool nept_map_scratch(struct nept_table *table, const struct nept_range *range)
{
	struct nept_range page = *range;
	u64 done;

	page.size = PAGE_SIZE;
	for (done = 0; done < range->size; done += PAGE_SIZE) {
		page.from = PA2(range->from.v + done);
		if (!nept_map(table, &page, NEPT_SHIFT_4K))
			return false;
	}
	return true;
}

bool nept_unmap(struct nept_table *table, pa2_t from, u64 size)
{
	u64 at = from.v;
	u64 end = from.v + size;

	while (at < end) {
		struct nept_page12 here;
		u32 shift;
		u64 *page;

		nept_table_find(table, PA2(at), &here);
		if (!here.rights) {
			at = ALIGN_DOWN(at, BIT(here.shift)) + BIT(here.shift);
			continue;
		}
		shift = largest_shift(at, at, end - at, here.shift);
		page = page_for(table, at, nept_level_of(shift), false);
		if (!page)
			return false;
		replace_entry(table, page, at, nept_level_of(shift), 0);
		at += BIT(shift);
	}
	return true;
}

void nept_table_find(void *ctx, pa2_t at, struct nept_page12 *found)
{
	const struct nept_table *table = ctx;
	const u64 *page = table->root;
	u32 level = table->format->levels;
	u64 entry;

	if (unlikely(at.v >> (nept_shift_of(level) + 9))) {
		*found = (struct nept_page12){ .shift = nept_shift_of(level) };
		return;
	}
	for (entry = page[nept_index(at.v, level)]; refers(table, entry, level);
	     entry = page[nept_index(at.v, level)]) {
		page = child_of(table, entry);
		level--;
	}
	found->shift = nept_shift_of(level);
	found->base = PA1(ALIGN_DOWN(entry & table->format->address, BIT(found->shift)));
	found->rights = table->format->rights(entry);
}
