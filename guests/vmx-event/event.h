/*
 * What tests of events share: guests/lib/event.h with the extension's own ways to enter the inner
 * guest and to leave it, and code for the inner guest to be interrupted in.
 */
#ifndef GUESTS_VMX_EVENT_EVENT_H
#define GUESTS_VMX_EVENT_EVENT_H

#include "guests/lib/event.h"
#include "guests/lib/inner.h"
#include "guests/lib/test.h"
#include "l1-hypervisor/leaf/x86.h"

/* From now on this vector is noted, and the inner guest then goes on at event_done. */
void event_watch(u8 vector);

/* The same, but the handler says by VMCALL that it runs, and returns to where the event came. */
void event_watch_inside(u8 vector);

/* Runs the inner guest to its end and checks that it saw one event: its vector, error code and
 * the RIP it came at. */
void event_seen_once(u8 vector, u64 error_code, u64 rip);

/* Checks an exit by an exception or NMI: its interruption information (less the valid bit, which
 * must be 1) and, for those with an error code, that. */
void event_exited(const struct inner_exit *exit, u32 info, u32 error_code);

/* event_copy_idt(), in use after this. */
void event_own_idt(void);

/* The inner guest's code: instructions of one byte that do nothing, then VMCALL. */
extern const char event_code[];
/* A VMCALL alone. */
extern const char event_done[];

#define EVENT_CODE_LENGTH 16

extern const struct suite injection_suite, bitmap_suite, page_fault_suite, vectoring_suite;
extern const struct suite windows_suite, interrupts_suite, nmi_suite, state_suite;

#endif
