/*
 * One JSON object a result, as a TAP diagnostic; see output.h.
 */
#include "guests/bench/output.h"
#include "guests/lib/tap.h"
#include "l1-hypervisor/leaf/string.h"

#define COUNTS_SIZE 160

/* The counted figures, beginning with a comma; nothing when there is nothing that counts. */
static void format_counts(const struct counting *c, u64 n, char text[COUNTS_SIZE])
{
	const char *const *names = nestbed_access_names();
	char ratio[RATIO_TEXT_SIZE];
	int at;

	text[0] = 0;
	if (!c->available)
		return;
	at = snprintf(text, COUNTS_SIZE, ",\"hw_exits_per_op\":%s",
		      ratio_text(c->sum.exits, n, ratio));
	for (u32 i = 0; i < NESTBED_ACCESSES; i++)
		at += snprintf(text + at, COUNTS_SIZE - (size_t)at, ",\"l1_%s_per_op\":%s",
			       names[i], ratio_text(c->sum.accesses[i], n, ratio));
}

void output_result(const struct result *r)
{
	char mean[RATIO_TEXT_SIZE], counts[COUNTS_SIZE];
	const struct statistics *t = &r->ticks;

	format_counts(&r->counting, t->count, counts);
	tap_note("{\"op\":\"%s\",\"level\":%u,\"state\":\"%s\",\"n\":%lu,\"ticks_min\":%lu,"
		 "\"ticks_median\":%lu,\"ticks_mean\":%s,\"ticks_max\":%lu%s}",
		 r->op, r->level, r->state, t->count, t->min, t->median,
		 ratio_text(t->sum, t->count, mean), t->max, counts);
}
