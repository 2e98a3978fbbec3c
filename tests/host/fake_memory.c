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

static u64 *entry(void *ctx, pa2_t at)
{
	struct fake_memory *memory = ctx;

	if (memory->races && memory->last) {
		memory->races--;
		*memory->last ^= memory->race_flips;
	}
	memory->reads++;
	memory->last = fake_entry(memory, at.v);
	return memory->last;
}

struct nept_memory fake_memory_access(struct fake_memory *memory)
{
	return (struct nept_memory){ .ctx = memory, .entry = entry };
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
