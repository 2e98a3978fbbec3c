/*
 * The guest between instructions: single steps and breakpoints over instructions that exit,
 * interrupt shadows, HLT, shutdown. APM 2 "Intercept Operation" (15.7), "Shutdown" (15.14.3).
 */
#include "guests/svm-event/event.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define DR6_RESET 0xffff0ff0U
#define DR6_BS    BIT(14)
#define OUR_STEPS 4

CODE(state_hlt, 64, "hlt\n\tvmmcall");
CODE(state_sti_hlt, 64, "sti\n\thlt\n\tvmmcall");
CODE(state_nops, 64, "nop\n\tnop\n\tvmmcall");
CODE(state_moss, 64, "mov %eax, %ss\n\tnop\n\tnop\n\tvmmcall");
CODE(state_sti_cpuid, 64, "sti\n\tcpuid\n\tvmmcall");
CODE(state_ud, 64, "ud2");

static void hlt_exit_is_before(void)
{
	svm_inner_reset(state_hlt);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_HLT;
	event_exits_at(SVM_EXIT_HLT, state_hlt, 0);
	test_equal("INTERRUPT_SHADOW", svm_inner_vmcb.c.int_state & INT_STATE_SHADOW, 0);
	event_exits_at(SVM_EXIT_HLT, state_hlt, 0);
}

static void shadow_at_exit(const char *code, u32 intercept1, enum svm_exit want)
{
	svm_inner_reset(code);
	svm_inner_vmcb.c.intercept1 |= intercept1;
	event_exits_at(want, code, 1);
	test_equal("INTERRUPT_SHADOW", svm_inner_vmcb.c.int_state & INT_STATE_SHADOW,
		   INT_STATE_SHADOW);
	test_equal("guest RFLAGS.IF", svm_inner_vmcb.s.rflags & RFLAGS_IF, RFLAGS_IF);
}

static void shadow_at_hlt(void)
{
	shadow_at_exit(state_sti_hlt, INTERCEPT1_HLT, SVM_EXIT_HLT);
}

/* CPUID exits whoever asks for it: nobody may lose the shadow on the way. */
static void shadow_at_cpuid(void)
{
	shadow_at_exit(state_sti_cpuid, INTERCEPT1_CPUID, SVM_EXIT_CPUID);
}

static void start_step(const char *code)
{
	svm_inner_reset(code);
	svm_inner_vmcb.c.intercept_exceptions = BIT32(EXC_DB);
	svm_inner_vmcb.s.rflags |= RFLAGS_TF;
	svm_inner_regs.rax = SEL_DATA;
}

static void steps(void)
{
	start_step(state_nops);
	event_exits_at(SVM_EXIT_EXCEPTION_DB, state_nops, 1);
	event_exits_at(SVM_EXIT_EXCEPTION_DB, state_nops, 2);
}

static void moss_delays_step(void)
{
	start_step(state_moss);
	event_exits_at(SVM_EXIT_EXCEPTION_DB, state_moss, 3);
}

static void step_is_delivered(void)
{
	svm_inner_reset(state_nops);
	svm_inner_vmcb.s.rflags |= RFLAGS_TF;
	event_watch(EXC_DB);
	svm_inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 1);
	test_equal("RIP of the event, from the start of the code",
		   event_seen.frame.rip - (u64)state_nops, 1);
	test_equal("DR6.BS", svm_inner_vmcb.s.dr6 & DR6_BS, DR6_BS);
	event_unwatch_all();
}

/* DR0 is the guest's as it is ours, DR7 the VMCB's. */
static void breakpoint_exits(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(state_nops);
	svm_inner_vmcb.c.intercept_exceptions = BIT32(EXC_DB);
	svm_inner_vmcb.s.dr7 = 0x400 | BIT(1); /* G0: execution of one byte */
	__asm__ volatile("mov %0, %%dr0" : : "r"((u64)state_nops + 1));
	svm_inner_run(&exit);
	__asm__ volatile("mov %0, %%dr0" : : "r"(0UL));
	/* QUIRK(qemu-7.2): VMRUN loads DR7, but no breakpoint comes of it. */
	if (exit.exit == SVM_EXIT_VMMCALL)
		test_quirk("exit", exit.exit, SVM_EXIT_EXCEPTION_DB);
	else if (svm_inner_exited(&exit, SVM_EXIT_EXCEPTION_DB))
		test_equal("RIP, from the start of the code",
			   svm_inner_vmcb.s.rip - (u64)state_nops, 1);
}

