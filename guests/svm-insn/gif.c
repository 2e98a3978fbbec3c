/*
 * The global interrupt flag: what STGI, CLGI, VMRUN and #VMEXIT make of it, and that a physical
 * interrupt waits while it is clear.
 */
#include "guests/svm-insn/insn_case.h"
#include "guests/lib/timer.h"
#include "l1-hypervisor/leaf/insn.h"

#define PERIODS  100
#define PATIENCE 2000000U

CODE(gif_done, 64, "vmmcall");
CODE(gif_open, 64, "sti\n\tnop\n\tcli\n\tvmmcall");

static void sti(void)
{
	__asm__ volatile("sti\n\tnop" : : : "memory");
}

static void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Whether the PIC asks for the timer interrupt: its request register says so. */
static bool timer_waits(void)
{
	outb(0x20, 0x0a);
	return inb(0x20) & 1;
}

static void arm_and_wait(void)
{
	timer_arm(PERIODS);
	for (u32 i = 0; i < PATIENCE && !timer_waits(); i++)
		cpu_relax();
	test_true("the timer interrupt waits", timer_waits());
}

static void clgi_holds(void)
{
	timer_init();
	svm_clgi();
	sti();
	arm_and_wait();
	test_equal("interrupts with GIF = 0", timer_count(), 0);
	svm_stgi();
	__asm__ volatile("nop");
	cli();
	test_equal("interrupts behind STGI", timer_count(), 1);
}

static void stgi_does_not_set_if(void)
{
	timer_init();
	svm_clgi();
	arm_and_wait();
	svm_stgi();
	__asm__ volatile("nop");
	test_equal("interrupts with RFLAGS.IF = 0", timer_count(), 0);
	sti();
	cli();
	test_equal("interrupts behind STI", timer_count(), 1);
}

static void exit_clears(void)
{
	struct svm_inner_exit exit;

	timer_init();
	svm_inner_reset(gif_done);
	svm_inner_enter(&exit, SVM_ENTRY_PLAIN);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	sti();
	arm_and_wait();
	test_equal("interrupts behind #VMEXIT", timer_count(), 0);
	svm_stgi();
	__asm__ volatile("nop");
	cli();
	test_equal("interrupts behind STGI", timer_count(), 1);
}

static void vmrun_sets(void)
{
	struct svm_inner_exit exit;

	timer_init();
	svm_clgi();
	arm_and_wait();
	svm_inner_reset(gif_open);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("interrupts that the guest took", timer_count(), 1);
}

/* Not before the guest's first instruction: as its own RFLAGS.IF says. */
static void guest_flag_counts(void)
{
	struct svm_inner_exit exit;

	timer_init();
	svm_clgi();
	sti();
	arm_and_wait();
	svm_inner_reset(gif_done);
	svm_inner_enter(&exit, SVM_ENTRY_PLAIN);
	cli();
	svm_stgi();
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("interrupts", timer_count(), 0);
	sti();
	cli();
	test_equal("interrupts behind STI", timer_count(), 1);
}

static void many_times(void)
{
	timer_init();
	svm_stgi();
	svm_stgi();
	svm_clgi();
	svm_clgi();
	sti();
	arm_and_wait();
	test_equal("interrupts with GIF = 0", timer_count(), 0);
	svm_stgi();
	__asm__ volatile("nop");
	cli();
	test_equal("interrupts behind one STGI", timer_count(), 1);
}

#define RULE_HELD "while GIF is zero, external interrupts are held pending until GIF is one"

static const struct test tests[] = {
	{ "CLGI holds the timer interrupt, STGI lets it in", RULE_HELD, clgi_holds },
	{ "STGI does not set RFLAGS.IF", "GIF and RFLAGS.IF both have to be set",
	  stgi_does_not_set_if },
	{ "GIF does not count", "STGI sets the global interrupt flag to 1, CLGI clears it",
	  many_times },
	{ "#VMEXIT clears GIF", "on #VMEXIT the GIF is cleared", exit_clears },
	{ "VMRUN sets GIF", "VMRUN ... sets GIF to 1", vmrun_sets },
	{ "the guest's RFLAGS.IF masks interrupts",
	  "with V_INTR_MASKING clear, EFLAGS.IF of the guest controls physical interrupts",
	  guest_flag_counts },
};

SUITE_OF_TESTS(gif_suite, tests);
