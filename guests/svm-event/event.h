/*
 * What tests of events share: handlers in the inner guest that note what was delivered to them, and
 * code for the inner guest to be interrupted in. The inner guest uses our IDT, so a handler set
 * here runs in the inner guest.
 */
#ifndef GUESTS_SVM_EVENT_EVENT_H
#define GUESTS_SVM_EVENT_EVENT_H

#include "guests/lib/exceptions.h"
#include "guests/lib/svm_inner.h"
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

/* The same, but the handler says by VMMCALL that it runs, and returns to where the event came. */
void event_watch_inside(u8 vector);

/* Takes back every event_watch(). */
void event_unwatch_all(void);

/* Runs the inner guest to its end and checks that it saw one event: its vector, error code and
 * the RIP it came at. */
void event_seen_once(u8 vector, u64 error_code, u64 rip);

/* Runs the inner guest to its next exit, and checks which it is and that it is `offset` bytes
 * behind the start of `code`. */
bool event_exits_at(enum svm_exit want, const char *code, u64 offset);

/* Makes the inner guest start at CPL 3. */
void event_user(void);

/* An IDT of the inner guest's own, a copy of ours on a page of its own; in use after this. */
void event_own_idt(void);

/* Makes a gate of that IDT not present. */
void event_spoil_gate(u8 vector);

/* That IDT's page, for tests that make it absent. */
const void *event_idt_page(void);

/* An NMI from our local APIC to ourselves; comes at once, or when it may. */
void event_send_nmi(void);

/* The local APIC's interrupt command register, and what makes it send that NMI. */
u32 *event_nmi_register(void);
#define EVENT_NMI_COMMAND "0x400"

/* An IRET that does nothing but end blocking of NMIs. */
void event_unblock_nmis(void);

/* The inner guest's code: instructions of one byte that do nothing, then VMMCALL. */
extern const char event_code[];
/* A VMMCALL alone. */
extern const char event_done[];

#define SOME_VECTOR 0x50

extern const struct suite injection_suite, exceptions_suite, vectoring_suite, virtual_suite;
extern const struct suite interrupts_suite, gif_suite, nmi_suite, state_suite;

#endif
