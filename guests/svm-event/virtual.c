/*
 * Virtual interrupts: V_IRQ against RFLAGS.IF, priority, shadow and HLT, the VINTR intercept, and
 * V_TPR. APM 2 "Virtual Interrupts" (15.21), "Injecting Virtual (INTR) Interrupts" (15.21.4).
 *
 * QUIRK(qemu-7.2): VMRUN does not load the interrupt shadow; an equal priority is enough; lowering
 * CR8 with a virtual interrupt waiting ends QEMU, so it is left out where equal is enough.
 * QUIRK(bochs-2.7): a guest entered with RFLAGS.IF = 1 takes no virtual interrupt until it sets IF
 * anew, and none ends its HLT, which is left out there.
 */
#include "guests/svm-event/event.h"
#include "l1-hypervisor/leaf/insn.h"

CODE(vi_cli, 64, "nop\n\tvmmcall");
CODE(vi_sti, 64, "nop\n\tsti\n\tnop\n\tnop\n\tvmmcall");
CODE(vi_popf, 64, "pushf\n\torl $0x200, (%rsp)\n\tpopf\n\tnop\n\tvmmcall");
CODE(vi_sti_hlt, 64, "sti\n\thlt\n\tvmmcall");
CODE(vi_to_cr8, 64, "mov %rsi, %cr8\n\tsti\n\tnop\n\tnop\n\tvmmcall");
CODE(vi_from_cr8, 64, "mov %cr8, %rbx\n\tvmmcall");

#define AFTER_STI_AND_NOP 3 /* nop, sti, nop */
#define AFTER_TO_CR8      6 /* mov to cr8 (4 bytes), sti, nop */

#define IRQ(priority)                                                      \
	(INT_V_IRQ | (u64)(priority) << INT_V_PRIO_SHIFT | INT_V_MASKING | \
	 (u64)SOME_VECTOR << INT_VECTOR_SHIFT)
#define IRQ_ANY (IRQ(0) | INT_V_IGN_TPR)

static void start(const char *code, u64 int_control, bool interrupts)
{
	svm_inner_reset(code);
	svm_inner_vmcb.c.int_control = int_control;
	if (interrupts)
		svm_inner_vmcb.s.rflags |= RFLAGS_IF;
}

static u64 v_irq(void)
{
	return svm_inner_vmcb.c.int_control & INT_V_IRQ;
}

/* Which bugs the platform showed. */
static bool equal_is_enough, lost_with_if;

/* The interrupt comes `offset` bytes into the code, or by a bug of the platform at `quirk`. */
static void comes_at_or_quirk(const char *code, u64 offset, u64 quirk)
{
	bool with_if = svm_inner_vmcb.s.rflags & RFLAGS_IF;

	event_watch(SOME_VECTOR);
	svm_inner_run_to_end();
	if (with_if && !event_seen.count && v_irq()) {
		lost_with_if = true;
		test_quirk("number of events seen", 0, 1);
		event_unwatch_all();
		return;
	}
	if (event_check(SOME_VECTOR))
		test_equal_or_quirk("RIP of the event, from the start of the code",
				    event_seen.frame.rip - (u64)code, offset, quirk);
	test_equal("V_IRQ after it was taken", v_irq(), 0);
	event_unwatch_all();
}

static void comes_at(const char *code, u64 offset)
{
	comes_at_or_quirk(code, offset, offset);
}

static void does_not_come(void)
{
	event_watch(SOME_VECTOR);
	svm_inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 0);
	test_equal("V_IRQ of one that waits", v_irq(), INT_V_IRQ);
	event_unwatch_all();
}

static void comes_at_once(void)
{
	start(vi_cli, IRQ_ANY, true);
	comes_at(vi_cli, 0);
}

static void waits_for_if(void)
{
	start(vi_cli, IRQ_ANY, false);
	does_not_come();
}

static void comes_after_sti(void)
{
	start(vi_sti, IRQ_ANY, false);
	comes_at(vi_sti, AFTER_STI_AND_NOP);
}

static void comes_after_popf(void)
{
	start(vi_popf, IRQ_ANY, false);
	event_watch(SOME_VECTOR);
	svm_inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 1);
	event_unwatch_all();
}

static void waits_for_shadow(void)
{
	start(vi_cli, IRQ_ANY, true);
	svm_inner_vmcb.c.int_state = INT_STATE_SHADOW;
	comes_at_or_quirk(vi_cli, 1, 0);
}

