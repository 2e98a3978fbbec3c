/*
 * The global interrupt flag: what it holds back in us, what VMRUN and
 * #VMEXIT do to it, and a virtual one of the guest's own where the processor has it. APM 2 "Global
 * Interrupt Flag, STGI and CLGI Instructions" (15.17), "Virtual GIF" (15.33.2).
 *
 * A CLGI of the guest that neither is intercepted nor has a virtual GIF closes the machine, until
 * its STGI or #VMEXIT.
 */
#include "guests/svm-event/event.h"
#include "guests/lib/timer.h"

#define SOON         20     /* timer periods: 17 microseconds */
#define ROUNDS       0x2000 /* of our waiting */
#define GUEST_ROUNDS 0x8000 /* of gif_clgi */

CODE(gif_clgi, 64,
     "clgi\n\tmov $0x8000, %ecx\n1:\tinc %rbx\n\tpause\n\tloop 1b\n\tstgi\n\t"
     "mov $0x400000, %ecx\n1:\tpause\n\tloop 1b\n\tvmmcall");
CODE(gif_spin, 64, "mov $0x400000, %ecx\n1:\tpause\n\tloop 1b\n\tvmmcall");
CODE(gif_clgi_done, 64, "clgi\n\tvmmcall");
CODE(gif_stgi_done, 64, "nop\n\tstgi\n\tnop\n\tvmmcall");
CODE(gif_closed_done, 64, "clgi\n\tsti\n\tnop\n\tnop\n\tvmmcall");
CODE(gif_opened_done, 64, "clgi\n\tsti\n\tnop\n\tnop\n\tstgi\n\tnop\n\tvmmcall");

static void wait(void)
{
	for (volatile u32 i = 0; i < ROUNDS; i++)
		;
}

static void allow(void)
{
	__asm__ volatile("sti\n\tnop\n\tnop" : : : "memory");
}

static void forbid(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static void clgi_holds(void)
{
	timer_init();
	svm_clgi();
	allow();
	timer_arm(SOON);
	wait();
	test_equal("interrupts taken with GIF = 0", timer_count(), 0);
	svm_stgi();
	__asm__ volatile("nop\n\tnop" : : : "memory");
	test_equal("interrupts taken after STGI", timer_count(), 1);
	forbid();
}

static void stgi_does_not_unmask(void)
{
	timer_init();
	svm_clgi();
	timer_arm(SOON);
	wait();
	svm_stgi();
	__asm__ volatile("nop\n\tnop" : : : "memory");
	test_equal("interrupts taken after STGI with IF = 0", timer_count(), 0);
	allow();
	test_equal("interrupts taken with IF = 1", timer_count(), 1);
	forbid();
}

static void exit_clears(void)
{
	struct svm_inner_exit exit;

	timer_init();
	svm_inner_reset(event_done);
	svm_inner_enter(&exit, SVM_ENTRY_VLS);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	allow();
	timer_arm(SOON);
	wait();
	test_equal("interrupts taken after the exit", timer_count(), 0);
	svm_stgi();
	__asm__ volatile("nop\n\tnop" : : : "memory");
	test_equal("interrupts taken after STGI", timer_count(), 1);
	forbid();
}

static void entry_sets(void)
{
	struct svm_inner_exit exit;

	timer_init();
	svm_inner_reset(gif_spin);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_INTR;
	svm_inner_vmcb.s.rflags |= RFLAGS_IF;
	svm_clgi();
	timer_arm(SOON);
	wait();
	svm_inner_enter(&exit, SVM_ENTRY_VLS);
	svm_inner_exited(&exit, SVM_EXIT_INTR);
	test_equal("interrupts taken", timer_count(), 0);
	svm_stgi();
	allow();
	test_equal("interrupts taken at last", timer_count(), 1);
	forbid();
}

#define IRQ (INT_V_IRQ | INT_V_IGN_TPR | (u64)SOME_VECTOR << INT_VECTOR_SHIFT)

/* The guest has a virtual interrupt waiting, and the machine's own GIF. */
static void run_with_machine_gif(const char *code)
{
	svm_inner_reset(code);
	svm_inner_vmcb.c.int_control = INT_V_MASKING | IRQ;
	svm_inner_vmcb.c.intercept2 &= ~(INTERCEPT2_STGI | INTERCEPT2_CLGI);
	event_watch(SOME_VECTOR);
	svm_inner_run_to_end();
	event_unwatch_all();
}

static void guest_clgi_holds_virtual_interrupt(void)
{
	run_with_machine_gif(gif_closed_done);
	test_equal("number of events seen", event_seen.count, 0);
	test_equal("V_IRQ", svm_inner_vmcb.c.int_control & INT_V_IRQ, INT_V_IRQ);
}

static void guest_stgi_lets_virtual_interrupt_in(void)
{
	run_with_machine_gif(gif_opened_done);
	test_equal("number of events seen", event_seen.count, 1);
	test_true("it came behind STGI", event_seen.frame.rip > (u64)gif_opened_done + 7);
	test_equal("V_IRQ", svm_inner_vmcb.c.int_control & INT_V_IRQ, 0);
}

#define RULE                                                                                   \
	"GIF = 0: physical interrupts, NMI, SMI, INIT are held pending; CLGI clears and STGI " \
	"sets "                                                                                \
	"it, VMRUN sets it, #VMEXIT clears it"

#define RULE_VIRTUAL "GIF = 0: virtual interrupts (V_IRQ) are held pending until GIF is 1"

static const struct test tests[] = {
	{ "CLGI holds an interrupt until STGI", RULE, clgi_holds },
	{ "STGI does not unmask what RFLAGS.IF masks", RULE, stgi_does_not_unmask },
	{ "an exit clears GIF", RULE, exit_clears },
	{ "an entry sets GIF", RULE, entry_sets },
	{ "the guest's own CLGI holds a virtual interrupt", RULE_VIRTUAL,
	  guest_clgi_holds_virtual_interrupt },
	{ "the guest's own STGI lets a virtual interrupt in", RULE_VIRTUAL,
	  guest_stgi_lets_virtual_interrupt_in },
};

static u64 v_gif(void)
{
	return svm_inner_vmcb.c.int_control & INT_V_GIF;
}

static void start_vgif(const char *code, u64 more)
{
	svm_inner_reset(code);
	svm_inner_vmcb.c.int_control = INT_V_GIF_ENABLE | INT_V_MASKING | more;
}

static void virtual_clgi(void)
{
	start_vgif(gif_clgi_done, INT_V_GIF);
	svm_inner_run_to_end();
	test_equal("V_GIF", v_gif(), 0);
}

static void virtual_stgi(void)
{
	start_vgif(gif_stgi_done, 0);
	svm_inner_run_to_end();
	test_equal("V_GIF", v_gif(), INT_V_GIF);
}

static void virtual_gif_is_kept(void)
{
	start_vgif(event_done, INT_V_GIF);
	svm_inner_run_to_end();
	test_equal("V_GIF", v_gif(), INT_V_GIF);
	start_vgif(event_done, 0);
	svm_inner_run_to_end();
	test_equal("V_GIF", v_gif(), 0);
}

/* With V_GIF = 0 a physical interrupt exits nevertheless. */
static void virtual_gif_holds_no_exit(void)
{
	struct svm_inner_exit exit;

	timer_init();
	start_vgif(gif_clgi, INT_V_GIF);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_INTR;
	svm_inner_vmcb.c.int_control &= ~INT_V_MASKING;
	svm_inner_vmcb.s.rflags |= RFLAGS_IF;
	timer_arm(SOON);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_INTR);
	test_true("the interrupt exited with V_GIF = 0", svm_inner_regs.rbx < GUEST_ROUNDS);
	allow();
	test_equal("interrupts taken", timer_count(), 1);
	forbid();
}

