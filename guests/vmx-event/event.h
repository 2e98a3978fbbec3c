/*
 * What tests of events share: handlers in the inner guest that note what was delivered to them, and
 * code for the inner guest to be interrupted in. The inner guest uses our IDT, so a handler set
 * here runs in the inner guest.
 */
#ifndef GUESTS_VMX_EVENT_EVENT_H
#define GUESTS_VMX_EVENT_EVENT_H

#include "guests/lib/exceptions.h"
#include "guests/lib/inner.h"
#include "guests/lib/test.h"
#include "l1-hypervisor/leaf/x86.h"

/* What the watched vectors brought since event_watch(). */
struct event_seen {
	u32 count;
	struct exception_frame frame; /* of the last one */
};

extern struct event_seen event_seen;

/* From now on this vector is noted, and the inner guest then goes on at event_done. */
void event_watch(u8 vector);

/* The same, but the handler says by VMCALL that it runs, and returns to where the event came. */
void event_watch_inside(u8 vector);

/* Takes back every event_watch(). */
void event_unwatch_all(void);

/* Runs the inner guest to its end and checks that it saw one event: its vector, error code and
 * the RIP it came at. */
void event_seen_once(u8 vector, u64 error_code, u64 rip);

/* Checks an exit by an exception or NMI: its interruption information (less the valid bit, which
 * must be 1) and, for those with an error code, that. */
void event_exited(const struct inner_exit *exit, u32 info, u32 error_code);

/* An IDT of the inner guest's own, a copy of ours on a page of its own; in use after this. */
void event_own_idt(void);

/* Makes a gate of that IDT not present. */
void event_spoil_gate(u8 vector);

/* That IDT's page, for tests that make it absent. */
const void *event_idt_page(void);

/* The inner guest's code: instructions of one byte that do nothing, then VMCALL. */
extern const char event_code[];
/* A VMCALL alone. */
extern const char event_done[];

#define EVENT_CODE_LENGTH 16

extern const struct suite injection_suite, bitmap_suite, page_fault_suite, vectoring_suite;
extern const struct suite windows_suite, interrupts_suite, nmi_suite, state_suite;

#endif
