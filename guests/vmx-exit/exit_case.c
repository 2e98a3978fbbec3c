/*
 * Runs rows of exit tests: a fresh VMCS, the row's controls and registers, the exit, what it says,
 * and the rest of the code behind it. See exit_case.h.
 */
#include "guests/vmx-exit/exit_case.h"

static void start(const struct exit_case *c)
{
	inner_reset(c->code, &c->more);
	inner_regs.rax = c->rax;
	inner_regs.rcx = c->rcx;
	inner_regs.rdx = c->rdx;
	inner_regs.rbx = c->rbx;
	inner_regs.rsi = c->rsi;
	inner_regs.rdi = c->rdi;
	if (c->intr_info)
		vmx_set(VMCS_EXCEPTION_BITMAP, BIT32(c->intr_info & INTR_INFO_VECTOR));
	if (c->user)
		inner_make_user();
	if (c->prepare)
		c->prepare();
}

static void compare(const struct exit_case *c, const struct inner_exit *exit)
{
	if (c->reason == VMX_EXIT_VMCALL && !c->length)
		return;
	if (c->intr_info) {
		test_equal("VM-exit interruption information", exit->intr_info,
			   c->intr_info | INTR_INFO_VALID);
		return;
	}
	test_equal("exit qualification", exit->qualification, c->qualification);
	test_equal("IDT-vectoring information", exit->vectoring_info & INTR_INFO_VALID, 0);
	if (c->info_mask)
		test_equal("VM-exit instruction information",
			   vmx_get(VMCS_EXIT_INSN_INFO) & c->info_mask, c->info);
	if (c->length)
		test_equal("instruction length", exit->insn_length, c->length);
}

void exit_case_run(const struct exit_case *c)
{
	struct inner_exit exit;

	test_begin(c->name, c->rule);
	start(c);
	inner_run(&exit);
	if (inner_exited(&exit, c->reason))
		compare(c, &exit);
	if (c->finish)
		c->finish();
	if (c->length && exit.status == VMX_SUCCEED) {
		inner_skip(&exit);
		inner_run_to_end();
	}
	test_end();
}

void exit_cases_run(const struct exit_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		exit_case_run(&cases[i]);
}
