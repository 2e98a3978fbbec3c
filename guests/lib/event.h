/*
 * What tests of events share on both extensions: a note of what was delivered to handlers in the
 * inner guest, an IDT that tests can spoil, NMIs from our own local APIC. The inner guest uses our
 * IDT or that one, so a handler set here runs in the inner guest. How it is entered, and how a
 * handler then leaves it, is the extension's. All of it is inline, and the data is the guest's own:
 * the library goes into every image, and what the bench measures shifts with its size.
 */
#ifndef GUESTS_LIB_EVENT_H
#define GUESTS_LIB_EVENT_H

#include "guests/lib/exceptions.h"
#include "guests/lib/segments.h"
#include "guests/lib/test.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define EVENT_GATE_SIZE    16
#define EVENT_GATE_PRESENT 0x80 /* in byte 5 */
#define EVENT_VECTORS      256

#define EVENT_APIC_BASE BITS(51, 12)
#define EVENT_APIC_ID   0x20
#define EVENT_ICR_LOW   0x300
#define EVENT_ICR_HIGH  0x310

/* What event_note() was told since event_handle(). */
struct event_seen {
	u32 count;
	struct exception_frame frame; /* of the last one */
};

/* The guest defines these, by EVENT_DATA. */
extern struct event_seen event_seen;
extern u8 event_idt[PAGE_SIZE];
extern u32 event_nmis_taken; /* by us, since event_begin_nmis() */

#define EVENT_DATA                                              \
	struct event_seen event_seen;                           \
	u8 event_idt[PAGE_SIZE] __attribute__((aligned(4096))); \
	u32 event_nmis_taken

/* Forgets what was seen; `handler`, which calls event_note(), gets this vector from now on. */
static inline void event_handle(u8 vector, interrupt_handler handler)
{
	memset(&event_seen, 0, sizeof(event_seen));
	interrupt_handle(vector, handler);
}

/* For handlers: what came. */
static inline void event_note(const struct exception_frame *frame)
{
	event_seen.count++;
	event_seen.frame = *frame;
}

/* Takes back every event_handle(). */
static inline void event_unwatch_all(void)
{
	for (u32 vector = 0; vector < EVENT_VECTORS; vector++)
		interrupt_handle((u8)vector, NULL);
}

/* Checks that one event was seen, and its vector. Returns whether it was one. */
static inline bool event_check(u8 vector)
{
	if (!test_equal("number of events seen", event_seen.count, 1))
		return false;
	test_equal("vector seen", event_seen.frame.vector, vector);
	return true;
}

/* The same, its error code, and where it came: `offset` bytes behind the start of `code`. */
static inline void event_check_at(u8 vector, u64 error_code, const char *code, u64 offset)
{
	if (!event_check(vector))
		return;
	test_equal("error code seen", event_seen.frame.error_code, error_code);
	test_equal("RIP of the event, from the start of the code", event_seen.frame.rip - (u64)code,
		   offset);
}

/* Makes event_idt, for the inner guest's own use, a copy of our IDT. Returns its address. */
static inline u64 event_copy_idt(void)
{
	struct table_pointer ours;

	__asm__ volatile("sidt %0" : "=m"(ours));
	memcpy(event_idt, (const void *)ours.base, sizeof(event_idt));
	return (u64)event_idt;
}

/* Makes a gate of that IDT not present. */
static inline void event_spoil_gate(u8 vector)
{
	event_idt[vector * EVENT_GATE_SIZE + 5] &= (u8)~EVENT_GATE_PRESENT;
}

/* To one physical destination, edge-triggered. */
#define EVENT_NMI_COMMAND 0x400

/* The local APIC's interrupt command register, ready for EVENT_NMI_COMMAND: an NMI to ourselves. */
static inline u32 *event_nmi_register(void)
{
	u8 *apic = (u8 *)(rdmsr(MSR_APIC_BASE) & EVENT_APIC_BASE);

	*(volatile u32 *)(apic + EVENT_ICR_HIGH) = *(volatile u32 *)(apic + EVENT_APIC_ID);
	return (u32 *)(apic + EVENT_ICR_LOW);
}

/* The inner guest's code that sends it; RDI points to that register. */
#define EVENT_SEND_NMI "movl $0x400, (%rdi)\n\tnop\n\tnop\n\t"

/* We send it ourselves; it comes at once, or when it may. */
static inline void event_send_nmi(void)
{
	*(volatile u32 *)event_nmi_register() = EVENT_NMI_COMMAND;
	__asm__ volatile("nop\n\tnop" : : : "memory");
}

/* An IRET that does nothing but end blocking of NMIs. */
static inline void event_unblock_nmis(void)
{
	__asm__ volatile("mov %%ss, %%eax\n\t"
			 "mov %%rsp, %%rdx\n\t"
			 "push %%rax\n\t"
			 "push %%rdx\n\t"
			 "pushfq\n\t"
			 "mov %%cs, %%eax\n\t"
			 "push %%rax\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "iretq\n"
			 "1:"
			 :
			 :
			 : "rax", "rdx", "memory", "cc");
}

/* What a test of NMIs begins with: none blocked, none counted. */
static inline void event_begin_nmis(void)
{
	event_unblock_nmis();
	event_nmis_taken = 0;
}

static inline void event_count_nmi(struct exception_frame *frame)
{
	(void)frame;
	event_nmis_taken++;
}

/* From now on NMIs are taken by us, and counted. */
static inline void event_take_nmis(void)
{
	interrupt_handle(EXC_NMI, event_count_nmi);
}

/* What a test of NMIs ends with: none blocked, none waiting, and no handlers. */
static inline void event_end_nmis(void)
{
	event_take_nmis();
	event_unblock_nmis();
	event_unwatch_all();
}

#endif