static void higher_priority(void)
{
	start(vi_sti, IRQ(5) | 4, false);
	comes_at(vi_sti, AFTER_STI_AND_NOP);
}

static void same_priority(void)
{
	start(vi_sti, IRQ(4) | 4, false);
	event_watch(SOME_VECTOR);
	svm_inner_run_to_end();
	equal_is_enough = event_seen.count;
	test_equal_or_quirk("number of events seen", event_seen.count, 0, 1);
	event_unwatch_all();
}

static void lower_priority(void)
{
	start(vi_sti, IRQ(3) | 4, false);
	does_not_come();
}

static void lower_priority_ignored(void)
{
	start(vi_sti, IRQ(3) | INT_V_IGN_TPR | 4, false);
	comes_at(vi_sti, AFTER_STI_AND_NOP);
}

static void comes_after_cr8(void)
{
	if (equal_is_enough) {
		test_quirk("whether the guest may lower its CR8", false, true);
		return;
	}
	start(vi_to_cr8, IRQ(3) | 4, false);
	svm_inner_regs.rsi = 2;
	comes_at(vi_to_cr8, AFTER_TO_CR8);
	test_equal("V_TPR", svm_inner_vmcb.c.int_control & INT_V_TPR, 2);
}

static void cr8_is_virtual(void)
{
	u64 before, after;

	__asm__ volatile("mov %%cr8, %0" : "=r"(before));
	start(vi_to_cr8, INT_V_MASKING, false);
	svm_inner_regs.rsi = 9;
	svm_inner_run_to_end();
	__asm__ volatile("mov %%cr8, %0" : "=r"(after));
	test_equal("V_TPR", svm_inner_vmcb.c.int_control & INT_V_TPR, 9);
	test_equal("our CR8", after, before);
}

static void v_tpr_is_read(void)
{
	start(vi_from_cr8, INT_V_MASKING | 7, false);
	svm_inner_run_to_end();
	test_equal("CR8 in the guest", svm_inner_regs.rbx, 7);
	test_equal("V_TPR", svm_inner_vmcb.c.int_control & INT_V_TPR, 7);
}

static void ends_hlt(void)
{
	if (lost_with_if) {
		test_quirk("whether HLT would end", false, true);
		return;
	}
	start(vi_sti_hlt, IRQ_ANY, false);
	comes_at(vi_sti_hlt, 2);
}

static void intercepted(const char *code, bool interrupts, u64 offset)
{
	start(code, IRQ_ANY, interrupts);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_VINTR;
	if (lost_with_if && interrupts) {
		test_quirk("whether it would exit", false, true);
		return;
	}
	event_watch(SOME_VECTOR);
	event_exits_at(SVM_EXIT_VINTR, code, offset);
	test_equal("V_IRQ", v_irq(), INT_V_IRQ);
	test_equal("number of events seen", event_seen.count, 0);
	test_equal("EXITINTINFO.V", svm_inner_vmcb.c.exit_int_info & EVENT_VALID, 0);
	svm_inner_vmcb.c.int_control &= ~INT_V_IRQ;
	svm_inner_run_to_end();
	test_equal("number of events seen later", event_seen.count, 0);
	event_unwatch_all();
}

static void window_open(void)
{
	intercepted(vi_cli, true, 0);
}

static void window_after_sti(void)
{
	intercepted(vi_sti, false, AFTER_STI_AND_NOP);
}

static void window_after_shadow(void)
{
	struct svm_inner_exit exit;

	start(vi_cli, IRQ_ANY, true);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_VINTR;
	svm_inner_vmcb.c.int_state = INT_STATE_SHADOW;
	if (lost_with_if) {
		test_quirk("whether it would exit", false, true);
		return;
	}
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VINTR);
	test_equal_or_quirk("RIP, from the start of the code", svm_inner_vmcb.s.rip - (u64)vi_cli,
			    1, 0);
}

static void window_closed(void)
{
	start(vi_cli, IRQ_ANY, false);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_VINTR;
	svm_inner_run_to_end();
	test_equal("V_IRQ", v_irq(), INT_V_IRQ);
}

static void window_closed_by_priority(void)
{
	start(vi_sti, IRQ(3) | 4, false);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_VINTR;
	svm_inner_run_to_end();
}

