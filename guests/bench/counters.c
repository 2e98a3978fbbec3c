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

static struct nestbed_counters difference(struct nestbed_counters a, struct nestbed_counters b)
{
	return (struct nestbed_counters){
		.exits = a.exits - b.exits,
		.vmreads = a.vmreads - b.vmreads,
		.vmwrites = a.vmwrites - b.vmwrites,
		.vmptrlds = a.vmptrlds - b.vmptrlds,
	};
}

void counting_init(struct counting *c, u32 level)
{
	*c = (struct counting){ .available = false };
	/* A guest hypervisor without Nestbed below has none. This first one may also fill tables.
	 */
	if (!level || nestbed_counters(&c->start) != NB_OK)
		return;
	c->available = true;
	c->start = read_counters();
	c->cost = difference(read_counters(), c->start);
}

void counting_start(struct counting *c)
{
	if (c->available)
		c->start = read_counters();
}

void counting_stop(struct counting *c)
{
	struct nestbed_counters since;

	if (!c->available)
		return;
	since = difference(difference(read_counters(), c->start), c->cost);
	c->sum.exits += since.exits;
	c->sum.vmreads += since.vmreads;
	c->sum.vmwrites += since.vmwrites;
	c->sum.vmptrlds += since.vmptrlds;
}