static u32 our_steps;

static void count_steps(struct exception_frame *frame)
{
	if (++our_steps == OUR_STEPS)
		frame->rflags &= ~RFLAGS_TF;
}

/* Whoever is below us may intercept CPUID: a step is due behind it nevertheless. */
static void we_step_over_cpuid(void)
{
	our_steps = 0;
	interrupt_handle(EXC_DB, count_steps);
	__asm__ volatile("pushfq\n\t"
			 "orl $0x100, (%%rsp)\n\t"
			 "popfq\n\t"
			 "nop\n\t"
			 "xor %%eax, %%eax\n\t"
			 "cpuid\n\t"
			 "nop"
			 :
			 :
			 : "rax", "rbx", "rcx", "rdx", "cc", "memory");
	test_equal("steps over four instructions", our_steps, OUR_STEPS);
	interrupt_handle(EXC_DB, NULL);
}

static void ordinary_exit_leaves_nothing(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(event_code);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("EXITINTINFO.V", exit.int_info & EVENT_VALID, 0);
	test_equal("EVENTINJ.V", svm_inner_vmcb.c.event_injection & EVENT_VALID, 0);
	test_equal("INTERRUPT_SHADOW", svm_inner_vmcb.c.int_state & INT_STATE_SHADOW, 0);
	test_equal("DR6", svm_inner_vmcb.s.dr6, DR6_RESET);
}

#define RULE_SHADOW "INTERRUPT_SHADOW is saved as it was before the instruction that exits"
#define RULE_STEP   "RFLAGS.TF as VMRUN loads it traps after the guest's first instruction"

static const struct test tests[] = {
	{ "HLT that exits does not halt", "The intercept is before HLT is executed",
	  hlt_exit_is_before },
	{ "the shadow of STI is stored by an exit of HLT", RULE_SHADOW, shadow_at_hlt },
	{ "the shadow of STI is stored by an exit of CPUID", RULE_SHADOW, shadow_at_cpuid },
	{ "RFLAGS.TF steps instructions", RULE_STEP, steps },
	{ "MOV SS delays a single step", "A shadow of MOV SS inhibits debug traps",
	  moss_delays_step },
	{ "a single step is delivered", RULE_STEP, step_is_delivered },
	{ "a breakpoint exits", "DR7 is loaded from the VMCB", breakpoint_exits },
	{ "we step over CPUID", "RFLAGS.TF traps behind every instruction", we_step_over_cpuid },
	{ "an ordinary exit leaves nothing pending", "EXITINTINFO.V and EVENTINJ.V are clear",
	  ordinary_exit_leaves_nothing },
};

/* QUIRK(bochs-2.7): a triple fault ends Bochs. It is known by its host bridge. */
static bool can_shut_down(void)
{
	outl(0xcf8, BIT32(31));
	return inl(0xcfc) != 0x12378086;
}

static void shutdown_exits(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(state_ud);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_SHUTDOWN;
	svm_inner_vmcb.s.idtr.limit = 0;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_SHUTDOWN);
}

static const struct test shutdown_tests[] = {
	{ "a triple fault exits as shutdown", "SHUTDOWN intercept", shutdown_exits },
};

static u32 count(void)
{
	return ARRAY_SIZE(tests) + (can_shut_down() ? ARRAY_SIZE(shutdown_tests) : 0);
}

static void run(void)
{
	tests_run(tests, ARRAY_SIZE(tests));
	if (can_shut_down())
		tests_run(shutdown_tests, ARRAY_SIZE(shutdown_tests));
}

const struct suite state_suite = { count, run };
