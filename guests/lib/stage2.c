/*
 * Second-level tables of an inner guest; see stage2.h. Table pages come from a range that the
 * caller gives; they are never returned.
 */
#include "guests/lib/stage2.h"

#include "l1-hypervisor/leaf/string.h"

#define ROOT_SHIFT 39
#define LEVEL_BITS 9
#define ADDRESS    BITS(51, 12)
#define LEAF       BIT(7)
#define ALL_RIGHTS BITS(2, 0)

static u64 *new_table(struct stage2 *tables)
{
	u64 *table = (u64 *)tables->next;

	if (tables->next >= tables->end)
		return NULL;
	tables->next += PAGE_SIZE;
	memset(table, 0, PAGE_SIZE);
	return table;
}

void stage2_init(struct stage2 *tables, void *pages, size_t count)
{
	tables->next = pages;
	tables->end = tables->next + count * PAGE_SIZE;
	tables->root = new_table(tables);
}

u64 *stage2_entry(struct stage2 *tables, u64 address, unsigned shift)
{
	u64 *table = tables->root;

	for (unsigned level = ROOT_SHIFT;; level -= LEVEL_BITS) {
		u64 *entry = &table[(address >> level) & BITS(LEVEL_BITS - 1, 0)];

		if (level == shift)
			return entry;
		if (*entry & LEAF)
			return NULL;
		if (!*entry) {
			table = new_table(tables);
			if (!table)
				return NULL;
			*entry = (u64)table | ALL_RIGHTS;
		}
		table = (u64 *)(*entry & ADDRESS);
	}
}

bool stage2_map(struct stage2 *tables, u64 from, u64 to, u64 bytes, u64 attributes, unsigned shift)
{
	u64 leaf = shift > PAGE_SHIFT ? LEAF : 0;

	for (u64 done = 0; done < bytes; done += BIT(shift)) {
		u64 *entry = stage2_entry(tables, from + done, shift);

		if (!entry)
			return false;
		*entry = (to + done) | attributes | leaf;
	}
	return true;
}
