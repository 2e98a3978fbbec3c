/*
 * The EPT format: what each bit of an entry means and which entries are misconfigured.
 * Assumes four levels, and that mode-based execute control, sub-page permissions and supervisor
 * shadow-stack control are not offered to L2; their bits are ignored ones then.
 */
#include "nested-ept/ept.h"
#include "nested-ept/fill_as.h"

static u32 ept_rights(u64 entry)
{
	return (u32)entry & NEPT_RWX;
}

static u64 ept_leaf_entry(u32 shift, u32 rights, u32 caching)
{
	u64 leaf = shift > NEPT_SHIFT_4K ? EPT_LEAF : 0;

	return leaf | rights | ((u64)caching << EPT_TYPE_SHIFT) | EPT_ACCESSED | EPT_DIRTY;
}

static u32 ept_caching(u64 entry, u32 shift)
{
	(void)shift;
	return (u32)(entry & (EPT_TYPE_MASK | EPT_IGNORE_PAT)) >> EPT_TYPE_SHIFT;
}

static u32 ept_caching_of_type(enum memory_type type)
{
	return (u32)type;
}

/* SDM 3C "EPT Misconfigurations" (29.3.3.1) and the entry formats of 29.3.2. */
static void ept_make_rules(const struct nept_features *features, struct nept_rules *rules)
{
	u64 beyond = features->physical_bits < 52 ? BITS(51, features->physical_bits) : 0;
	u32 level;

	for (level = 1; level <= NEPT_LEVELS_MAX; level++) {
		u32 shift = nept_shift_of(level);

		rules->reserved_table[level] = beyond | BITS(6, 3);
		rules->reserved_leaf[level] = beyond;
		if (shift > features->max_shift)
			rules->reserved_leaf[level] |= EPT_LEAF;
		else if (level > 1)
			rules->reserved_leaf[level] |= BITS(shift - 1, PAGE_SHIFT);
	}
	/* Writing without reading is never allowed; fetching alone where it is not supported. */
	rules->good_rights = BIT(NEPT_R) | BIT(NEPT_R | NEPT_W) | BIT(NEPT_R | NEPT_X) |
			     BIT(NEPT_RWX);
	if (features->execute_only)
		rules->good_rights |= BIT(NEPT_X);
	rules->bad_types = (1U << 2) | (1U << 3) | (1U << 7);
	rules->bad_types |= rules->bad_types << 8; /* with ignore-PAT set */
}

static struct nept_root23 ept_root23(u64 eptp)
{
	return (struct nept_root23){ .table = PA2(eptp & EPTP_ADDRESS),
				     .tracks = (eptp & EPTP_AD) != 0 };
}

static u64 ept_root_pointer(pa1_t root, bool tracks)
{
	return root.v | EPTP_WALK_4 | MEMTYPE_WB | (tracks ? EPTP_AD : 0);
}

static u32 ept_access(u64 qualification)
{
	return (u32)qualification & NEPT_RWX;
}

/* SDM 3C "Exit Qualification for EPT Violations" (28.2.1): the access, the linear address and the
 * NMI bits are facts of the access that hardware saw; the rights are those of L2's own entries. */
static u64 ept_violation(u64 qualification, u32 rights)
{
	u64 of_entries = EPT_VIOLATION_READABLE | EPT_VIOLATION_WRITABLE |
			 EPT_VIOLATION_EXECUTABLE | EPT_VIOLATION_USER_EXECUTABLE;

	return (qualification & ~of_entries) | ((u64)rights << EPT_VIOLATION_RIGHTS_SHIFT);
}

static enum nept_walk_result ept_walk(const struct nept_source *source, pa3_t pa3, u32 access,
				      struct nept_walk *walk)
{
	return nept_walk_as(&nept_format_ept, NEPT_SET_FLAGS, source, pa3, access, walk);
}

static enum nept_result ept_fill(struct nept *nept, pa3_t pa3, u64 info, struct nept_fault *fault)
{
	return nept_fill_as(&nept_format_ept, NEPT_SET_FLAGS, nept, pa3, info, fault);
}

static enum nept_result ept_fill_ahead(struct nept *nept, pa3_t pa3, u64 info,
				       struct nept_fault *fault)
{
	return nept_fill_as(&nept_format_ept, NEPT_READ_ONLY, nept, pa3, info, fault);
}

const struct nept_format nept_format_ept = {
	.name = "EPT",
	.levels = 4,
	.key = EPTP_ADDRESS | EPTP_AD,
	.space = EPTP_ADDRESS,
	.address = EPT_ADDRESS,
	.present = NEPT_RWX,
	.denying = 0,
	.leaf = EPT_LEAF,
	.accessed = EPT_ACCESSED,
	.dirty = EPT_DIRTY,
	.reference = EPT_REFERENCE,
	.table_entry = NEPT_RWX | EPT_ACCESSED | EPT_REFERENCE,
	.rights = ept_rights,
	.caching = ept_caching,
	.caching_of_type = ept_caching_of_type,
	.leaf_entry = ept_leaf_entry,
	.make_rules = ept_make_rules,
	.walk = ept_walk,
	.fill = ept_fill,
	.fill_ahead = ept_fill_ahead,
	.root23 = ept_root23,
	.root_pointer = ept_root_pointer,
	.access = ept_access,
	.violation = ept_violation,
};
