/*
 * Statistics of samples in integers only; see statistics.h.
 */
#include "guests/bench/statistics.h"
#include "l1-hypervisor/leaf/string.h"

#define THOUSANDTHS 1000

/* Shell's sort: in place, no recursion, quick enough for ten thousand samples. */
static void sort(u64 *samples, u64 count)
{
	for (u64 gap = count / 2; gap; gap /= 2) {
		for (u64 i = gap; i < count; i++) {
			u64 value = samples[i];
			u64 at = i;

			for (; at >= gap && samples[at - gap] > value; at -= gap)
				samples[at] = samples[at - gap];
			samples[at] = value;
		}
	}
}

void statistics_take(u64 *samples, u64 count, struct statistics *out)
{
	sort(samples, count);
	*out = (struct statistics){
		.count = count,
		.min = samples[0],
		.median = samples[(count - 1) / 2],
		.max = samples[count - 1],
	};
	for (u64 i = 0; i < count; i++)
		out->sum += samples[i];
}

const char *ratio_text(u64 sum, u64 count, char text[RATIO_TEXT_SIZE])
{
	u64 thousandths = (sum * THOUSANDTHS + count / 2) / count;
	u64 rest = thousandths % THOUSANDTHS;
	int digits = 3;

	for (; digits && rest % 10 == 0; digits--)
		rest /= 10;
	if (digits)
		snprintf(text, RATIO_TEXT_SIZE, "%lu.%0*lu", thousandths / THOUSANDTHS, digits,
			 rest);
	else
		snprintf(text, RATIO_TEXT_SIZE, "%lu", thousandths / THOUSANDTHS);
	return text;
}
