/*
 * Pool, hardware and ept12 for the tests of merged tables.
 */
#include <string.h>

#include "tests/host/merged_machine.h"

static u64 memory[POOL_PAGES][512] __attribute__((aligned(4096)));

void merged_pool_init(struct nept_pool *pool, u32 pages)
{
	memset(memory, 0xa5, sizeof(memory));
	nept_pool_init(pool, memory, PA1(POOL_BASE1), pages);
}

bool merged_pool_is_clean(const struct nept_pool *pool)
{
	static const u64 zeros[512];
	u32 index;

	for (index = pool->free_list; index; index = pool->pages[index - 1].next_free)
		if (memcmp(memory[index - 1], zeros, sizeof(zeros)) != 0)
			return false;
	return true;
}

static u64 *pool_entry(void *ctx, u64 at)
{
	u64 offset = at - POOL_BASE1;

	(void)ctx;
	if (at < POOL_BASE1 || offset >= sizeof(memory))
		return NULL;
	return &memory[offset / 4096][offset % 4096 / 8];
}

static u64 *entry_in_pool(void *ctx, pa2_t at)
{
	return pool_entry(ctx, at.v);
}

struct nept_memory merged_pool_memory(void)
{
	return (struct nept_memory){ .entry = entry_in_pool };
}

enum reference_result hardware_walk(u64 eptp, u64 address, unsigned access,
				    struct reference_walk *walk)
{
	struct reference_cpu cpu = { .entry = pool_entry,
				     .physical_bits = 40,
				     .pages_2m = true,
				     .pages_1g = true,
				     .execute_only = true };

	return reference_ept_walk(&cpu, eptp, address, access, walk);
}

enum reference_result hardware_read(const struct nept_table *table, u64 address,
				    struct reference_walk *walk)
{
	return hardware_walk(nept_table_root(table).v | 0x1e, address, 1, walk);
}

bool map_random_ept12(struct nept_table *ept12, struct fake_random *random)
{
	static const u32 rights[] = { NEPT_R, NEPT_R | NEPT_W, NEPT_R | NEPT_X };
	struct nept_range all = { PA2(0), PA1(0x1000000000), 4ULL << 30, NEPT_RWX, MEMTYPE_WB };
	u32 n;

	if (!nept_map(ept12, &all, NEPT_SHIFT_1G))
		return false;
	for (n = 0; n < 60; n++) {
		/* Pieces of 4 KiB to 4 MiB, and some of hundreds, in the upper 3 GiB. */
		u32 unit = fake_once_in(random, 3) ? 12 : 21;
		u64 size = (1ULL + fake_below(random, 300)) << (n ? unit : 21);
		u64 from = ((1ULL << 30) + fake_random(random) % (3ULL << 30)) & ~(BIT(unit) - 1);
		struct nept_range piece = {
			PA2(from), PA1((fake_random(random) & BITS(38, 0)) & ~(BIT(unit) - 1)),
			size, rights[fake_below(random, 3)], MEMTYPE_UC
		};

		if (from + size > 4ULL << 30)
			piece.size = (4ULL << 30) - from;
		if (fake_once_in(random, 3) ? !nept_unmap(ept12, piece.from, piece.size)
					    : !nept_map(ept12, &piece, NEPT_SHIFT_1G))
			return false;
	}
	return true;
}
