/*
 * The NPT format: what each bit of an entry means and which bits are reserved. Every access through
 * nested tables is a user access, and accessed and dirty flags are always kept.
 * Assumes four levels, and that supervisor shadow-stack pages and guest-mode execute traps are not
 * offered to L2; their bits are available ones then.
 */
#include "nested-ept/npt.h"
#include "nested-ept/fill_as.h"

/* A PML4 entry has neither. */
#define NPT_MBZ_PML4 (PTE_PS | PTE_G)

#define NPT_CACHING_PWT 1U
#define NPT_CACHING_PCD 2U
#define NPT_CACHING_PAT 4U

static inline __attribute__((always_inline)) u32 npt_rights(u64 entry)
{
	if (!(entry & PTE_P))
		return 0;
	if (!(entry & PTE_U))
		return NEPT_DENIED;
	return NEPT_R | (entry & PTE_W ? NEPT_W : 0) | (entry & PTE_NX ? 0 : NEPT_X);
}

static u64 pat_bit(u32 shift)
{
	return shift > NEPT_SHIFT_4K ? NPT_PAT_LARGE : NPT_PAT_4K;
}

/* The index into the PAT. */
static inline __attribute__((always_inline)) u32 npt_caching(u64 entry, u32 shift)
{
	return (entry & PTE_PWT ? NPT_CACHING_PWT : 0) | (entry & PTE_PCD ? NPT_CACHING_PCD : 0) |
	       (entry & pat_bit(shift) ? NPT_CACHING_PAT : 0);
}

static inline __attribute__((always_inline)) u64 npt_leaf_entry(u32 shift, u32 rights, u32 caching)
{
	u64 leaf = PTE_P | PTE_U | PTE_A | PTE_D;

	if (shift > NEPT_SHIFT_4K)
		leaf |= PTE_PS;
	if (rights & NEPT_W)
		leaf |= PTE_W;
	if (!(rights & NEPT_X))
		leaf |= PTE_NX;
	if (caching & NPT_CACHING_PWT)
		leaf |= PTE_PWT;
	if (caching & NPT_CACHING_PCD)
		leaf |= PTE_PCD;
	if (caching & NPT_CACHING_PAT)
		leaf |= pat_bit(shift);
	return leaf;
}

/* The first entry of the PAT, which is write-back: the MTRRs say what may not be cached. */
static u32 npt_caching_of_type(enum memory_type type)
{
	(void)type;
	return 0;
}

/* APM 2 "Long-Mode Page Translation" (5.3), the formats; "No Execute (NX) Bit" (5.6.1). */
static void npt_make_rules(const struct nept_features *features, struct nept_rules *rules)
{
	u64 reserved = (features->physical_bits < 52 ? BITS(51, features->physical_bits) : 0) |
		       (features->no_execute ? 0 : PTE_NX);
	u32 level;

	for (level = 1; level <= NEPT_LEVELS_MAX; level++) {
		u32 shift = nept_shift_of(level);

		rules->reserved_table[level] = reserved | (level == 4 ? NPT_MBZ_PML4 : 0);
		rules->reserved_leaf[level] = reserved;
		if (shift > features->max_shift)
			rules->reserved_leaf[level] |= PTE_PS;
		else if (level > 1)
			rules->reserved_leaf[level] |= BITS(shift - 1, PAGE_SHIFT) & ~NPT_PAT_LARGE;
	}
	/* Whatever else the low three bits say: P is bit 0. */
	rules->good_rights = BIT(1) | BIT(3) | BIT(5) | BIT(7);
	rules->bad_types = 0;
}

static struct nept_root23 npt_root23(u64 root_pointer)
{
	return (struct nept_root23){ .table = PA2(root_pointer & NPT_ADDRESS), .tracks = true };
}

static u64 npt_root_pointer(pa1_t root, bool tracks)
{
	(void)tracks;
	return root.v;
}

static inline __attribute__((always_inline)) u32 npt_access(u64 info)
{
	return NEPT_R | (info & PF_W ? NEPT_W : 0) | (info & PF_I ? NEPT_X : 0);
}

/* APM 2 "Nested versus Guest Page Faults, Fault Ordering" (15.25.6): the kind of access, and
 * whether it was one of the guest's tables, are facts that hardware saw. */
static u64 npt_violation(u64 info, u32 rights)
{
	return (info & ~(PF_P | PF_RSVD)) | PF_U | (rights ? PF_P : 0);
}

static enum nept_walk_result npt_walk(const struct nept_source *source, pa3_t pa3, u32 access,
				      struct nept_walk *walk)
{
	return nept_walk_as(&nept_format_npt, NEPT_SET_FLAGS, source, pa3, access, walk);
}

static enum nept_result npt_fill(struct nept *nept, pa3_t pa3, u64 info, struct nept_fault *fault)
{
	return nept_fill_as(&nept_format_npt, NEPT_SET_FLAGS, nept, pa3, info, fault);
}

static enum nept_result npt_fill_ahead(struct nept *nept, pa3_t pa3, u64 info,
				       struct nept_fault *fault)
{
	return nept_fill_as(&nept_format_npt, NEPT_READ_ONLY, nept, pa3, info, fault);
}

const struct nept_format nept_format_npt = {
	.name = "NPT",
	.levels = 4,
	.key = NPT_ADDRESS | NPT_ASID,
	.space = NPT_ASID,
	.address = NPT_ADDRESS,
	.present = PTE_P,
	.denying = PTE_NX,
	.leaf = PTE_PS,
	.accessed = PTE_A,
	.dirty = PTE_D,
	.reference = NPT_REFERENCE,
	.table_entry = PTE_P | PTE_W | PTE_U | PTE_A | NPT_REFERENCE,
	.rights = npt_rights,
	.caching = npt_caching,
	.caching_of_type = npt_caching_of_type,
	.leaf_entry = npt_leaf_entry,
	.make_rules = npt_make_rules,
	.walk = npt_walk,
	.fill = npt_fill,
	.fill_ahead = npt_fill_ahead,
	.root23 = npt_root23,
	.root_pointer = npt_root_pointer,
	.access = npt_access,
	.violation = npt_violation,
};
