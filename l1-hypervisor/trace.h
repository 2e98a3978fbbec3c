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
	u32 next; /* where the oldest entry is, in bytes; it is overwritten next */
	u32 size; /* entries */
	struct trace_entry entry[TRACE_ENTRIES];
};

void trace_init(struct trace *trace);

static inline void trace_add(struct trace *trace, u64 rip, u64 reason)
{
	u32 at = trace->next;
	struct trace_entry *e = (void *)((u8 *)trace->entry + at);

	trace->next = (at + (u32)sizeof(*e)) & (u32)(sizeof(trace->entry) - 1);
	e->rip = rip;
	e->reason = reason;
}

/* The exit that was added last. */
static inline const struct trace_entry *trace_last(const struct trace *trace)
{
	return &trace->entry[(trace->next / sizeof(struct trace_entry) - 1) % TRACE_ENTRIES];
}

/* Writes the entries to the log, oldest first. */
void trace_log(const struct trace *trace, const char *(*reason_name)(u32 reason));

#endif
