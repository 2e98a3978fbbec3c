/*
 * What Nestbed executes between two moments.
 *
 * Reading the counters costs exits itself, and leaves L1 and a guest hypervisor in another state
 * than the operation would. Both are the same in every pair of readings, so a difference of two
 * differences is exact: counting_less().
 */
#ifndef GUESTS_BENCH_COUNTERS_H
#define GUESTS_BENCH_COUNTERS_H

#include "guests/lib/nestbed.h"

struct counting {
	bool available; /* false without Nestbed below: nothing is counted */
	struct nestbed_counters start;
	struct nestbed_counters sum;
};

/* Zeroes the sum. `level` is nestbed_level(). */
void counting_init(struct counting *counting, u32 level);

/* Whatever happens between start and stop is added to the sum. */
void counting_start(struct counting *counting);
void counting_stop(struct counting *counting);

/* Takes off the sum of another counting, `times` times. */
void counting_less(struct counting *counting, const struct counting *other, u64 times);

#endif
