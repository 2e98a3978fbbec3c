/*
 * Minimum, median, mean and maximum of samples, and how figures that are not whole are printed.
 */
#ifndef GUESTS_BENCH_STATISTICS_H
#define GUESTS_BENCH_STATISTICS_H

#include "l1-hypervisor/leaf/types.h"

struct statistics {
	u64 count, min, median, max, sum;
};

/* Sorts `samples` on the way; `count` is at least 1. The median of an even count is the lower. */
void statistics_take(u64 *samples, u64 count, struct statistics *out);

#define RATIO_TEXT_SIZE 32

/* Writes sum / count with as many digits behind the point, at most 3 and rounded, as it needs. */
const char *ratio_text(u64 sum, u64 count, char text[RATIO_TEXT_SIZE]);

#endif
