/*
 * The ring of the last exits; see trace.h.
 */
#include "l1-hypervisor/trace.h"

#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/log.h"

void trace_init(struct trace *trace)
{
	memcpy(trace->magic, TRACE_MAGIC, sizeof(trace->magic));
}

void trace_log(const struct trace *trace, const char *(*reason_name)(u32 reason))
{
	u64 oldest = trace->last / sizeof(struct trace_entry) + 1;

	for (u32 i = 0; i < TRACE_ENTRIES; i++) {
		const struct trace_entry *e = &trace->entry[(oldest + i) % TRACE_ENTRIES];

		if (!e->rip && !e->reason)
			continue;
		log_begin("trace");
		log_number("level", e->reason & TRACE_LEVEL3 ? 3 : 2);
		log_number("reason", e->reason & ~(u64)TRACE_LEVEL3);
		log_text("name", reason_name((u32)e->reason & ~TRACE_LEVEL3));
		log_number("rip", e->rip);
		log_end();
	}
}
