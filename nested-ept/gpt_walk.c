/*
 * Walk of a guest's own page tables. One loop serves all paging modes: they differ in the number of
 * levels, in the size of an entry and in the reserved bits.
 */
#include "nested-ept/gpt_walk.h"
#include "l1-hypervisor/leaf/x86.h"

/* As in walk_as.h: tables that lead to themselves need more than one round. */
#define MAX_ROUNDS 4
#define MAX_LEVELS 5

#define PDPTE_RESERVED (BITS(2, 1) | BITS(8, 5))
#define KEY_SHIFT      59

/* What a context means for the walk. */
struct mode {
	u32 levels;
	u32 index_bits;
	bool has_small_entries; /* of 4 bytes: 32-bit paging */
	bool is_pae;        /* three levels, the first of four entries without rights or flags */
	u32 page_levels;    /* bit n: an entry of level n with PTE_PS maps a page */
	u64 reserved;       /* in every entry */
	u64 reserved_large; /* in a large page, below its address */
	u64 reserved_table; /* in a reference to a table */
};

/* An entry that was used. One of 4 bytes is read, and flagged, together with its neighbour. */
struct step {
	struct nept_used used;
	u32 half; /* the entry is in these bits and above: 0 or 32 */
};

struct trail {
	struct step step[MAX_LEVELS + 1]; /* by level */
	u32 top, leaf;
	u64 leaf_entry;
	u64 rights; /* the AND of the entries: PTE_W and PTE_U */
	bool no_execute;
};

/* Bits hi..lo, none when hi < lo. */
static u64 bits_or_none(u32 hi, u32 lo)
{
	return hi < lo ? 0 : BITS(hi, lo);
}

/* SDM 3A "32-Bit Paging" (4.3), the formats: a 4-MByte page has its address bits 39:32 in bits
 * 20:13 (PSE-36), and bit 7 is ignored where such pages are off. */
static void set_mode_32_bit(const struct gpt_context *c, struct mode *mode)
{
	u32 width = c->physical_bits < 40 ? c->physical_bits : 40;

	*mode = (struct mode){ .levels = 2,
			       .index_bits = 10,
			       .has_small_entries = true,
			       .page_levels = c->cr4 & CR4_PSE ? BIT(2) : 0,
			       .reserved_large = bits_or_none(21, width - 19) };
}

/* SDM 3A "PAE Paging" (4.4), "4-Level Paging and 5-Level Paging" (4.5), the formats. */
static void set_mode(const struct gpt_context *c, struct mode *mode)
{
	bool is_pae = !(c->efer & EFER_LMA);

	if (!(c->cr4 & CR4_PAE)) {
		set_mode_32_bit(c, mode);
		return;
	}
	*mode = (struct mode){ .levels = is_pae              ? 3
					 : c->cr4 & CR4_LA57 ? 5
							     : 4,
			       .index_bits = 9,
			       .is_pae = is_pae,
			       .page_levels = BIT(2) | (!is_pae && c->has_1g_pages ? BIT(3) : 0),
			       .reserved = bits_or_none(is_pae ? 62 : 51, c->physical_bits) |
					   (c->efer & EFER_NXE ? 0 : PTE_NX),
			       .reserved_large = BITS(29, 13),
			       .reserved_table = PTE_PS };
}

static u32 shift_of(const struct mode *mode, u32 level)
{
	return PAGE_SHIFT + (level - 1) * mode->index_bits;
}

static u64 read_step(const struct gpt_context *c, const struct mode *mode, u64 table, u32 index,
		     struct step *step)
{
	if (!mode->has_small_entries) {
		step->half = 0;
		step->used = nept_read(c->memory, PA2(table + 8 * index));
		return step->used.value;
	}
	step->half = index & 1 ? 32 : 0;
	step->used = nept_read(c->memory, PA2(table + 8 * (index / 2)));
	return (u32)(step->used.value >> step->half);
}

/* PAE paging: the entry of the first level, and where it leads. False: error code in *error. */
static bool load_pdpte(const struct gpt_context *c, u64 linear, u64 *table, u32 *error)
{
	u32 index = (u32)(linear >> 30) & 3;
	u64 entry;

	if (c->pdptes) {
		entry = c->pdptes[index];
	} else {
		/* QUIRK(qemu-7.2): TCG sets the accessed flag here too, where it is a reserved bit.
		 */
		entry = nept_read(c->memory, PA2((c->cr3 & BITS(31, 5)) + 8 * index)).value &
			~PTE_A;
	}

	*error = 0;
	if (!(entry & PTE_P))
		return false;
	*error = PF_P | PF_RSVD;
	if (entry & (PDPTE_RESERVED | bits_or_none(63, c->physical_bits)))
		return false;
	*table = entry & BITS(51, 12);
	return true;
}

/* Follows the tables to the leaf. False: the present and reserved bits of the error code. */
static bool descend(const struct gpt_context *c, const struct mode *mode, u64 linear,
		    struct trail *trail, u32 *error)
{
	u64 table = c->cr3 & (mode->has_small_entries ? BITS(31, 12) : BITS(51, 12));
	u32 level = mode->levels;
	u32 shift = shift_of(mode, level);
	u64 all = ~0ULL;
	u64 any = 0;
	u64 entry;

