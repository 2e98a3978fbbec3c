/*
 * Events that an entry injects, as the guest's handlers see them, and the interrupt shadow. What
 * intercepts make of them is for svm-event.
 */
#include "guests/svm-entry/entry_case.h"
#include "guests/lib/exceptions.h"
#include "guests/lib/timer.h"
#include "l1-hypervisor/leaf/insn.h"

#define PERIODS  100
#define PATIENCE 2000000U

CODE(events_code, 64, "vmmcall");
CODE(events_nops, 64, "nop\n\tnop\n\tcli\n\tvmmcall");

static struct exception_frame seen;
static u32 times;

static void record(struct exception_frame *frame)
{
	seen = *frame;
	times++;
}

/* Injects and lets the guest go on to its VMMCALL. */
static void inject(u64 event, u8 vector, u64 error_code)
{
	interrupt_handler before = interrupt_handle(vector, record);
	struct svm_inner_exit exit;

	times = 0;
	svm_inner_reset(events_code);
	svm_inner_vmcb.c.event_injection = event;
	svm_inner_run(&exit);
	interrupt_handle(vector, before);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("times that the handler ran", times, 1);
	test_equal("vector", seen.vector, vector);
	test_equal("RIP in the handler's frame", seen.rip, (u64)events_code);
	test_equal("error code", seen.error_code, error_code);
	test_equal("valid bit of EVENTINJ", svm_inner_vmcb.c.event_injection & EVENT_VALID, 0);
}

static void interrupt(void)
{
	inject(svm_event(EVENT_TYPE_INTR, 0x55), 0x55, 0);
}

static void nmi(void)
{
	inject(svm_event(EVENT_TYPE_NMI, 2), 2, 0);
}

static void software(void)
{
	inject(svm_event(EVENT_TYPE_SOFTWARE, 0x66), 0x66, 0);
}

static void exception(void)
{
	inject(svm_event(EVENT_TYPE_EXCEPTION, EXC_UD), EXC_UD, 0);
}

static void exception_with_code(void)
{
	inject(svm_event_with_code(EVENT_TYPE_EXCEPTION, EXC_GP, 0x1238), EXC_GP, 0x1238);
}

static void page_fault(void)
{
	inject(svm_event_with_code(EVENT_TYPE_EXCEPTION, EXC_PF, PF_W), EXC_PF, PF_W);
}

/* An interrupt that waits for the guest to have RFLAGS.IF, at its first chance. */
static void run_with_timer(u64 int_state)
{
	struct svm_inner_exit exit;

	timer_init();
	timer_arm(PERIODS);
	outb(0x20, 0x0a); /* reads give requests */
	for (u32 i = 0; i < PATIENCE && !(inb(0x20) & 1); i++)
		cpu_relax();
	interrupt_handler before = interrupt_handle(TIMER_VECTOR, record);

	times = 0;
	svm_inner_reset(events_nops);
	svm_inner_vmcb.s.rflags |= RFLAGS_IF;
	svm_inner_vmcb.c.int_state = int_state;
	svm_inner_run(&exit);
	interrupt_handle(TIMER_VECTOR, before);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("times that the handler ran", times, 1);
	timer_init();
}

static void no_shadow(void)
{
	run_with_timer(0);
	test_equal("RIP in the handler's frame", seen.rip, (u64)events_nops);
}

/* QUIRK(qemu-7.2): an entry loads no interrupt shadow. */
static void shadow(void)
{
	run_with_timer(INT_STATE_SHADOW);
	if (seen.rip != (u64)events_nops)
		test_equal("RIP in the handler's frame", seen.rip, (u64)events_nops + 1);
}

#define RULE_INJECTED "the VMM can inject an event ... before the first guest instruction"

static const struct test tests[] = {
	{ "an injected interrupt is taken", RULE_INJECTED, interrupt },
	{ "an injected NMI is taken", RULE_INJECTED, nmi },
	{ "an injected software interrupt is taken", RULE_INJECTED, software },
	{ "an injected exception is taken", RULE_INJECTED, exception },
	{ "an injected exception has its error code", "EV: push ERRORCODE on the stack",
	  exception_with_code },
	{ "an injected page fault has its error code", "EV: push ERRORCODE on the stack",
	  page_fault },
	{ "an interrupt that waits comes before the first instruction",
	  "physical interrupts are taken as soon as GIF and RFLAGS.IF allow", no_shadow },
	{ "an interrupt that waits comes behind the interrupt shadow",
	  "INTERRUPT_SHADOW: the guest is in an interrupt shadow", shadow },
};

SUITE_OF_TESTS(events_suite, tests);
