/*
 * The virtual TLB; see shadow.h. Pages of 4 KiB only, whatever the guest uses. A guest outside
 * long mode gets PAE tables, since the processor always pages. Each entry flushes what the
 * processor cached, so that no change here needs an invalidation of its own.
 */
#include "guests/hv/shadow.h"

#include "guests/hv/walk.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define TABLES     64
#define INDEX_BITS 9
#define INDEX_MASK BITS(INDEX_BITS - 1, 0)
#define SHIFT_PML4 39
#define SHIFT_PDPT 30
#define SHIFT_PD   21
#define PDPTES     4
#define ADDRESS    BITS(51, 12)

/* INVLPG of an address in the guest's largest page, 4 MiB, drops all of the page. */
#define LARGEST_PAGE (4ULL << 20)

static u64 tables[TABLES][PAGE_SIZE / sizeof(u64)] __attribute__((aligned(4096)));
static u32 used;

static u64 *new_table(void)
{
	if (used == TABLES)
		return NULL;
	memset(tables[used], 0, PAGE_SIZE);
	return tables[used++];
}

u64 shadow_root(void)
{
	return (u64)tables[0];
}

static bool is_long(const struct vm *vm)
{
	return vm->efer & EFER_LMA;
}

void shadow_drop(const struct vm *vm)
{
	u64 *root;

	used = 0;
	root = new_table();
	if (is_long(vm))
		return;
	/* The processor loads the PDPTEs at every entry: all four have to be there. */
	for (u32 i = 0; i < PDPTES; i++)
		root[i] = (u64)new_table() | PTE_P;
}

static unsigned root_shift(const struct vm *vm)
{
	return is_long(vm) ? SHIFT_PML4 : SHIFT_PDPT;
}

/* The entry of a 4-KiB page; NULL when the tables are used up. */
static u64 *make_entry(const struct vm *vm, u64 linear)
{
	u64 *table = tables[0];

	for (unsigned shift = root_shift(vm); shift > PAGE_SHIFT; shift -= INDEX_BITS) {
		u64 *entry = &table[linear >> shift & INDEX_MASK];

		if (!(*entry & PTE_P)) {
			table = new_table();
			if (!table)
				return NULL;
			*entry = (u64)table | PTE_P | PTE_W | PTE_U;
		}
		table = (u64 *)(*entry & ADDRESS);
	}
	return &table[linear >> PAGE_SHIFT & INDEX_MASK];
}

static void fill(struct vm *vm, u64 linear, const struct walk *w)
{
	const u8 *page = vm_memory(vm, ALIGN_DOWN(w->address, PAGE_SIZE), PAGE_SIZE);
	u64 *entry;

	if (!page) {
		vm_break(vm, "L3 went outside its memory at", w->address);
		return;
	}
	entry = make_entry(vm, linear);
	if (!entry) {
		shadow_drop(vm);
		entry = make_entry(vm, linear);
	}
	*entry = (u64)page | PTE_P | (w->writable ? PTE_W : 0) | (w->user ? PTE_U : 0) |
		 (w->no_execute ? PTE_NX : 0);
}

enum shadow_end shadow_page_fault(struct vm *vm, u64 linear, u32 access, u32 *error)
{
	struct walk w;

	switch (walk(vm, linear, access, &w)) {
	case WALK_DONE:
		fill(vm, linear, &w);
		break;
	case WALK_FAULT:
		*error = w.error;
		return SHADOW_FAULT;
	case WALK_ABSENT:
		vm_break(vm, "L3 has a page table outside its memory at", w.address);
		break;
	}
	return SHADOW_DONE;
}

/* Empties the table of 4-KiB pages that translates `linear`, if there is one. */
static void drop_table(const struct vm *vm, u64 linear)
{
	u64 *table = tables[0];

	for (unsigned shift = root_shift(vm); shift >= SHIFT_PD; shift -= INDEX_BITS) {
		u64 entry = table[linear >> shift & INDEX_MASK];

		if (!(entry & PTE_P))
			return;
		table = (u64 *)(entry & ADDRESS);
	}
	memset(table, 0, PAGE_SIZE);
}

void shadow_invalidate(const struct vm *vm, u64 linear)
{
	u64 start = ALIGN_DOWN(linear, LARGEST_PAGE);

	for (u64 at = start; at - start < LARGEST_PAGE; at += BIT(SHIFT_PD))
		drop_table(vm, at);
}