/* What a hypervisor does at a window: it injects. */
static void window_then_injection(void)
{
	start(vi_sti, IRQ_ANY, false);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_VINTR;
	event_exits_at(SVM_EXIT_VINTR, vi_sti, AFTER_STI_AND_NOP);
	svm_inner_vmcb.c.int_control &= ~INT_V_IRQ;
	svm_inner_vmcb.c.event_injection = svm_event(EVENT_TYPE_INTR, SOME_VECTOR + 1);
	event_watch(SOME_VECTOR + 1);
	svm_inner_run_to_end();
	event_check(SOME_VECTOR + 1);
	event_unwatch_all();
}

/* The handler's gate clears RFLAGS.IF: the virtual interrupt waits for its IRET. */
static void after_injection(void)
{
	struct svm_inner_exit exit;

	start(event_code, IRQ_ANY, true);
	svm_inner_vmcb.c.event_injection = svm_event(EVENT_TYPE_INTR, SOME_VECTOR + 1);
	event_watch(SOME_VECTOR);
	event_watch_inside(SOME_VECTOR + 1);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("vector seen first", event_seen.frame.vector, SOME_VECTOR + 1);
	test_equal("V_IRQ in its handler", v_irq(), INT_V_IRQ);
	svm_inner_skip(&exit, 3);
	svm_inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 2);
	test_equal("vector seen last", event_seen.frame.vector, SOME_VECTOR);
	event_unwatch_all();
}

static void ours_is_not_touched(void)
{
	start(vi_cli, IRQ_ANY, false);
	does_not_come();
	event_watch(SOME_VECTOR);
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
	test_equal("number of events that we saw", event_seen.count, 0);
	event_unwatch_all();
}

#define RULE_TAKEN                                                                            \
	"A virtual interrupt is taken if V_IRQ, RFLAGS.IF, no shadow, and V_INTR_PRIO above " \
	"V_TPR "                                                                              \
	"or V_IGN_TPR; V_IRQ is cleared when it is taken"
#define RULE_TPR   "With V_INTR_MASKING = 1 the guest's CR8 is V_TPR"
#define RULE_VINTR "VINTR intercept: exits when the guest would take the virtual interrupt"

static const struct test tests[] = {
	{ "a virtual interrupt comes at once", RULE_TAKEN, comes_at_once },
	{ "a virtual interrupt waits for RFLAGS.IF", RULE_TAKEN, waits_for_if },
	{ "a virtual interrupt comes behind STI and an instruction", RULE_TAKEN, comes_after_sti },
	{ "a virtual interrupt comes after POPF", RULE_TAKEN, comes_after_popf },
	{ "a virtual interrupt waits for an interrupt shadow", RULE_TAKEN, waits_for_shadow },
	{ "a virtual interrupt of a higher priority comes", RULE_TAKEN, higher_priority },
	{ "a virtual interrupt of the same priority waits", RULE_TAKEN, same_priority },
	{ "a virtual interrupt of a lower priority waits", RULE_TAKEN, lower_priority },
	{ "V_IGN_TPR lets a lower priority come", RULE_TAKEN, lower_priority_ignored },
	{ "a virtual interrupt comes when the guest lowers CR8", RULE_TPR, comes_after_cr8 },
	{ "the guest's write of CR8 is V_TPR", RULE_TPR, cr8_is_virtual },
	{ "the guest's read of CR8 is V_TPR", RULE_TPR, v_tpr_is_read },
	{ "a virtual interrupt ends HLT", RULE_TAKEN, ends_hlt },
	{ "a virtual interrupt exits at once", RULE_VINTR, window_open },
	{ "a virtual interrupt exits behind STI and an instruction", RULE_VINTR, window_after_sti },
	{ "a virtual interrupt exits behind an interrupt shadow", RULE_VINTR, window_after_shadow },
	{ "a virtual interrupt does not exit without RFLAGS.IF", RULE_VINTR, window_closed },
	{ "a virtual interrupt does not exit with too low a priority", RULE_VINTR,
	  window_closed_by_priority },
	{ "an interrupt is injected where a virtual one exited", RULE_VINTR,
	  window_then_injection },
	{ "a virtual interrupt comes after an injected one", "EVENTINJ is before V_IRQ",
	  after_injection },
	{ "a virtual interrupt of the guest is not ours", "#VMEXIT clears V_IRQ in the processor",
	  ours_is_not_touched },
};

SUITE_OF_TESTS(virtual_suite, tests);
