/*
 * EPT tables of an inner guest: plain offset maps in one page size at a time. Table pages come
 * from a range that the caller gives; they are never returned.
 */
#include "guests/lib/vmx.h"

#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define ROOT_SHIFT 39
#define LEVEL_BITS 9
#define ADDRESS    BITS(51, 12)

static u64 *new_table(struct vmx_ept *ept)
{
	u64 *table = (u64 *)ept->next;

	if (ept->next >= ept->end)
		return NULL;
	ept->next += PAGE_SIZE;
	memset(table, 0, PAGE_SIZE);
	return table;
}

void vmx_ept_init(struct vmx_ept *ept, void *pages, size_t count)
{
	ept->next = pages;
	ept->end = ept->next + count * PAGE_SIZE;
	ept->root = new_table(ept);
}

u64 *vmx_ept_entry(struct vmx_ept *ept, u64 address, unsigned shift)
{
	u64 *table = ept->root;

	for (unsigned level = ROOT_SHIFT;; level -= LEVEL_BITS) {
		u64 *entry = &table[(address >> level) & BITS(LEVEL_BITS - 1, 0)];

		if (level == shift)
			return entry;
		if (*entry & EPT_LEAF)
			return NULL;
		if (!*entry) {
			table = new_table(ept);
			if (!table)
				return NULL;
			*entry = (u64)table | EPT_R | EPT_W | EPT_X;
		}
		table = (u64 *)(*entry & ADDRESS);
	}
}

bool vmx_ept_map(struct vmx_ept *ept, u64 from, u64 to, u64 bytes, u64 attributes, unsigned shift)
{
	u64 leaf = shift > PAGE_SHIFT ? EPT_LEAF : 0;

	for (u64 done = 0; done < bytes; done += BIT(shift)) {
		u64 *entry = vmx_ept_entry(ept, from + done, shift);

		if (!entry)
			return false;
		*entry = (to + done) | attributes | leaf;
	}
	return true;
}

u64 vmx_ept_pointer(const struct vmx_ept *ept)
{
	return (u64)ept->root | EPTP_WALK_4 | MEMTYPE_WB;
}
