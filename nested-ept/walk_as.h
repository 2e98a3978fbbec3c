/*
 * Software walk of a second-level table in L2's memory, for a format known when compiling: each
 * format's file includes this and offers the result as its `walk`, so that a walk costs no calls
 * but those to L2's memory.
 *
 * The order is the manual's: at each entry first whether it is present, then whether it is
 * misconfigured, and the rights of all entries together only when the last one is reached.
 */
#ifndef NESTED_EPT_WALK_AS_H
#define NESTED_EPT_WALK_AS_H

#include "nested-ept/walk.h"

/* A walk starts again when another CPU changes an entry between reading and flagging it. Tables
 * that lead to themselves need one more round; what takes longer is somebody's race. */
#define NEPT_WALK_ROUNDS 4

/* The entries of one walk, by level, to set their flags when the access turns out to be allowed. */
struct nept_trail {
	struct nept_used used[NEPT_LEVELS_MAX + 1];
	u32 leaf;  /* level of the last one */
	u64 above; /* the AND of the values of those above it */
};

static inline __attribute__((always_inline)) enum nept_walk_result
nept_descend(const struct nept_format *format, const struct nept_source *source, pa3_t pa3,
	     struct nept_walk *walk, struct nept_trail *trail)
{
	const struct nept_rules *rules = source->rules;
	const struct nept_memory memory = *source->memory;
	u64 table = source->root.table.v;
	u64 all = ~0ULL; /* the AND of the entries, with denying bits turned into giving ones */
	u32 level;

#pragma GCC unroll 4
	for (level = format->levels; level > 0; level--) {
		u32 shift = nept_shift_of(level);
		struct nept_used used =
			nept_read(&memory, PA2(table + 8 * nept_index(pa3.v, shift)));

		if (unlikely(!((rules->good_rights >> (used.value & 7)) & 1)))
			return used.value & format->present ? NEPT_WALK_MISCONFIG
							    : NEPT_WALK_VIOLATION;
		trail->above = all;
		all &= used.value ^ format->denying;
		trail->used[level] = used;
		table = used.value & format->address;
		if (level > 1 && likely(!(used.value & format->leaf))) {
			if (unlikely(used.value & rules->reserved_table[level]))
				return NEPT_WALK_MISCONFIG;
			continue;
		}
		walk->shift = shift;
		walk->caching = format->caching(used.value, shift);
		if (unlikely((used.value & rules->reserved_leaf[level]) ||
			     ((rules->bad_types >> walk->caching) & 1)))
			return NEPT_WALK_MISCONFIG;
		break;
	}
	walk->rights = format->rights(all ^ format->denying);
	trail->leaf = level;
	return NEPT_WALK_OK;
}

/* SDM 3C "Accessed and Dirty Flags for EPT" (29.3.5): accessed in every entry that was used, dirty
 * in the leaf that a write went through. False when an entry was no longer what was checked. */
static inline bool nept_set_flags(const struct nept_format *format, bool write,
				  struct nept_trail *trail)
{
	u32 level = format->levels;

	/* Mostly those above the leaf have been used before. */
	if (likely(trail->above & format->accessed))
		level = trail->leaf;
	for (; level >= trail->leaf; level--) {
		u64 new = trail->used[level].value | format->accessed;

		if (write && level == trail->leaf)
			new |= format->dirty;
		if (new != trail->used[level].value && !nept_replace(&trail->used[level], new))
			return false;
	}
	return true;
}

/* Whether the walk may set accessed and dirty flags; where it may not and they are not set, it ends
 * in NEPT_WALK_RETRY. */
enum nept_flags { NEPT_SET_FLAGS, NEPT_READ_ONLY };

static inline bool nept_has_flags(const struct nept_format *format, bool write,
				  const struct nept_trail *trail)
{
	u64 wanted = format->accessed | (write ? format->dirty : 0);

	return (trail->above & format->accessed) && !(wanted & ~trail->used[trail->leaf].value);
}

/* What nept_walk() says, with `format` and `flags` constants. */
static inline __attribute__((always_inline)) enum nept_walk_result
nept_walk_as(const struct nept_format *format, enum nept_flags flags,
	     const struct nept_source *source, pa3_t pa3, u32 access, struct nept_walk *walk)
{
	struct nept_trail trail;
	u32 round;

	walk->rights = 0;
	/* An address that the levels cannot translate is in no entry. */
	if (unlikely(nept_is_beyond(format, pa3.v)))
		return NEPT_WALK_VIOLATION;
	for (round = 0; round < NEPT_WALK_ROUNDS; round++) {
		enum nept_walk_result result = nept_descend(format, source, pa3, walk, &trail);
		u64 entry, offset_mask;

		if (result != NEPT_WALK_OK)
			return result;
		if (access & ~walk->rights)
			return NEPT_WALK_VIOLATION;
		if (flags == NEPT_READ_ONLY && source->root.tracks &&
		    !nept_has_flags(format, access & NEPT_W, &trail))
			return NEPT_WALK_RETRY;
		if (flags == NEPT_SET_FLAGS && source->root.tracks &&
		    !nept_set_flags(format, access & NEPT_W, &trail)) {
			walk->rights = 0;
			continue;
		}
		entry = trail.used[trail.leaf].value;
		offset_mask = BIT(walk->shift) - 1;
		walk->dirty = !source->root.tracks || (entry & format->dirty);
		walk->pa2 = PA2((entry & format->address & ~offset_mask) | (pa3.v & offset_mask));
		return NEPT_WALK_OK;
	}
	return NEPT_WALK_RETRY;
}

#endif
