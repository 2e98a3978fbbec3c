/*
 * Software walk of a second-level table in L2's memory. The order is the manual's: at each entry
 * first whether it is present, then whether it is misconfigured, and the rights of all entries
 * together only when the last one is reached.
 */
#include "nested-ept/walk.h"

/* A walk starts again when another CPU changes an entry between reading and flagging it. Tables
 * that lead to themselves need one more round; what takes longer is somebody's race. */
#define MAX_ROUNDS 4

/* Where the entries of one walk lie, to set their flags when the access turns out to be allowed. */
struct trail {
	pa2_t at[NEPT_LEVELS_MAX + 1];
	u64 entry[NEPT_LEVELS_MAX + 1];
};

static bool is_misconfigured(const struct nept_source *source, u64 entry, u32 rights, u32 level,
			     bool leaf)
{
	const struct nept_rules *rules = source->rules;

	if ((rules->bad_rights >> rights) & 1)
		return true;
	if (!leaf)
		return (entry & rules->reserved_table[level]) != 0;
	return (entry & rules->reserved_leaf[level]) ||
	       ((rules->bad_types >> source->format->caching(entry, level)) & 1);
}

static enum nept_walk_result descend(const struct nept_source *source, pa3_t pa3, u32 access,
				     struct nept_walk *walk, struct trail *trail)
{
	const struct nept_format *format = source->format;
	pa2_t table = source->root.table;
	u32 all = NEPT_RWX;
	u32 level = format->levels;

	walk->rights = 0;
	/* An address that the levels cannot translate is in no entry. */
	if (unlikely(pa3.v >> (nept_shift_of(level) + 9)))
		return NEPT_WALK_VIOLATION;
	for (;; level--) {
		pa2_t at = PA2(table.v + 8 * nept_index(pa3.v, level));
		u64 entry = nept_read(source->memory, at);
		u32 rights = format->rights(entry);
		bool leaf = nept_is_leaf(source->rules, entry, level);

		if (!rights)
			return NEPT_WALK_VIOLATION;
		if (unlikely(is_misconfigured(source, entry, rights, level, leaf)))
			return NEPT_WALK_MISCONFIG;
		all &= rights;
		trail->at[level] = at;
		trail->entry[level] = entry;
		if (leaf)
			break;
		table = PA2(entry & format->address);
	}
	walk->entry = trail->entry[level];
	walk->level = level;
	walk->rights = all;
	return access & ~all ? NEPT_WALK_VIOLATION : NEPT_WALK_OK;
}

/* SDM 3C "Accessed and Dirty Flags for EPT" (29.3.5): accessed in every entry that was used, dirty
 * in the leaf that a write went through. False when an entry was no longer what was checked. */
static bool set_flags(const struct nept_source *source, u32 access, struct nept_walk *walk,
		      const struct trail *trail)
{
	const struct nept_format *format = source->format;
	const struct nept_memory *memory = source->memory;
	u32 level;

	for (level = format->levels; level >= walk->level; level--) {
		u64 old = trail->entry[level];
		u64 new = old | format->accessed;

		if (level == walk->level && (access & NEPT_W))
			new |= format->dirty;
		if (new != old &&
		    !memory->compare_exchange(memory->ctx, trail->at[level], old, new))
			return false;
		walk->entry = new;
	}
	return true;
}

enum nept_walk_result nept_walk(const struct nept_source *source, pa3_t pa3, u32 access,
				struct nept_walk *walk)
{
	struct trail trail;
	u32 round;

	for (round = 0; round < MAX_ROUNDS; round++) {
		enum nept_walk_result result = descend(source, pa3, access, walk, &trail);
		u64 offset_mask;

		if (result != NEPT_WALK_OK)
			return result;
		if (source->root.tracks && !set_flags(source, access, walk, &trail))
			continue;
		offset_mask = BIT(nept_shift_of(walk->level)) - 1;
		walk->pa2 = PA2((walk->entry & source->format->address & ~offset_mask) |
				(pa3.v & offset_mask));
		walk->dirty = !source->root.tracks || (walk->entry & source->format->dirty);
		return NEPT_WALK_OK;
	}
	return NEPT_WALK_RETRY;
}
