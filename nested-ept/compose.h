/*
 * Composition: a translation of L2 for L3 and the page of L1 for L2 behind it give the one leaf
 * that hardware runs L3 on. Pure arithmetic; never allows more than either side does.
 */
#ifndef NESTED_EPT_COMPOSE_H
#define NESTED_EPT_COMPOSE_H

#include "nested-ept/memory.h"
#include "nested-ept/walk.h"

/* A leaf of ept13. */
struct nept_leaf13 {
	u64 entry;
	u32 shift;
	u32 rights;
};

/*
 * Needs a walk that ended with NEPT_WALK_OK and the page12 of walk->pa2. Smallest page wins; rights
 * are those that both sides give, less writing while L2 still waits for its dirty flag; the memory
 * type and ignore-PAT are L2's. `rights` 0 means that there is nothing to map.
 */
static inline void nept_compose(const struct nept_format *format, const struct nept_walk *walk,
				const struct nept_page12 *page, struct nept_leaf13 *leaf)
{
	u32 shift = page->shift < walk->shift ? page->shift : walk->shift;
	u32 rights = walk->rights & page->rights;
	u64 pa1 = page->base.v | (walk->pa2.v & (BIT(page->shift) - 1));

	/* L2 learns of the first write by its dirty flag, so that write must come to us. */
	if (!walk->dirty)
		rights &= ~NEPT_W;
	leaf->shift = shift;
	leaf->rights = rights;
	leaf->entry = ALIGN_DOWN(pa1, BIT(shift)) |
		      format->leaf_entry(shift, rights, walk->caching);
}

#endif
