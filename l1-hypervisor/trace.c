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
	u32 first = trace->next > TRACE_ENTRIES ? trace->next - TRACE_ENTRIES : 0;

	for (u32 i = first; i < trace->next; i++) {
		const struct trace_entry *e = &trace->entry[i % TRACE_ENTRIES];

		log_begin("trace");
		log_number("level", e->level);
		log_number("reason", e->reason);
		log_text("name", reason_name(e->reason & 0xffff));
		log_number("rip", e->rip);
		log_number("qualification", e->qualification);
		log_number("tsc", e->tsc);
		log_end();
	}
}
