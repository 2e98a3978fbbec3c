/*
 * What Nestbed executed between two moments, its counters' own cost taken off.
 */
#ifndef GUESTS_BENCH_COUNTERS_H
#define GUESTS_BENCH_COUNTERS_H

#include "guests/lib/nestbed.h"

struct counting {
	bool available;               /* false without Nestbed below: nothing is counted */
	struct nestbed_counters cost; /* of reading the counters once */
	struct nestbed_counters start;
	struct nestbed_counters sum;
};

/* Learns what reading costs and zeroes the sum. `level` is nestbed_level(). */
void counting_init(struct counting *counting, u32 level);

/* Whatever happens between start and stop is added to the sum. */
void counting_start(struct counting *counting);
void counting_stop(struct counting *counting);

#endif
