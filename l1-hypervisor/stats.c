/*
 * The exit table; see stats.h.
 */
#include "l1-hypervisor/stats.h"

#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/log.h"

void stats_add_ticks(struct stats *stats, u32 level, enum stats_by by, u64 reason, u64 ticks)
{
	struct stats_ticks *t = &stats->ticks[level - 2][by][reason];
	u32 bucket = ticks ? 63 - (u32)__builtin_clzll(ticks) : 0;

	t->sum += ticks;
	if (!t->min || ticks + 1 < t->min)
		t->min = ticks + 1;
	if (ticks > t->max)
		t->max = ticks;
	t->histogram[bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1]++;
}

u64 stats_exits(const struct stats *stats)
{
	const u64 *count = &stats->count[0][0][0];
	u64 sum = 0;

	for (u32 i = 0; i < sizeof(stats->count) / sizeof(*count); i++)
		sum += count[i];
	return sum;
}

void stats_reset(struct stats *stats)
{
	memset(stats, 0, sizeof(*stats));
}

static void log_ticks(const struct stats_ticks *t)
{
	char text[STATS_BUCKETS * 8];
	size_t used = 0;

	log_number("ticks_sum", t->sum);
	log_number("ticks_min", t->min ? t->min - 1 : 0);
	log_number("ticks_max", t->max);
	for (u32 i = 0; i < STATS_BUCKETS; i++) {
		if (t->histogram[i] && used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u:%u",
						 used ? " " : "", i, t->histogram[i]);
	}
	if (used)
		log_text("log2_histogram", text);
}

static void log_row(const struct stats *stats, u32 cpu, u32 level, enum stats_by by, u32 reason,
		    const char *name)
{
	log_begin("exits");
	log_number("cpu", cpu);
	log_number("level", level);
	log_number("reason", reason);
	log_text("name", name);
	log_text("by", by == BY_L1 ? "L1" : "L2");
	log_number("count", stats->count[level - 2][by][reason]);
	log_ticks(&stats->ticks[level - 2][by][reason]);
	log_end();
}

void stats_log(const struct stats *stats, u32 cpu, const char *(*reason_name)(u32 reason))
{
	for (u32 level = 2; level <= 3; level++) {
		for (enum stats_by by = BY_L1; by < BY_COUNT; by++) {
			for (u32 reason = 0; reason < STATS_REASONS; reason++) {
				if (stats->count[level - 2][by][reason])
					log_row(stats, cpu, level, by, reason, reason_name(reason));
			}
		}
	}
}
