/*
 * Software walk of ept23 or npt23: L3's address to L2's, as hardware would do it.
 *
 * Owns: the order of the checks, accessed and dirty flags in L2's tables.
 * Assumes: the root pointer passed L2's VM-entry checks.
 * Refuses: to read an entry twice; what was checked is what is used.
 */
#ifndef NESTED_EPT_WALK_H
#define NESTED_EPT_WALK_H

#include "nested-ept/format.h"
#include "nested-ept/memory.h"

/* One table of L2. */
struct nept_source {
	const struct nept_format *format;
	const struct nept_rules *rules;
	const struct nept_memory *memory;
	struct nept_root23 root;
};

struct nept_walk {
	u32 rights; /* allowed by every entry, or NEPT_DENIED; 0 when one is not present */
	/* The rest has a meaning only with NEPT_WALK_OK. */
	u32 shift;   /* of the leaf: it maps 1 << shift bytes */
	u32 caching; /* of the leaf */
	bool dirty;  /* the leaf's dirty flag is set, or L2 does not want to know */
	pa2_t pa2;   /* where the address leads */
};

/*
 * Translates `pa3` for an access that needs the rights `access`. On NEPT_WALK_OK the accessed
 * flags, and for a write the dirty flag, are set in L2's tables if their root pointer asks for it;
 * else nothing is written, unless a race was lost after some flags were set. SDM 3C "EPT
 * Translation Mechanism" (29.3.2), "EPT-Induced VM Exits" (29.3.3), "Accessed and Dirty Flags for
 * EPT" (29.3.5).
 */
static inline enum nept_walk_result nept_walk(const struct nept_source *source, pa3_t pa3,
					      u32 access, struct nept_walk *walk)
{
	return source->format->walk(source, pa3, access, walk);
}

#endif
