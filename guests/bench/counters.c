/*
 * Differences of Nestbed's counters; see counters.h.
 */
#include "guests/bench/counters.h"
#include "guests/lib/guest.h"

static struct nestbed_counters read_counters(void)
{
	struct nestbed_counters counters;

	if (nestbed_counters(&counters) != NB_OK)
		guest_fail("Nestbed is below but refuses to show its counters");
	return counters;
}

/* to += times * from, modulo 2^64: times may stand for a negative number. */
static void add(struct nestbed_counters *to, const struct nestbed_counters *from, u64 times)
{
	to->exits += times * from->exits;
	for (u32 i = 0; i < NESTBED_ACCESSES; i++)
		to->accesses[i] += times * from->accesses[i];
}

/* A guest hypervisor on bare hardware has a signature, but no Nestbed below to ask for counters. */
static bool are_there(u32 level)
{
	static enum { UNKNOWN, THERE, NOT_THERE } known;
	struct nestbed_counters counters;

	if (known == UNKNOWN)
		known = level != 0 && nestbed_counters(&counters) != NB_ERR_UNKNOWN ? THERE
										    : NOT_THERE;
	return known == THERE;
}

void counting_init(struct counting *c, u32 level)
{
	*c = (struct counting){ .available = are_there(level) };
}

void counting_start(struct counting *c)
{
	if (c->available)
		c->start = read_counters();
}

void counting_stop(struct counting *c)
{
	struct nestbed_counters end;

	if (!c->available)
		return;
	end = read_counters();
	add(&c->sum, &end, 1);
	add(&c->sum, &c->start, -1UL);
}

void counting_less(struct counting *c, const struct counting *other, u64 times)
{
	add(&c->sum, &other->sum, 0 - times);
}