	if (mode->is_pae) {
		if (!load_pdpte(c, linear, &table, error))
			return false;
		level--;
		shift -= mode->index_bits;
	}
	trail->top = level;
	for (;; level--, shift -= mode->index_bits) {
		u32 index = (u32)(linear >> shift) & ((1U << mode->index_bits) - 1);
		bool large;

		entry = read_step(c, mode, table, index, &trail->step[level]);
		*error = 0;
		if (!(entry & PTE_P))
			return false;
		*error = PF_P | PF_RSVD;
		all &= entry;
		any |= entry;
		large = (entry & PTE_PS) && ((mode->page_levels >> level) & 1);
		if (large && (entry & mode->reserved_large & (BIT(shift) - 1)))
			return false;
		if (large || level == 1)
			break;
		if (entry & mode->reserved_table)
			return false;
		if (entry & mode->reserved)
			return false;
		table = entry & BITS(51, 12);
	}
	trail->leaf = level;
	trail->leaf_entry = entry;
	trail->rights = all & (PTE_W | PTE_U);
	trail->no_execute = (any & PTE_NX) != 0;
	return !(entry & mode->reserved);
}

static bool is_user_mode(u32 access)
{
	return (access & (GPT_USER | GPT_IMPLICIT)) == GPT_USER;
}

/* SDM 3A "Protection Keys" (4.6.2): PKRU for user-mode addresses, PKRS for the others. */
static bool key_denies(const struct gpt_context *c, u32 access, const struct trail *trail)
{
	bool user_page = (trail->rights & PTE_U) != 0;
	u32 key = (u32)(trail->leaf_entry >> KEY_SHIFT) & 15;
	u32 denied = ((user_page ? c->pkru : c->pkrs) >> (2 * key)) & 3;

	if (!(c->cr4 & (user_page ? CR4_PKE : CR4_PKS)) || !(c->efer & EFER_LMA) ||
	    (access & GPT_FETCH))
		return false;
	if (denied & 1)
		return true;
	return (denied & 2) && (access & GPT_WRITE) && (is_user_mode(access) || (c->cr0 & CR0_WP));
}

/* SDM 3A "Determination of Access Rights" (4.6.1), protection keys apart. */
static bool rights_deny(const struct gpt_context *c, u32 access, const struct trail *trail)
{
	bool user_page = (trail->rights & PTE_U) != 0;
	bool read_only = !(trail->rights & PTE_W);

	if ((access & GPT_FETCH) && trail->no_execute)
		return true;
	if (is_user_mode(access))
		return !user_page || ((access & GPT_WRITE) && read_only);
	if ((access & GPT_WRITE) && read_only && (c->cr0 & CR0_WP))
		return true;
	if (!user_page)
		return false;
	if (access & GPT_FETCH)
		return (c->cr4 & CR4_SMEP) != 0;
	return (c->cr4 & CR4_SMAP) && ((access & GPT_IMPLICIT) || !(c->rflags & RFLAGS_AC));
}

/* SDM 3A "Page-Fault Exceptions" (4.7): the bits that tell of the access itself. */
static u32 access_bits(const struct gpt_context *c, u32 access)
{
	bool tells_fetch = (c->cr4 & CR4_SMEP) || ((c->cr4 & CR4_PAE) && (c->efer & EFER_NXE));

	return (u32)((access & GPT_WRITE ? PF_W : 0) | (is_user_mode(access) ? PF_U : 0) |
		     ((access & GPT_FETCH) && tells_fetch ? PF_I : 0));
}

/* SDM 3A "Accessed and Dirty Flags" (4.8). False when an entry was no longer what was checked. */
static bool set_flags(u32 access, struct trail *trail)
{
	u32 level;

	for (level = trail->top; level >= trail->leaf; level--) {
		struct step *step = &trail->step[level];
		u64 flags = PTE_A;
		u64 new;

		if (level == trail->leaf && (access & GPT_WRITE))
			flags |= PTE_D;
		new = step->used.value | (flags << step->half);
		if (new != step->used.value && !nept_replace(&step->used, new))
			return false;
	}
	return true;
}

static pa2_t final_address(const struct mode *mode, u64 linear, const struct trail *trail)
{
	u64 offset_mask = BIT(shift_of(mode, trail->leaf)) - 1;
	u64 frame = trail->leaf_entry & BITS(51, 12) & ~offset_mask;

	if (mode->has_small_entries && trail->leaf == 2)
		frame |= (trail->leaf_entry & BITS(20, 13)) << 19;
	return PA2(frame | (linear & offset_mask));
}

enum gpt_result gpt_walk(const struct gpt_context *context, u64 linear, u32 access,
			 struct gpt_walk *walk)
{
	struct mode mode;
	struct trail trail;
	u32 round;

	if (!(context->cr0 & CR0_PG)) {
		walk->pa2 = PA2((u32)linear);
		return GPT_OK;
	}
	set_mode(context, &mode);
	for (round = 0; round < MAX_ROUNDS; round++) {
		u32 error;
		bool by_key;

		if (!descend(context, &mode, linear, &trail, &error)) {
			walk->error_code = error | access_bits(context, access);
			return GPT_FAULT;
		}
		by_key = key_denies(context, access, &trail);
		if (by_key || rights_deny(context, access, &trail)) {
			walk->error_code = (u32)(PF_P | (by_key ? PF_PK : 0)) |
					   access_bits(context, access);
			return GPT_FAULT;
		}
		if (set_flags(access, &trail)) {
			walk->pa2 = final_address(&mode, linear, &trail);
			return GPT_OK;
		}
	}
	return GPT_RETRY;
}
