/*
 * Walk of a guest's own page tables. One loop serves all paging modes: they differ in the number of
 * levels, in the size of an entry and in the reserved bits.
 */
#include "nested-ept/gpt_walk.h"
#include "l1-hypervisor/leaf/x86.h"

/* As in walk.c: tables that lead to themselves need more than one round. */
#define MAX_ROUNDS 4
#define MAX_LEVELS 5

#define PDPTE_RESERVED (BITS(2, 1) | BITS(8, 5))
#define KEY_SHIFT      59

struct mode {
	u32 levels;
	u32 entry_size; /* 4 or 8 bytes */
	u32 index_bits;
	bool is_pae; /* three levels, the first of four entries without rights or flags */
};

/* The entries that a walk used, level 1 first, to set their flags when the access is allowed. */
struct trail {
	pa2_t at[MAX_LEVELS + 1];
	u64 entry[MAX_LEVELS + 1];
	u32 top, leaf; /* levels */
	u64 rights;    /* the AND of the entries, PTE_W and PTE_U */
	bool no_execute;
};

static struct mode mode_of(const struct gpt_context *c)
{
	if (!(c->cr4 & CR4_PAE))
		return (struct mode){ .levels = 2, .entry_size = 4, .index_bits = 10 };
	if (!(c->efer & EFER_LMA))
		return (struct mode){
			.levels = 3, .entry_size = 8, .index_bits = 9, .is_pae = true
		};
	return (struct mode){ .levels = c->cr4 & CR4_LA57 ? 5 : 4,
			      .entry_size = 8,
			      .index_bits = 9 };
}

static u32 shift_of(const struct mode *mode, u32 level)
{
	return PAGE_SHIFT + (level - 1) * mode->index_bits;
}

/* The entries of 32-bit paging are read, and flagged, together with their neighbour. */
static u64 read_entry(const struct gpt_context *c, const struct mode *mode, pa2_t at)
{
	u64 both = nept_read(c->memory, PA2(ALIGN_DOWN(at.v, 8ULL)));

	if (mode->entry_size == 8)
		return both;
	return at.v & 4 ? both >> 32 : (u32)both;
}

static bool replace_entry(const struct gpt_context *c, const struct mode *mode, pa2_t at, u64 old,
			  u64 new)
{
	pa2_t aligned = PA2(ALIGN_DOWN(at.v, 8ULL));
	u32 shift = at.v & 4 ? 32 : 0;
	u64 both;

	if (mode->entry_size == 8)
		return c->memory->compare_exchange(c->memory->ctx, at, old, new);
	both = nept_read(c->memory, aligned);
	if ((u32)(both >> shift) != old)
		return false;
	return c->memory->compare_exchange(c->memory->ctx, aligned, both,
					   both ^ ((old ^ new) << shift));
}

static bool maps_page(const struct gpt_context *c, const struct mode *mode, u64 entry, u32 level)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS))
		return false;
	if (mode->entry_size == 4)
		return (c->cr4 & CR4_PSE) != 0;
	return level == 2 || (level == 3 && !mode->is_pae && c->has_1g_pages);
}

/* Bits hi..lo, none when hi < lo. */
static u64 bits_or_none(u32 hi, u32 lo)
{
	return hi < lo ? 0 : BITS(hi, lo);
}

/* SDM 3A "Paging-Structure Entries" of the three modes: which bits must be 0. */
static u64 reserved_bits(const struct gpt_context *c, const struct mode *mode, u32 level, bool leaf)
{
	u64 reserved;

	if (mode->entry_size == 4) {
		/* PSE-36: a 4-MByte page has its address bits 39:32 in bits 20:13. */
		u32 width = c->physical_bits < 40 ? c->physical_bits : 40;

		return leaf && level == 2 ? bits_or_none(21, width - 19) : 0;
	}
	reserved = bits_or_none(mode->is_pae ? 62 : 51, c->physical_bits);
	if (!(c->efer & EFER_NXE))
		reserved |= PTE_NX;
	if (leaf && level > 1)
		reserved |= BITS(shift_of(mode, level) - 1, 13);
	/* A page-size bit that did not make the entry a leaf. */
	if (!leaf)
		reserved |= PTE_PS;
	return reserved;
}

