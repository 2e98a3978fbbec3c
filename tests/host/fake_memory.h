/*
 * A guest's memory for the host tests: a few pages at guest-physical FAKE_BASE, nothing elsewhere.
 * Counts what is done to it and can play the other CPU that changes an entry at the wrong moment.
 */
#ifndef TESTS_FAKE_MEMORY_H
#define TESTS_FAKE_MEMORY_H

#include "nested-ept/memory.h"

#define FAKE_PAGES 24
#define FAKE_BASE  0x100000ULL

struct fake_memory {
	u64 page[FAKE_PAGES][512];
	u64 reads;
	/* That many times, the entry that was read last is changed by another CPU, which flips the
	 * bits `race_flips` of it, before the next one is read. */
	u32 races;
	u64 race_flips;
	u64 *last;
};

/* What the code under test gets. */
struct nept_memory fake_memory_access(struct fake_memory *memory);

/* The entry at a guest-physical address, NULL where there is no memory. */
u64 *fake_entry(struct fake_memory *memory, u64 at);

static inline u64 fake_page_address(u32 page)
{
	return FAKE_BASE + (u64)page * 4096;
}

/* Random numbers that repeat from run to run. */
struct fake_random {
	u64 state;
};

u64 fake_random(struct fake_random *random);
/* Below `limit`. */
u32 fake_below(struct fake_random *random, u32 limit);
/* True once in `n` times. */
bool fake_once_in(struct fake_random *random, u32 n);

#endif
