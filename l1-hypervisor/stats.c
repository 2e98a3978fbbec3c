/*
 * The exit table; see stats.h.
 */
#include "l1-hypervisor/stats.h"

#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/log.h"

void stats_ticks(struct stats_row *row, u64 ticks)
{
	u32 bucket = ticks ? 63 - (u32)__builtin_clzll(ticks) : 0;

	row->sum += ticks;
	if (row->count == 1 || ticks < row->min)
		row->min = ticks;
	if (ticks > row->max)
		row->max = ticks;
	row->histogram[bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1]++;
}

void stats_reset(struct stats *stats)
{
	memset(stats, 0, sizeof(*stats));
}

static void log_histogram(const struct stats_row *row)
{
	char text[STATS_BUCKETS * 8];
	size_t used = 0;

	for (u32 i = 0; i < STATS_BUCKETS; i++) {
		if (row->histogram[i] && used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u:%u",
						 used ? " " : "", i, row->histogram[i]);
	}
	if (used)
		log_text("log2_histogram", text);
}

static void log_row(const struct stats_row *row, u32 cpu, u32 level, enum stats_by by, u32 reason,
		    const char *name)
{
	log_begin("exits");
	log_number("cpu", cpu);
	log_number("level", level);
	log_number("reason", reason);
	log_text("name", name);
	log_text("by", by == BY_L1 ? "L1" : "L2");
	log_number("count", row->count);
	log_number("ticks_sum", row->sum);
	log_number("ticks_min", row->min);
	log_number("ticks_max", row->max);
	log_histogram(row);
	log_end();
}

void stats_log(const struct stats *stats, u32 cpu, const char *(*reason_name)(u32 reason))
{
	for (u32 level = 2; level <= 3; level++) {
		for (enum stats_by by = BY_L1; by < BY_COUNT; by++) {
			for (u32 reason = 0; reason < STATS_REASONS; reason++) {
				const struct stats_row *row = &stats->row[level - 2][by][reason];

				if (row->count)
					log_row(row, cpu, level, by, reason, reason_name(reason));
			}
		}
	}
}
