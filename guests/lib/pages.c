/*
 * The guest's page tables below the 2 MiB level; see pages.h. Tables are made as needed from a few
 * static pages and never given back.
 */
#include "guests/lib/pages.h"
#include "guests/lib/guest.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define TABLES      8
#define ENTRIES     512
#define LARGE_SHIFT 21

extern u64 guest_pds[];

static u64 tables[TABLES][ENTRIES] __attribute__((aligned(4096)));
static u32 tables_used;

static u64 *split(u64 *large)
{
	u64 *table = tables[tables_used];
	u64 entry = *large & ~PTE_PS;

	if (tables_used++ == TABLES)
		guest_fail("too many large pages are split");
	for (u64 i = 0; i < ENTRIES; i++)
		table[i] = entry + i * PAGE_SIZE;
	*large = (u64)table | PTE_P | PTE_W | PTE_U;
	write_cr3(read_cr3());
	return table;
}

u64 *page_entry(u64 linear)
{
	u64 *large = &guest_pds[linear >> LARGE_SHIFT];
	u64 *table = *large & PTE_PS ? split(large) : (u64 *)(*large & BITS(51, PAGE_SHIFT));

	return &table[linear >> PAGE_SHIFT & (ENTRIES - 1)];
}

u64 page_change(const void *page, u64 set, u64 clear)
{
	u64 *entry = page_entry((u64)page);
	u64 before = *entry;

	*entry = (before | set) & ~clear;
	invlpg(page);
	return before;
}

void page_restore(const void *page, u64 entry)
{
	*page_entry((u64)page) = entry;
	invlpg(page);
}
