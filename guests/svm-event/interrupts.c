/*
 * Physical interrupts that the timer makes while the inner guest runs: exits or delivered to the
 * guest, masked by the guest's RFLAGS.IF or by ours; also out of HLT. APM 2 "Physical (INTR)
 * Interrupt Masking in EFLAGS" (15.21.1), "INTR Intercept" (15.13.1).
 *
 * QUIRK(bochs-2.7): with V_INTR_MASKING the guest's RFLAGS.IF at VMRUN is taken for ours until the
 * guest changes it; a HLT that would then never end is left out.
 */
#include "guests/svm-event/event.h"
#include "guests/lib/timer.h"

#define SOON 20 /* timer periods: 17 microseconds */

/* Long enough for the timer, and an end if nothing comes: 1 << 22 rounds at most. */
#define SPIN "mov $0x400000, %ecx\n1:\tinc %rbx\n\tpause\n\tloop 1b\n\t"

CODE(int_spin, 64, SPIN "vmmcall");
CODE(int_short, 64, "mov $0x8000, %ecx\n1:\tpause\n\tloop 1b\n\tvmmcall\n\tsti\n\t" SPIN "vmmcall");
CODE(int_hlt, 64, "hlt\n\tvmmcall");
CODE(int_sti_hlt, 64, "sti\n\thlt\n\tvmmcall");

static void start(const char *code, u32 intercept1, u64 int_control, u64 rflags)
{
	timer_init();
	svm_inner_reset(code);
	svm_inner_vmcb.c.intercept1 |= intercept1;
	svm_inner_vmcb.c.int_control = int_control;
	svm_inner_vmcb.s.rflags |= rflags;
	timer_arm(SOON);
}

/* One interrupt that waits is taken by our own handler. */
static void take_waiting(u64 want)
{
	test_equal("interrupts taken before we allowed one", timer_count(), 0);
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
	test_equal("interrupts taken when we allowed one", timer_count(), want);
}

/* Enters with RFLAGS.IF of ours set, GIF being 0 around VMRUN. */
static void run_with_our_if(struct svm_inner_exit *exit)
{
	svm_clgi();
	__asm__ volatile("sti" : : : "memory");
	svm_inner_enter(exit, SVM_ENTRY_VLS);
	__asm__ volatile("cli" : : : "memory");
	svm_stgi();
}

static void is_intr(const struct svm_inner_exit *exit)
{
	if (svm_inner_exited(exit, SVM_EXIT_INTR))
		test_equal("EXITINTINFO.V", exit->int_info & EVENT_VALID, 0);
	take_waiting(1);
	timer_init();
}

static void exits_by_guest_if(void)
{
	struct svm_inner_exit exit;

	start(int_spin, INTERCEPT1_INTR, 0, RFLAGS_IF);
	svm_inner_run(&exit);
	is_intr(&exit);
}

static void waits_for_guest_if(void)
{
	struct svm_inner_exit exit;

	start(int_short, INTERCEPT1_INTR, 0, 0);
	svm_inner_run(&exit);
	if (svm_inner_exited(&exit, SVM_EXIT_VMMCALL)) {
		svm_inner_skip(&exit, 3);
		svm_inner_run(&exit);
	}
	is_intr(&exit);
}

static bool our_if_is_ignored;

static void exits_by_our_if(void)
{
	struct svm_inner_exit exit;

	start(int_spin, INTERCEPT1_INTR, INT_V_MASKING, 0);
	run_with_our_if(&exit);
	our_if_is_ignored = exit.exit == SVM_EXIT_VMMCALL;
	if (our_if_is_ignored) {
		test_quirk("exit", exit.exit, SVM_EXIT_INTR);
		exit.exit = SVM_EXIT_INTR;
	}
	is_intr(&exit);
}

static void exits_by_our_if_too(void)
{
	struct svm_inner_exit exit;

	start(int_spin, INTERCEPT1_INTR, INT_V_MASKING, RFLAGS_IF);
	run_with_our_if(&exit);
	is_intr(&exit);
}

static void masked_by_our_if(void)
{
	struct svm_inner_exit exit;

	start(int_short, INTERCEPT1_INTR, INT_V_MASKING, RFLAGS_IF);
	svm_inner_run(&exit);
	if (our_if_is_ignored && exit.exit == SVM_EXIT_INTR)
		test_quirk("exit", exit.exit, SVM_EXIT_VMMCALL);
	else
		svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	take_waiting(1);
	timer_init();
}

