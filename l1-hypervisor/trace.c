/*
 * The ring of the last exits; see trace.h.
 */
#include "l1-hypervisor/trace.h"

#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/log.h"

void trace_init(struct trace *trace)
{
	memcpy(trace->magic, TRACE_MAGIC, sizeof(trace->magic));
	trace->size = TRACE_ENTRIES;
}

void trace_log(const struct trace *trace, const char *(*reason_name)(u32 reason))
{
	for (u32 i = 0; i < TRACE_ENTRIES; i++) {
		const struct trace_entry *e = &trace->entry[(trace->next + i) % TRACE_ENTRIES];

		if (!e->level)
			continue;
		log_begin("trace");
		log_number("level", e->level);
		log_number("reason", e->reason);
		log_text("name", reason_name(e->reason));
		log_number("rip", e->rip);
		log_end();
	}
}
