/*
 * The tree of a second-level table. An entry of it is 0, a leaf, or a reference to a page of the
 * pool, which has the format's reference bit.
 */
#include "nested-ept/table.h"

static bool refers(const struct nept_table *table, u64 entry)
{
	return (entry & table->format->reference) != 0;
}

static u32 top_shift(const struct nept_table *table)
{
	return nept_shift_of(table->format->levels);
}

static u64 *child_of(const struct nept_table *table, u64 entry)
{
	return nept_pool_pointer(table->pool, PA1(entry & table->format->address));
}

/* Follows the references that there are, down to entries of `lowest` shift at most: returns the
 * page reached, and the shift of its entries in *shift. */
static inline __attribute__((always_inline)) u64 *follow(const struct nept_table *table,
							 u64 address, u32 lowest, u32 *shift)
{
	u64 reference = table->format->reference;
	u64 address_bits = table->format->address;
	u64 distance = table->pool->distance;
	u64 *page = table->root;
	u32 at = top_shift(table);

	for (; at > lowest; at -= 9) {
		u64 entry = page[nept_index(address, at)];

		if (!(entry & reference))
			break;
		page = (u64 *)((entry & address_bits) + distance);
	}
	*shift = at;
	return page;
}

static void write_entry(struct nept_table *table, u64 *page, u32 index, u64 entry)
{
	struct nept_pool_page *used = nept_pool_page_of(table->pool, page);

	if (index < used->low)
		used->low = (u16)index;
	if (index >= used->high)
		used->high = (u16)(index + 1);
	/* After what it refers to: hardware may be walking. */
	__atomic_store_n(&page[index], entry, __ATOMIC_RELEASE);
}

/* Zeroes a page, giving back the pages below it; recursion ends with the levels. */
static void clear_page(struct nept_table *table, u64 *page, u32 shift)
{
	struct nept_pool_page *used = nept_pool_page_of(table->pool, page);
	u32 i;

	for (i = used->low; i < used->high; i++) {
		u64 entry = page[i];

		page[i] = 0;
		if (refers(table, entry)) {
			clear_page(table, child_of(table, entry), shift - 9);
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
	clear_page(table, table->root, top_shift(table));
	table->removals++;
}

/* Fills `page` with leaves that together translate as the leaf `entry` of `shift` does. */
static void fill_with_parts(struct nept_table *table, u64 *page, u64 entry, u32 shift)
{
	const struct nept_format *format = table->format;
	u32 part_shift = shift - 9;
	u64 part = format->leaf_entry(part_shift, format->rights(entry),
				      format->caching(entry, shift));
	u64 base = ALIGN_DOWN(entry & format->address, BIT(shift));
	u32 i;

	for (i = 0; i < NEPT_ENTRIES; i++)
		write_entry(table, page, i, part | (base + ((u64)i << part_shift)));
}

/* Puts a new page in the place of an entry that refers to none. A leaf there is split, or with
 * `drops_leaf` given up. NULL: the pool is empty. */
static u64 *add_page(struct nept_table *table, u64 *page, u32 index, u32 shift, bool drops_leaf)
{
	u64 entry = page[index];
	u64 *child = nept_pool_take(table->pool);

	if (!child)
		return NULL;
	if (entry) {
		/* Also a split: one address must not be cached in two page sizes. */
		table->removals++;
		if (!drops_leaf)
			fill_with_parts(table, child, entry, shift);
	}
	write_entry(table, page, index,
		    nept_pool_pa1(table->pool, child).v | table->format->table_entry);
	return child;
}

/* The page that holds the entry of `target` shift for an address; pages that are missing on the
 * way are added as add_page() says. NULL: the pool is empty. */
static inline u64 *page_for(struct nept_table *table, u64 address, u32 target, bool drops_leaf)
{
	u32 shift;
	u64 *page = follow(table, address, target, &shift);

	for (; unlikely(shift > target) && page; shift -= 9)
		page = add_page(table, page, nept_index(address, shift), shift, drops_leaf);
	return page;
}

/* Whether hardware that still uses `old` would do what `new` does not say. Accessed and dirty
 * flags do not matter, and a right that is missing in `old` makes hardware fault and look again. */
static bool takes_away(const struct nept_table *table, u64 old, u64 new, u32 shift)
{
	const struct nept_format *format = table->format;

	return refers(table, old) || ((old ^ new) & format->address) ||
	       (format->rights(old) & ~format->rights(new)) ||
	       format->caching(old, shift) != format->caching(new, shift);
}

static inline void replace_entry(struct nept_table *table, u64 *page, u64 address, u32 shift,
				 u64 new)
{
	u32 index = nept_index(address, shift);
	u64 old = page[index];

	write_entry(table, page, index, new);
	if (likely(!old))
		return;
	if (takes_away(table, old, new, shift))
		table->removals++;
	if (refers(table, old)) {
		clear_page(table, child_of(table, old), shift - 9);
		nept_pool_give(table->pool, child_of(table, old));
	}
}

bool nept_table_put(struct nept_table *table, u64 address, u32 shift, u64 entry)
{
	u64 *page = page_for(table, address, shift, true);

	if (unlikely(!page))
		return false;
	replace_entry(table, page, address, shift, entry);
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
		u64 *page = page_for(table, from, shift, false);

		if (!page)
			return false;
		replace_entry(table, page, from, shift,
			      to | format->leaf_entry(shift, range->rights, caching));
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
		page = page_for(table, at, shift, false);
		if (!page)
			return false;
		replace_entry(table, page, at, shift, 0);
		at += BIT(shift);
	}
	return true;
}

void nept_table_find(void *ctx, pa2_t at, struct nept_page12 *found)
{
	const struct nept_table *table = ctx;
	const struct nept_format *format = table->format;
	u64 distance = table->pool->distance;
	const u64 *page = table->root;
	u32 shift = top_shift(table);
	u64 entry = 0;

	if (likely(!nept_is_beyond(format, at.v))) {
		for (;; shift -= 9) {
			/* Another CPU may be adding to ept12. */
			entry = __atomic_load_n(&page[nept_index(at.v, shift)], __ATOMIC_ACQUIRE);
			if (!(entry & format->reference))
				break;
			page = (const u64 *)((entry & format->address) + distance);
		}
	}
	found->shift = shift;
	found->base = PA1(ALIGN_DOWN(entry & format->address, BIT(shift)));
	found->rights = format->rights(entry);
}