static void virtual_gif_holds_virtual_interrupt(void)
{
	start_vgif(event_code, IRQ);
	svm_inner_vmcb.s.rflags |= RFLAGS_IF;
	event_watch(SOME_VECTOR);
	svm_inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 0);
	test_equal("V_IRQ", svm_inner_vmcb.c.int_control & INT_V_IRQ, INT_V_IRQ);
	event_unwatch_all();
}

static void virtual_interrupt_after_stgi(void)
{
	start_vgif(gif_stgi_done, IRQ);
	svm_inner_vmcb.s.rflags |= RFLAGS_IF;
	event_watch(SOME_VECTOR);
	svm_inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 1);
	test_true("it came behind STGI", event_seen.frame.rip > (u64)gif_stgi_done + 1);
	event_unwatch_all();
}

#define RULE_VGIF                                                                           \
	"With V_GIF_ENABLE, STGI and CLGI of the guest change V_GIF; V_GIF = 0 holds back " \
	"virtual "                                                                          \
	"interrupts"

static const struct test vgif_tests[] = {
	{ "virtual GIF: CLGI clears V_GIF", RULE_VGIF, virtual_clgi },
	{ "virtual GIF: STGI sets V_GIF", RULE_VGIF, virtual_stgi },
	{ "virtual GIF: V_GIF is loaded and stored", RULE_VGIF, virtual_gif_is_kept },
	{ "virtual GIF: a physical interrupt exits with V_GIF = 0", RULE_VGIF,
	  virtual_gif_holds_no_exit },
	{ "virtual GIF: a virtual interrupt waits for V_GIF", RULE_VGIF,
	  virtual_gif_holds_virtual_interrupt },
	{ "virtual GIF: a virtual interrupt comes after STGI", RULE_VGIF,
	  virtual_interrupt_after_stgi },
};

static bool has_vgif(void)
{
	return svm_inner_features->bits & SVM_FEATURE_VGIF;
}

static u32 count(void)
{
	return ARRAY_SIZE(tests) + (has_vgif() ? ARRAY_SIZE(vgif_tests) : 0);
}

static void run(void)
{
	tests_run(tests, ARRAY_SIZE(tests));
	if (has_vgif())
		tests_run(vgif_tests, ARRAY_SIZE(vgif_tests));
}

const struct suite gif_suite = { count, run };
