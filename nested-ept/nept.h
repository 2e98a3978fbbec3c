/*
 * A merged table (ept13, npt13): filled on L3's faults from L2's table and L1's own.
 *
 * Owns: the way from a fault to either a new leaf or what L2 is told.
 * Assumes: per-CPU use; L2 invalidates (INVEPT) after it takes rights away, as on hardware.
 * Refuses: to map what ept12 does not give, whatever ept23 says.
 */
#ifndef NESTED_EPT_NEPT_H
#define NESTED_EPT_NEPT_H

#include "nested-ept/memory.h"
#include "nested-ept/table.h"
#include "nested-ept/walk.h"

struct nept {
	struct nept_table table;
	struct nept_source source;
	const struct nept_lookup12 *lookup12;
};

struct nept_fault {
	u64 info;   /* NEPT_VIOLATION: exit qualification or error code for L2 */
	pa2_t pa2;  /* NEPT_ABSENT: what L3's access reaches in L2's memory */
	u32 access; /* NEPT_ABSENT: the rights it needs there */
};

/*
 * L3 faulted at `pa3` in the merged table; `info` is what hardware told. Fills one leaf, or says in
 * `fault` why not.
 */
static inline enum nept_result nept_fill(struct nept *nept, pa3_t pa3, u64 info,
					 struct nept_fault *fault)
{
	return nept->source.format->fill(nept, pa3, info, fault);
}

/*
 * The same for an access that L3 will make soon, perhaps: as a processor does on its own, without
 * a write to L2's tables. Accessed and dirty flags that are missing there are NEPT_RETRY, and
 * nothing is filled then.
 */
static inline enum nept_result nept_fill_ahead(struct nept *nept, pa3_t pa3, u64 info)
{
	struct nept_fault unused;

	return nept->source.format->fill_ahead(nept, pa3, info, &unused);
}

/* The EPTP or nCR3 to run L3 with. It tracks accessed and dirty flags when L2's does, because a
 * processor that tracks treats its reads of guest page tables as writes, and L2 may rely on it. */
static inline u64 nept_root_pointer(const struct nept *nept)
{
	return nept->source.format->root_pointer(nept_table_root(&nept->table),
						 nept->source.root.tracks);
}

#endif