static void our_if_does_not_count(void)
{
	struct svm_inner_exit exit;

	start(int_short, INTERCEPT1_INTR, 0, 0);
	run_with_our_if(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("interrupts taken after STGI", timer_count(), 0);
	take_waiting(1);
	timer_init();
}

static void exits_from_hlt(void)
{
	struct svm_inner_exit exit;

	start(int_hlt, INTERCEPT1_INTR, 0, RFLAGS_IF);
	svm_inner_run(&exit);
	is_intr(&exit);
}

static void exits_from_hlt_by_our_if(void)
{
	struct svm_inner_exit exit;

	if (our_if_is_ignored) {
		test_quirk("whether HLT would end", false, true);
		return;
	}
	start(int_hlt, INTERCEPT1_INTR, INT_V_MASKING, 0);
	run_with_our_if(&exit);
	is_intr(&exit);
}

static void is_delivered(const char *code)
{
	start(code, 0, 0, RFLAGS_IF);
	event_watch(TIMER_VECTOR);
	svm_inner_run_to_end();
	event_check(TIMER_VECTOR);
	event_unwatch_all();
	timer_init();
}

static void is_delivered_to_code(void)
{
	is_delivered(int_spin);
}

static void is_delivered_to_hlt(void)
{
	is_delivered(int_hlt);
}

static void handler_of_the_guest_runs(void)
{
	start(int_sti_hlt, 0, 0, 0);
	svm_inner_run_to_end();
	test_equal("interrupts that the handler counted", timer_count(), 1);
	test_equal("guest RFLAGS.IF", svm_inner_vmcb.s.rflags & RFLAGS_IF, RFLAGS_IF);
}

/* The interrupt is there before the entry: the guest executes nothing. */
static void exits_at_once(void)
{
	struct svm_inner_exit exit;

	start(int_spin, INTERCEPT1_INTR, 0, RFLAGS_IF);
	for (volatile u32 i = 0; i < 0x8000; i++)
		;
	svm_inner_run(&exit);
	test_equal("RIP, from the start of the code", svm_inner_vmcb.s.rip - (u64)int_spin, 0);
	is_intr(&exit);
}

static void exits_again(void)
{
	struct svm_inner_exit exit;

	start(int_spin, INTERCEPT1_INTR, 0, RFLAGS_IF);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_INTR);
	svm_inner_run(&exit);
	is_intr(&exit);
}

#define RULE_EXIT                                                                               \
	"INTR intercept: a physical interrupt exits; the interrupt is not acknowledged, so it " \
	"stays pending"
#define RULE_GUEST "Without the intercept the interrupt is delivered through the guest's IDT"
#define RULE_OURS                                                                                \
	"With V_INTR_MASKING = 1 the host's RFLAGS.IF, as at VMRUN, masks physical interrupts; " \
	"the "                                                                                   \
	"guest's RFLAGS.IF virtual ones only"
#define RULE_THEIRS "With V_INTR_MASKING = 0 the guest's RFLAGS.IF masks physical interrupts"

static const struct test tests[] = {
	{ "an interrupt exits with RFLAGS.IF of the guest", RULE_EXIT, exits_by_guest_if },
	{ "an interrupt waits for RFLAGS.IF of the guest", RULE_THEIRS, waits_for_guest_if },
	{ "an interrupt does not exit by our RFLAGS.IF", RULE_THEIRS, our_if_does_not_count },
	{ "an interrupt that waits exits at once", RULE_EXIT, exits_at_once },
	{ "an interrupt that we do not take exits again", RULE_EXIT, exits_again },
	{ "V_INTR_MASKING: an interrupt exits by our RFLAGS.IF", RULE_OURS, exits_by_our_if },
	{ "V_INTR_MASKING: an interrupt exits by both", RULE_OURS, exits_by_our_if_too },
	{ "V_INTR_MASKING: an interrupt waits for our RFLAGS.IF", RULE_OURS, masked_by_our_if },
	{ "an interrupt exits out of HLT", RULE_EXIT, exits_from_hlt },
	{ "V_INTR_MASKING: an interrupt exits out of HLT", RULE_OURS, exits_from_hlt_by_our_if },
	{ "an interrupt is delivered to the guest", RULE_GUEST, is_delivered_to_code },
	{ "an interrupt is delivered to the guest in HLT", RULE_GUEST, is_delivered_to_hlt },
	{ "the guest's own handler serves its interrupt", RULE_GUEST, handler_of_the_guest_runs },
};

SUITE_OF_TESTS(interrupts_suite, tests);
