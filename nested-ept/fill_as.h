/*
 * Filling a merged table for a format known when compiling: walk L2's table, look the result up in
 * L1's, compose, insert. Each format's file includes this and offers the result as its `fill`.
 */
#ifndef NESTED_EPT_FILL_AS_H
#define NESTED_EPT_FILL_AS_H

#include "nested-ept/compose.h"
#include "nested-ept/nept.h"
#include "nested-ept/walk_as.h"

/* What nept_fill() says, or with NEPT_READ_ONLY nept_fill_ahead(), with `format` a constant. */
static inline __attribute__((always_inline)) enum nept_result
nept_fill_as(const struct nept_format *format, enum nept_flags flags, struct nept *nept, pa3_t pa3,
	     u64 info, struct nept_fault *fault)
{
	u32 access = format->access(info);
	struct nept_walk walk;
	struct nept_page12 page;
	struct nept_leaf13 leaf;

	switch (nept_walk_as(format, flags, &nept->source, pa3, access, &walk)) {
	case NEPT_WALK_OK:
		break;
	case NEPT_WALK_VIOLATION:
		fault->info = format->violation(info, walk.rights);
		return NEPT_VIOLATION;
	case NEPT_WALK_MISCONFIG:
		return NEPT_MISCONFIG;
	case NEPT_WALK_RETRY:
		return NEPT_RETRY;
	}
	nept->lookup12->find(nept->lookup12->ctx, walk.pa2, &page);
	nept_compose(format, &walk, &page, &leaf);
	if (unlikely(!leaf.rights || (access & ~leaf.rights))) {
		fault->pa2 = walk.pa2;
		fault->access = access;
		return NEPT_ABSENT;
	}
	return nept_table_put(&nept->table, pa3.v, leaf.shift, leaf.entry) ? NEPT_FILLED
									   : NEPT_NOMEM;
}

#endif
