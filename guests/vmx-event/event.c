/*
 * Handlers that note events in the inner guest and leave it; see event.h.
 */
#include "guests/vmx-event/event.h"

CODE(event_code, 64, ".skip 16, 0x90\n\tvmcall");
CODE(event_done, 64, "vmcall");

EVENT_DATA;

static void note(struct exception_frame *frame)
{
	event_note(frame);
	frame->rip = (u64)event_done;
}

static void note_inside(struct exception_frame *frame)
{
	event_note(frame);
	__asm__ volatile("vmcall" : : : "memory");
}

void event_watch(u8 vector)
{
	event_handle(vector, note);
}

void event_watch_inside(u8 vector)
{
	event_handle(vector, note_inside);
}

void event_seen_once(u8 vector, u64 error_code, u64 rip)
{
	inner_run_to_end();
	event_check_at(vector, error_code, event_code, rip - (u64)event_code);
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
	vmx_set(VMCS_GUEST_IDTR_BASE, event_copy_idt());
}
