/*
 * Random numbers; see random.h.
 */
#include "guests/hostile/random.h"

static u64 state;

void random_seed(u64 seed)
{
	state = seed * 0x9e3779b97f4a7c15UL + 1;
}

/* xorshift64* */
u64 random_word(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dULL;
}

u64 random_below(u64 limit)
{
	return (random_word() >> 32) % limit;
}
