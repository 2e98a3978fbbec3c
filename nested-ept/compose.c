/*
 * Composition of a walk of L2's table with the page of L1's table behind it.
 */
#include "nested-ept/compose.h"

void nept_compose(const struct nept_format *format, const struct nept_walk *walk,
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
