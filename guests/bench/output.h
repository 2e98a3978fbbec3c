/*
 * The machine-readable line of one result.
 */
#ifndef GUESTS_BENCH_OUTPUT_H
#define GUESTS_BENCH_OUTPUT_H

#include "guests/bench/counters.h"
#include "guests/bench/statistics.h"

struct result {
	const char *op, *state;
	u32 level;
	struct statistics ticks;
	struct counting counting;
};

void output_result(const struct result *result);

#endif
