/*
 * A guest's memory for the host tests, and the random numbers to fill it with.
 */
#include "tests/host/fake_memory.h"

u64 *fake_entry(struct fake_memory *memory, u64 at)
{
	u64 offset = at - FAKE_BASE;

	if (at < FAKE_BASE || offset >= sizeof(memory->page) || at % 8)
		return NULL;
	return &memory->page[offset / 4096][offset % 4096 / 8];
}

static bool read_entry(void *ctx, pa2_t at, u64 *value)
{
	struct fake_memory *memory = ctx;
	u64 *entry = fake_entry(memory, at.v);

	memory->reads++;
	if (!entry)
		return false;
	*value = *entry;
	return true;
}

static bool compare_exchange(void *ctx, pa2_t at, u64 old, u64 new)
{
	struct fake_memory *memory = ctx;
	u64 *entry = fake_entry(memory, at.v);

	memory->exchanges++;
	if (!entry)
		return false;
	if (memory->races) {
		memory->races--;
		*entry ^= memory->race_flips;
		return false;
	}
	if (*entry != old)
		return false;
	*entry = new;
	return true;
}

struct nept_memory fake_memory_access(struct fake_memory *memory)
{
	return (struct nept_memory){ .ctx = memory,
				     .read = read_entry,
				     .compare_exchange = compare_exchange };
}

/* splitmix64 */
u64 fake_random(struct fake_random *random)
{
	u64 z = random->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

u32 fake_below(struct fake_random *random, u32 limit)
{
	return (u32)(fake_random(random) >> 32) % limit;
}

bool fake_once_in(struct fake_random *random, u32 n)
{
	return fake_below(random, n) == 0;
}
