/*
 * Handlers that note events in the inner guest, an IDT that tests can spoil, NMIs; see event.h.
 */
#include "guests/svm-event/event.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define GATE_SIZE    16
#define GATE_PRESENT 0x80 /* in byte 5 */
#define VECTORS      256

#define ACCESS_USER_CODE 0xa0fb
#define ACCESS_USER_DATA 0xc0f3
#define LIMIT_FLAT       0xffffffffU

#define APIC_BASE_ADDRESS BITS(51, 12)
#define APIC_ID           0x20
#define APIC_ICR_LOW      0x300
#define APIC_ICR_HIGH     0x310
#define ICR_NMI           0x400U /* to one physical destination, edge-triggered */

CODE(event_code, 64, ".skip 16, 0x90\n\tvmmcall");
CODE(event_done, 64, "vmmcall");

struct event_seen event_seen;

static u8 idt_page[PAGE_SIZE] __attribute__((aligned(4096)));

/* QUIRK(bochs-2.7): a single step that is due when a guest exits is taken by the host. */
static void note(struct exception_frame *frame)
{
	event_seen.count++;
	event_seen.frame = *frame;
	frame->rip = (u64)event_done;
	frame->rflags &= ~RFLAGS_TF;
}

static void note_inside(struct exception_frame *frame)
{
	event_seen.count++;
	event_seen.frame = *frame;
	__asm__ volatile("vmmcall" : : : "memory");
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
	svm_inner_run_to_end();
	if (!test_equal("number of events seen", event_seen.count, 1))
		return;
	test_equal("vector seen", event_seen.frame.vector, vector);
	test_equal("error code seen", event_seen.frame.error_code, error_code);
	test_equal("RIP of the event, from the start of the code",
		   event_seen.frame.rip - (u64)event_code, rip - (u64)event_code);
}

bool event_exits_at(enum svm_exit want, const char *code, u64 offset)
{
	struct svm_inner_exit exit;

	svm_inner_run(&exit);
	return svm_inner_exited(&exit, want) &&
	       test_equal("RIP, from the start of the code", svm_inner_vmcb.s.rip - (u64)code,
			  offset);
}

void event_user(void)
{
	svm_inner_vmcb.s.cs = svm_segment(SEL_USER_CODE64, ACCESS_USER_CODE, LIMIT_FLAT, 0);
	svm_inner_vmcb.s.ss = svm_segment(SEL_USER_DATA, ACCESS_USER_DATA, LIMIT_FLAT, 0);
	svm_inner_vmcb.s.cpl = 3;
}

void event_own_idt(void)
{
	struct table_pointer ours;

	__asm__ volatile("sidt %0" : "=m"(ours));
	memcpy(idt_page, (const void *)ours.base, sizeof(idt_page));
	svm_inner_vmcb.s.idtr.base = (u64)idt_page;
}

void event_spoil_gate(u8 vector)
{
	idt_page[vector * GATE_SIZE + 5] &= (u8)~GATE_PRESENT;
}

const void *event_idt_page(void)
{
	return idt_page;
}

u32 *event_nmi_register(void)
{
	u8 *apic = (u8 *)(rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS);

	*(volatile u32 *)(apic + APIC_ICR_HIGH) = *(volatile u32 *)(apic + APIC_ID);
	return (u32 *)(apic + APIC_ICR_LOW);
}

void event_send_nmi(void)
{
	*(volatile u32 *)event_nmi_register() = ICR_NMI;
	__asm__ volatile("nop\n\tnop" : : : "memory");
}

void event_unblock_nmis(void)
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
