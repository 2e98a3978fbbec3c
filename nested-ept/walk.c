/*
 * Software walk of a second-level table in L2's memory. The order is the manual's: at each entry
 * first whether it is present, then whether it is misconfigured, and the rights of all entries
 * together only when the last one is reached.
 */
#include "nested-ept/walk.h"

/* A walk starts again when another CPU changes an entry between reading and flagging it. Tables
 * that lead to themselves need one more round; what takes longer is somebody's race. */
#define MAX_ROUNDS 4

/* The entries of one walk, by level, to set their flags when the access turns out to be allowed. */
struct trail {
	pa2_t at[NEPT_LEVELS_MAX + 1];
	u64 entry[NEPT_LEVELS_MAX + 1];
	u32 leaf; /* level of the last one */
};

static enum nept_walk_result descend(const struct nept_source *source, pa3_t pa3,
				     struct nept_walk *walk, struct trail *trail)
{
	const struct nept_format *format = source->format;
	const struct nept_rules *rules = source->rules;
	const struct nept_memory *memory = source->memory;
	u64 table = source->root.table.v;
	u64 all = ~0ULL; /* the AND of the entries, with denying bits turned into giving ones */
	u32 level = format->levels;
	u32 shift = nept_shift_of(level);
	u64 entry;

	walk->rights = 0;
	for (;; level--, shift -= 9) {
		pa2_t at = PA2(table + 8 * nept_index(pa3.v, shift));
		bool leaf;

		entry = nept_read(memory, at);
		if (!(entry & format->present))
			return NEPT_WALK_VIOLATION;
		leaf = level == 1 || (entry & format->leaf);
		if (unlikely(((rules->bad_rights >> (entry & 7)) & 1) ||
			     (entry & rules->reserved[level][leaf])))
			return NEPT_WALK_MISCONFIG;
		all &= entry ^ format->denying;
		trail->at[level] = at;
		trail->entry[level] = entry;
		if (leaf)
			break;
		table = entry & format->address;
	}
	walk->caching = format->caching(entry, shift);
	if (unlikely((rules->bad_types >> walk->caching) & 1))
		return NEPT_WALK_MISCONFIG;
	walk->rights = format->rights(all ^ format->denying);
	walk->shift = shift;
	trail->leaf = level;
	return NEPT_WALK_OK;
}

/* SDM 3C "Accessed and Dirty Flags for EPT" (29.3.5): accessed in every entry that was used, dirty
 * in the leaf that a write went through. False when an entry was no longer what was checked. */
static bool set_flags(const struct nept_source *source, bool write, struct trail *trail)
{
	const struct nept_format *format = source->format;
	const struct nept_memory *memory = source->memory;
	u32 level;

	for (level = format->levels; level >= trail->leaf; level--) {
		u64 old = trail->entry[level];
		u64 new = old | format->accessed;

		if (write && level == trail->leaf)
			new |= format->dirty;
		if (new == old)
			continue;
		if (!memory->compare_exchange(memory->ctx, trail->at[level], old, new))
			return false;
		trail->entry[level] = new;
	}
	return true;
}

enum nept_walk_result nept_walk(const struct nept_source *source, pa3_t pa3, u32 access,
				struct nept_walk *walk)
{
	const struct nept_format *format = source->format;
	struct trail trail;
	u32 round;

	walk->rights = 0;
	/* An address that the levels cannot translate is in no entry. */
	if (unlikely(nept_is_beyond(format, pa3.v)))
		return NEPT_WALK_VIOLATION;
	for (round = 0; round < MAX_ROUNDS; round++) {
		enum nept_walk_result result = descend(source, pa3, walk, &trail);
		u64 entry, offset_mask;

		if (result != NEPT_WALK_OK)
			return result;
		if (access & ~walk->rights)
			return NEPT_WALK_VIOLATION;
		walk->dirty = true;
		if (source->root.tracks) {
			if (!set_flags(source, access & NEPT_W, &trail))
				continue;
			walk->dirty = (trail.entry[trail.leaf] & format->dirty) != 0;
		}
		entry = trail.entry[trail.leaf];
		offset_mask = BIT(walk->shift) - 1;
		walk->pa2 = PA2((entry & format->address & ~offset_mask) | (pa3.v & offset_mask));
		return NEPT_WALK_OK;
	}
	return NEPT_WALK_RETRY;
}
