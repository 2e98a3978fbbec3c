/*
 * Why something the user asked for cannot be done: one sentence that names what is wrong and what
 * would mend it. Filled at the place that knows, carried up unchanged, printed once.
 */
#ifndef L1_REFUSAL_H
#define L1_REFUSAL_H

#include "l1-hypervisor/leaf/types.h"

struct refusal {
	char text[240];
};

/* Writes the sentence (formats as snprintf in leaf/string.h) and returns false, so that a check is
 * one line: `return refuse(why, "...");`. */
__attribute__((format(printf, 2, 3))) bool refuse(struct refusal *why, const char *format, ...);

#endif
