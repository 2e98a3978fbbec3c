/*
 * Handlers that note events in the inner guest, and an IDT that tests can spoil; see event.h.
 */
#include "guests/vmx-event/event.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/string.h"

#define GATE_SIZE    16
#define GATE_PRESENT 0x80 /* in byte 5 */
#define VECTORS      256

CODE(event_code, 64, ".skip 16, 0x90\n\tvmcall");
CODE(event_done, 64, "vmcall");

struct event_seen event_seen;

static u8 idt_page[PAGE_SIZE] __attribute__((aligned(4096)));

static void note(struct exception_frame *frame)
{
	event_seen.count++;
	event_seen.frame = *frame;
	frame->rip = (u64)event_done;
}

static void note_inside(struct exception_frame *frame)
{
	event_seen.count++;
	event_seen.frame = *frame;
	__asm__ volatile("vmcall" : : : "memory");
}

static void forget(void)
{
	memset(&event_seen, 0, sizeof(event_seen));
}

void event_watch(u8 vector)
{
	forget();
	interrupt_handle(vector, note);
}

void event_watch_inside(u8 vector)
{
	forget();
	interrupt_handle(vector, note_inside);
}

void event_unwatch_all(void)
{
	for (u32 vector = 0; vector < VECTORS; vector++)
		interrupt_handle((u8)vector, NULL);
}

void event_seen_once(u8 vector, u64 error_code, u64 rip)
{
	inner_run_to_end();
	if (!test_equal("number of events seen", event_seen.count, 1))
		return;
	test_equal("vector seen", event_seen.frame.vector, vector);
	test_equal("error code seen", event_seen.frame.error_code, error_code);
	test_equal("RIP of the event, from the start of the code",
		   event_seen.frame.rip - (u64)event_code, rip - (u64)event_code);
}

void event_exited(const struct inner_exit *exit, u32 info, u32 error_code)
{
	if (!inner_exited(exit, VMX_EXIT_EXCEPTION_NMI))
		return;
	test_equal("VM-exit interruption information", exit->intr_info, info | INTR_INFO_VALID);
	if (info & INTR_INFO_ERROR_CODE)
		test_equal("VM-exit interruption error code", exit->intr_error, error_code);
}

void event_own_idt(void)
{
	struct table_pointer ours;

	__asm__ volatile("sidt %0" : "=m"(ours));
	memcpy(idt_page, (const void *)ours.base, sizeof(idt_page));
	vmx_set(VMCS_GUEST_IDTR_BASE, (u64)idt_page);
}

void event_spoil_gate(u8 vector)
{
	idt_page[vector * GATE_SIZE + 5] &= (u8)~GATE_PRESENT;
}

const void *event_idt_page(void)
{
	return idt_page;
}