/* The entry of the first level, and where the next table is. False: error code in *error. */
static bool load_pdpte(const struct gpt_context *c, const struct mode *mode, u64 linear, u64 *table,
		       u32 *error)
{
	u32 index = (u32)(linear >> 30) & 3;
	u64 entry = c->pdptes ? c->pdptes[index]
			      : read_entry(c, mode, PA2((c->cr3 & BITS(31, 5)) + 8 * index));

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
	u64 table = c->cr3 & (mode->entry_size == 4 ? BITS(31, 12) : BITS(51, 12));
	u32 level = mode->levels;

	if (mode->is_pae) {
		if (!load_pdpte(c, mode, linear, &table, error))
			return false;
		level--;
	}
	trail->top = level;
	trail->rights = PTE_W | PTE_U;
	trail->no_execute = false;
	for (;; level--) {
		u32 index = (u32)(linear >> shift_of(mode, level)) & ((1U << mode->index_bits) - 1);
		pa2_t at = PA2(table + index * mode->entry_size);
		u64 entry = read_entry(c, mode, at);
		bool leaf = maps_page(c, mode, entry, level);

		*error = 0;
		if (!(entry & PTE_P))
			return false;
		*error = PF_P | PF_RSVD;
		if (entry & reserved_bits(c, mode, level, leaf))
			return false;
		trail->at[level] = at;
		trail->entry[level] = entry;
		trail->rights &= entry;
		trail->no_execute |= (entry & PTE_NX) != 0;
		trail->leaf = level;
		if (leaf)
			return true;
		table = entry & BITS(51, 12);
	}
}

static bool is_user_mode(u32 access)
{
	return (access & (GPT_USER | GPT_IMPLICIT)) == GPT_USER;
}

/* SDM 3A "Protection Keys" (4.6.2): PKRU for user-mode addresses, PKRS for the others. */
static bool key_denies(const struct gpt_context *c, u32 access, const struct trail *trail)
{
	bool user_page = (trail->rights & PTE_U) != 0;
	u32 key = (u32)(trail->entry[trail->leaf] >> KEY_SHIFT) & 15;
	u32 denied = ((user_page ? c->pkru : c->pkrs) >> (2 * key)) & 3;

	if (!(c->efer & EFER_LMA) || !(c->cr4 & (user_page ? CR4_PKE : CR4_PKS)) ||
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
static bool set_flags(const struct gpt_context *c, const struct mode *mode, u32 access,
		      const struct trail *trail)
{
	u32 level;

	for (level = trail->top; level >= trail->leaf; level--) {
		u64 old = trail->entry[level];
		u64 new = old | PTE_A;

		if (level == trail->leaf && (access & GPT_WRITE))
			new |= PTE_D;
		if (new != old && !replace_entry(c, mode, trail->at[level], old, new))
			return false;
	}
	return true;
}

static pa2_t final_address(const struct mode *mode, u64 linear, const struct trail *trail)
{
	u64 offset_mask = BIT(shift_of(mode, trail->leaf)) - 1;
	u64 entry = trail->entry[trail->leaf];
	u64 frame = entry & BITS(51, 12) & ~offset_mask;

	if (mode->entry_size == 4 && trail->leaf == 2)
		frame |= (entry & BITS(20, 13)) << 19;
	return PA2(frame | (linear & offset_mask));
}

enum gpt_result gpt_walk(const struct gpt_context *context, u64 linear, u32 access,
			 struct gpt_walk *walk)
{
	struct mode mode = mode_of(context);
	struct trail trail;
	u32 round;

	if (!(context->cr0 & CR0_PG)) {
		walk->pa2 = PA2((u32)linear);
		return GPT_OK;
	}
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
		if (set_flags(context, &mode, access, &trail)) {
			walk->pa2 = final_address(&mode, linear, &trail);
			return GPT_OK;
		}
	}
	return GPT_RETRY;
}
