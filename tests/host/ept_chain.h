/*
 * A hand-made EPT of L2 for the rule tests: one page for each level, one chain of entries for one
 * address of L3, and a walk of it.
 */
#ifndef TESTS_EPT_CHAIN_H
#define TESTS_EPT_CHAIN_H

#include "nested-ept/ept.h"
#include "nested-ept/walk.h"
#include "tests/host/fake_memory.h"

/* Different indexes at each level, so that a mixed-up level is seen. */
#define CHAIN_ADDRESS 0x123456789abcULL
#define CHAIN_PAGE    0x8765432000ULL

#define CHAIN_FEATURES           \
	((struct nept_features){ \
		.physical_bits = 40, .max_shift = NEPT_SHIFT_1G, .execute_only = true })

struct chain {
	struct fake_memory memory;
	struct nept_memory access;
	struct nept_rules rules;
	struct nept_source source;
	u64 *entry[NEPT_LEVELS_MAX + 1]; /* of CHAIN_ADDRESS, by level */
	struct nept_walk walk;           /* the last one */
};

/* A chain that maps CHAIN_ADDRESS with a leaf of `leaf_level` to CHAIN_PAGE, with every right and
 * memory type 6; `tracks` is EPTP bit 6. */
void chain_make(struct chain *chain, u32 leaf_level, bool tracks, struct nept_features features);

enum nept_walk_result chain_walk(struct chain *chain, u32 access);

#endif
