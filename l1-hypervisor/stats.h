/*
 * The exit table of one virtual CPU: keyed by level (2 or 3), exit reason and who handled it (L1,
 * or L2 by reflection), with how often and, in STATS_FULL, the ticks that L1 spent. Ticks are those
 * of the TSC: instructions on an emulator that counts them, cycles elsewhere.
 */
#ifndef L1_STATS_H
#define L1_STATS_H

#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/svm_exits.h"

#define STATS_REASONS SVM_EXITS /* VMX has fewer */
#define STATS_BUCKETS 32        /* log2 histogram: bucket n counts 2^n <= ticks < 2^(n+1) */

enum stats_by { BY_L1, BY_L2, BY_COUNT };

/* The ticks of one row. */
struct stats_ticks {
	u64 sum;
	u64 min; /* less 1, so that zero means none yet */
	u64 max;
	u32 histogram[STATS_BUCKETS];
};

struct stats {
	u64 count[2][BY_COUNT][STATS_REASONS];
	struct stats_ticks ticks[2][BY_COUNT][STATS_REASONS];
};

static inline void stats_count(struct stats *stats, u32 level, enum stats_by by, u64 reason)
{
	stats->count[level - 2][by][reason]++;
}

/* All exits together. */
u64 stats_exits(const struct stats *stats);

/* Adds the ticks of an exit that was counted already. */
void stats_add_ticks(struct stats *stats, u32 level, enum stats_by by, u64 reason, u64 ticks);
void stats_reset(struct stats *stats);
/* Writes all rows that are not zero to the log as `exits` lines. */
void stats_log(const struct stats *stats, u32 cpu, const char *(*reason_name)(u32 reason));

#endif
