/*
 * What tests of events share: guests/lib/event.h with the extension's own ways to enter the inner
 * guest and to leave it, and code for the inner guest to be interrupted in.
 */
#ifndef GUESTS_SVM_EVENT_EVENT_H
#define GUESTS_SVM_EVENT_EVENT_H

#include "guests/lib/event.h"
#include "guests/lib/svm_inner.h"
#include "guests/lib/test.h"
#include "l1-hypervisor/leaf/x86.h"

/* From now on this vector is noted, and the inner guest then goes on at event_done. */
void event_watch(u8 vector);

/* The same, but the handler says by VMMCALL that it runs, and returns to where the event came. */
void event_watch_inside(u8 vector);

/* Runs the inner guest to its end and checks that it saw one event: its vector, error code and
 * the RIP it came at. */
void event_seen_once(u8 vector, u64 error_code, u64 rip);

/* Runs the inner guest to its next exit, and checks which it is and that it is `offset` bytes
 * behind the start of `code`. */
bool event_exits_at(enum svm_exit want, const char *code, u64 offset);

/* event_copy_idt(), in use after this. */
void event_own_idt(void);

/* The inner guest's code: instructions of one byte that do nothing, then VMMCALL. */
extern const char event_code[];
/* A VMMCALL alone. */
extern const char event_done[];

#define SOME_VECTOR 0x50

extern const struct suite injection_suite, exceptions_suite, vectoring_suite, virtual_suite;
extern const struct suite interrupts_suite, gif_suite, nmi_suite, state_suite;

#endif
