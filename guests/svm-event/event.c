/*
 * Handlers that note events in the inner guest and leave it; see event.h.
 */
#include "guests/svm-event/event.h"

CODE(event_code, 64, ".skip 16, 0x90\n\tvmmcall");
CODE(event_done, 64, "vmmcall");

EVENT_DATA;

/* QUIRK(bochs-2.7): a single step that is due when a guest exits is taken by the host. */
static void note(struct exception_frame *frame)
{
	event_note(frame);
	frame->rip = (u64)event_done;
	frame->rflags &= ~RFLAGS_TF;
}

static void note_inside(struct exception_frame *frame)
{
	event_note(frame);
	__asm__ volatile("vmmcall" : : : "memory");
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
	svm_inner_run_to_end();
	event_check_at(vector, error_code, event_code, rip - (u64)event_code);
}

bool event_exits_at(enum svm_exit want, const char *code, u64 offset)
{
	struct svm_inner_exit exit;

	svm_inner_run(&exit);
	return svm_inner_exited(&exit, want) &&
	       test_equal("RIP, from the start of the code", svm_inner_vmcb.s.rip - (u64)code,
			  offset);
}

void event_own_idt(void)
{
	svm_inner_vmcb.s.idtr.base = event_copy_idt();
}
