/*
 * Runs rows of exit tests: a fresh VMCB, the row's intercepts and registers, the exit, what it
 * says, and the rest of the code behind it. See exit_case.h.
 */
#include "guests/svm-exit/exit_case.h"

static void start(const struct exit_case *c)
{
	svm_inner_reset(c->code);
	svm_inner_regs.rax = c->rax;
	svm_inner_regs.rcx = c->rcx;
	svm_inner_regs.rdx = c->rdx;
	svm_inner_regs.rbx = c->rbx;
	svm_inner_regs.rsi = c->rsi;
	svm_inner_regs.rdi = c->rdi;
	svm_inner_vmcb.c.intercept_cr |= c->cr;
	svm_inner_vmcb.c.intercept_dr |= c->dr;
	svm_inner_vmcb.c.intercept_exceptions = (u32)~BIT(EXC_NMI);
	svm_inner_vmcb.c.intercept1 |= c->intercept1;
	svm_inner_vmcb.c.intercept2 |= c->intercept2;
	if (c->user)
		svm_inner_make_user();
	if (c->prepare)
		c->prepare();
}

static void compare(const struct exit_case *c, const struct svm_inner_exit *exit)
{
	if (c->exit == SVM_EXIT_VMMCALL && !c->length)
		return;
	test_equal("RIP, from the start of the code", svm_inner_vmcb.s.rip - (u64)c->code,
		   c->offset);
	test_equal("EXITINTINFO.V", exit->int_info & EVENT_VALID, 0);
	if (c->infos >= 1)
		test_equal_or_quirk("EXITINFO1", exit->info1, c->info1, c->info1 & ~c->info1_quirk);
	if (c->infos >= 2)
		test_equal("EXITINFO2", exit->info2, c->info2);
	if (c->exit == SVM_EXIT_IOIO)
		test_equal("EXITINFO2, from RIP", exit->info2 - svm_inner_vmcb.s.rip, c->length);
	if (c->decoded && svm_inner_features->bits & SVM_FEATURE_DECODE)
		test_equal("EXITINFO1 by decode assist", exit->info1, c->decoded);
}

void exit_case_run(const struct exit_case *c)
{
	struct svm_inner_exit exit;

	test_begin(c->name, c->rule);
	start(c);
	svm_inner_run(&exit);
	if (c->quirk && exit.exit == c->quirk) {
		test_quirk("exit", exit.exit, c->exit);
	} else if (svm_inner_exited(&exit, c->exit)) {
		compare(c, &exit);
		if (c->length) {
			svm_inner_skip(&exit, c->length);
			svm_inner_run_to_end();
		}
	}
	if (c->finish)
		c->finish();
	test_end();
}

void exit_cases_run(const struct exit_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		exit_case_run(&cases[i]);
}
