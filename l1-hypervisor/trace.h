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

#define TRACE_LEVEL3 0x100U /* in `reason`: the exit was L3's */

struct trace_entry {
	u64 rip;
	u64 reason;
};

struct trace {
	u8 magic[8];
	u64 last; /* where the newest entry is, in bytes; the oldest one follows */
	struct trace_entry entry[TRACE_ENTRIES];
};

void trace_init(struct trace *trace);

static inline void trace_add(struct trace *trace, u64 rip, u64 reason)
{
	u64 at = (trace->last + sizeof(struct trace_entry)) & (sizeof(trace->entry) - 1);

	trace->last = at;
	*(u64 *)((u8 *)&trace->entry[0].rip + at) = rip;
	forget_origin(at);
	*(u64 *)((u8 *)&trace->entry[0].reason + at) = reason;
}

/* The exit that was added last. */
static inline const struct trace_entry *trace_last(const struct trace *trace)
{
	return &trace->entry[trace->last / sizeof(struct trace_entry)];
}

/* Writes the entries to the log, oldest first. */
void trace_log(const struct trace *trace, const char *(*reason_name)(u32 reason));

#endif
