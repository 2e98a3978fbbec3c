/*
 * The walk; see walk.h. 32-bit, PAE and 4-level paging, with 4-KiB, 2-MiB and 4-MiB pages: SDM 3A
 * "Paging" (chapter 4). The guest has one CPU, so entries are read and written without locks.
 */
#include "guests/hv/walk.h"

#include "guests/hv/cpuid.h"
#include "l1-hypervisor/leaf/x86.h"

#define SHIFT_PML4 39
#define SHIFT_PD   21 /* a 2-MiB page's, or with 32-bit entries a 4-MiB page's less one */
#define SHIFT_PD32 22
#define MAX_LEVELS 4

#define ENTRY_ADDRESS   BITS(51, 12)
#define ENTRY_ADDRESS32 BITS(31, 12)

/* Where the walk starts and how its tables look. */
struct shape {
	u64 table;
	unsigned shift, index_bits, entry_size;
	bool present;
};

u64 walk_reserved_pdpte(void)
{
	return BITS(63, cpuid_physical_bits()) | BITS(8, 5) | BITS(2, 1);
}

static struct shape shape_of(const struct vm *vm, u64 linear)
{
	struct shape s = { .index_bits = 9, .entry_size = 8, .present = true };

	if (vm->efer & EFER_LMA) {
		s.table = vm->cr3 & ENTRY_ADDRESS;
		s.shift = SHIFT_PML4;
	} else if (vm->cr4 & CR4_PAE) {
		u64 pdpte = vm->pdpte[linear >> 30 & 3];

		s.present = pdpte & PTE_P;
		s.table = pdpte & ENTRY_ADDRESS;
		s.shift = SHIFT_PD;
	} else {
		s.table = vm->cr3 & ENTRY_ADDRESS32;
		s.shift = SHIFT_PD32;
		s.index_bits = 10;
		s.entry_size = 4;
	}
	return s;
}

/* SDM 3A "Paging-Structure Entries" of each mode; 1-GiB pages and PSE-36 are not offered. */
static u64 reserved_bits(const struct vm *vm, const struct shape *s, bool leaf)
{
	u64 reserved;

	if (s->entry_size == 4)
		return leaf && s->shift == SHIFT_PD32 ? BITS(21, 13) : 0;
	reserved = BITS(51, cpuid_physical_bits());
	if (!(vm->efer & EFER_NXE))
		reserved |= PTE_NX;
	if (!(vm->efer & EFER_LMA))
		reserved |= BITS(62, 52);
	if (s->shift > SHIFT_PD)
		reserved |= PTE_PS;
	else if (leaf && s->shift == SHIFT_PD)
		reserved |= BITS(20, 13);
	return reserved;
}

static bool is_leaf(const struct vm *vm, const struct shape *s, u64 entry)
{
	if (s->shift == PAGE_SHIFT)
		return true;
	if (!(entry & PTE_PS))
		return false;
	return s->shift == SHIFT_PD || (s->shift == SHIFT_PD32 && (vm->cr4 & CR4_PSE));
}

static bool is_allowed(const struct vm *vm, u32 access, u64 rights)
{
	if ((access & PF_U) && !(rights & PTE_U))
		return false;
	if ((access & PF_I) && (rights & PTE_NX))
		return false;
	return !(access & PF_W) || (rights & PTE_W) || (!(access & PF_U) && !(vm->cr0 & CR0_WP));
}

static u64 read_entry(const void *at, unsigned size)
{
	return size == 4 ? *(const u32 *)at : *(const u64 *)at;
}

static void or_entry(void *at, u64 flags)
{
	*(u32 *)at |= (u32)flags;
}

/* All that holds without paging. */
static void translate_flat(u64 linear, struct walk *w)
{
	*w = (struct walk){ .address = linear, .writable = true, .user = true };
}

enum walk_end walk(struct vm *vm, u64 linear, u32 access, struct walk *w)
{
	struct shape s = shape_of(vm, linear);
	u64 entry, rights = PTE_W | PTE_U;
	u8 *visited[MAX_LEVELS];
	u32 levels = 0;
	bool leaf = false;

	if (!(vm->cr0 & CR0_PG)) {
		translate_flat(linear, w);
		return WALK_DONE;
	}
	w->error = (u32)(access & (PF_W | PF_U | (vm->efer & EFER_NXE ? PF_I : 0)));
	if (!s.present)
		return WALK_FAULT;
	for (;; s.shift -= s.index_bits) {
		u64 index = linear >> s.shift & (BIT(s.index_bits) - 1);

		w->address = s.table + index * s.entry_size;
		visited[levels] = vm_memory(vm, w->address, s.entry_size);
		if (!visited[levels])
			return WALK_ABSENT;
		entry = read_entry(visited[levels++], s.entry_size);
		if (!(entry & PTE_P))
			return WALK_FAULT;
		leaf = is_leaf(vm, &s, entry);
		if (entry & reserved_bits(vm, &s, leaf)) {
			w->error |= (u32)(PF_P | PF_RSVD);
			return WALK_FAULT;
		}
		rights = (rights & entry & (PTE_W | PTE_U)) | ((rights | entry) & PTE_NX);
		s.table = entry & ENTRY_ADDRESS;
		if (leaf)
			break;
	}
	if (!is_allowed(vm, access, rights)) {
		w->error |= (u32)PF_P;
		return WALK_FAULT;
	}

	for (u32 i = 0; i < levels; i++)
		or_entry(visited[i], PTE_A);
	if (access & PF_W)
		or_entry(visited[levels - 1], PTE_D);
	w->address = (s.table & ~BITS(s.shift - 1, 0)) | (linear & BITS(s.shift - 1, 0));
	w->user = rights & PTE_U;
	w->no_execute = rights & PTE_NX;
	/* A clean page stays read-only, so that its first write comes here. */
	w->writable = (rights & PTE_W) && ((access & PF_W) || (entry & PTE_D));
	if ((access & PF_W) && !(rights & PTE_W)) {
		/* CR0.WP = 0: the supervisor may write where nobody may; the user then may not
		 * use this translation at all, and comes back here. */
		w->writable = true;
		w->user = false;
	}
	return WALK_DONE;
}
