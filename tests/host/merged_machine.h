/*
 * What the tests of the tables that hardware runs on share: a page pool in an array, an ept12 made
 * in it, and hardware, which is the reference walk reading the pool at its L1-physical address.
 */
#ifndef TESTS_MERGED_MACHINE_H
#define TESTS_MERGED_MACHINE_H

#include "nested-ept/ept.h"
#include "nested-ept/nept.h"
#include "tests/host/reference_ept.h"

#define POOL_PAGES 700
#define POOL_BASE1 0x7f00000000ULL

/* A pool of `pages` (at most POOL_PAGES) pages full of rubbish. */
void merged_pool_init(struct nept_pool *pool, u32 pages);
/* All pages that are not in use hold zeros, or were never used. */
bool merged_pool_is_clean(const struct nept_pool *pool);

/* The pool by L1-physical addresses. */
struct nept_memory merged_pool_memory(void);

/* Hardware's walk of a table in the pool; sets flags there as EPTP bit 6 says. */
enum reference_result hardware_walk(u64 eptp, u64 address, unsigned access,
				    struct reference_walk *walk);
/* For a table made without merging: EPTP with flags off, and a read. */
enum reference_result hardware_read(const struct nept_table *table, u64 address,
				    struct reference_walk *walk);

static inline unsigned rights_of(const struct reference_walk *walk)
{
	return walk->r | walk->w << 1 | walk->x << 2;
}

/* Maps [0, 4 GiB) as ept12 of a random machine: pages of every size, holes, fewer rights. */
bool map_random_ept12(struct nept_table *ept12, struct fake_random *random);

#endif
