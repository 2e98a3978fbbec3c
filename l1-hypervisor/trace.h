/*
 * The last exits of every CPU, for dumps: a ring in memory that starts with a magic text, so that a
 * debugger of the platform finds and prints it when a guest hangs. The `start` line of the log says
 * where CPU 0's is.
 */
#ifndef L1_TRACE_H
#define L1_TRACE_H

#include "l1-hypervisor/leaf/types.h"

#define TRACE_ENTRIES 32
#define TRACE_MAGIC   "NBTRACE1"

struct trace_entry {
	u64 rip;
	u32 reason;
	u32 level;
};

struct trace {
	u8 magic[8];
	u32 next; /* index of the oldest entry, which is overwritten next */
	u32 size;
	struct trace_entry entry[TRACE_ENTRIES];
};

void trace_init(struct trace *trace);

static inline void trace_add(struct trace *trace, u64 rip, u32 reason, u32 level)
{
	u32 at = trace->next % TRACE_ENTRIES;

	trace->next = at + 1;
	trace->entry[at] = (struct trace_entry){ rip, reason, level };
}

/* Writes the entries to the log, oldest first. */
void trace_log(const struct trace *trace, const char *(*reason_name)(u32 reason));

#endif
