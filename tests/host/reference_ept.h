/*
 * EPT as the manual tells it, one rule after the other, with plain bit numbers and no thought of
 * speed: what the walk and the merged tables are compared with. Uses nothing of nested-ept/.
 */
#ifndef TESTS_REFERENCE_EPT_H
#define TESTS_REFERENCE_EPT_H

#include "tests/host/fake_memory.h"

enum reference_result { REFERENCE_OK, REFERENCE_VIOLATION, REFERENCE_MISCONFIG };

/* The processor that walks. */
struct reference_cpu {
	u64 *(*entry)(void *ctx, u64 at); /* NULL: nothing there, reads as all ones */
	void *ctx;
	unsigned physical_bits;
	bool pages_2m, pages_1g, execute_only;
};

struct reference_walk {
	unsigned r, w, x; /* allowed by every entry; 0 when one is not present */
	u64 physical;     /* with REFERENCE_OK */
	u64 page_size;
	unsigned type, ignore_pat;
	bool was_dirty; /* the leaf's flag before this access */
};

/* Access bits: 1 read, 2 write, 4 fetch. Sets accessed and dirty flags if bit 6 of `eptp` is 1. */
enum reference_result reference_ept_walk(const struct reference_cpu *cpu, u64 eptp, u64 address,
					 unsigned access, struct reference_walk *walk);

/* An EPT entry that is mostly sensible: present, absent, leaf or not, sometimes misconfigured. */
u64 random_ept_entry(struct fake_random *random, unsigned physical_bits);
/* Fills all pages of `memory` with such entries; they refer to each other at random. */
void fill_with_random_ept(struct fake_memory *memory, struct fake_random *random,
			  unsigned physical_bits);

#endif
