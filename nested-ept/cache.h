/*
 * The merged tables of one CPU, one for each address space that L2 uses there lately.
 *
 * Owns: which ept13 belongs to which EPTP of L2, what an INVEPT of L2 removes, and when the CPU
 * must execute INVEPT itself. Per CPU, so an invalidation by L2 acts on the CPU it was executed on,
 * as in hardware, and nothing here is locked.
 */
#ifndef NESTED_EPT_CACHE_H
#define NESTED_EPT_CACHE_H

#include "nested-ept/nept.h"

#define NEPT_CACHE_SLOTS 8

struct nept_slot {
	struct nept nept;
	u64 key; /* of L2's root pointer; all ones when the slot is unused */
	u64 last_use;
	u64 invalidated; /* table.removals when this CPU last executed INVEPT for it */
};

struct nept_cache_stats {
	u64 hits, misses, evictions;
	u64 results[NEPT_RESULTS]; /* of nept_cache_fill(), by enum nept_result */
	u64 drops;                 /* tables emptied because L2 asked */
	u64 invepts;               /* INVEPTs that the core was told to execute */
};

struct nept_cache_config {
	const struct nept_format *format;
	struct nept_rules rules; /* of L2's tables */
	struct nept_memory memory;
	struct nept_lookup12 lookup12;
	struct nept_pool *pool;
};

struct nept_cache {
	struct nept_cache_config config;
	struct nept_slot slots[NEPT_CACHE_SLOTS];
	u64 clock;
	struct nept_cache_stats stats;
};

/* False when the pool cannot give one root page for each slot. */
bool nept_cache_init(struct nept_cache *cache, const struct nept_cache_config *config);

/* The merged table for L2's EPTP (or nCR3): the one at hand, or the least recently used one,
 * emptied. Never fails; the EPTP must have passed the VM-entry checks. The slot belongs to this
 * EPTP until another one is loaded. */
struct nept_slot *nept_cache_load(struct nept_cache *cache, u64 root_pointer23);

/* nept_fill(); when the pool is empty other tables are dropped first, this one last. NEPT_NOMEM
 * remains only when the pool is too small for a single translation. */
enum nept_result nept_cache_fill(struct nept_cache *cache, struct nept_slot *slot, pa3_t pa3,
				 u64 info, struct nept_fault *fault);

/* True when INVEPT (single-context, for nept_root_pointer(&slot->nept)) must be executed before
 * this CPU next enters on the slot; the caller does so at once. Asking again returns false. */
static inline bool nept_slot_take_invept(struct nept_cache *cache, struct nept_slot *slot)
{
	if (likely(slot->invalidated == slot->nept.table.removals))
		return false;
	slot->invalidated = slot->nept.table.removals;
	cache->stats.invepts++;
	return true;
}

/* The machine that L2's tables are made for is another one now: all merged tables are emptied. */
void nept_cache_set_features(struct nept_cache *cache, const struct nept_features *features);

/* L2 executed INVEPT, single-context: every table with this EPTP's address is emptied. */
void nept_cache_drop_context(struct nept_cache *cache, u64 root_pointer23);
/* L2 executed INVEPT, global; or L1 changed ept12 or wants a cold start. */
void nept_cache_drop_all(struct nept_cache *cache);

#endif
