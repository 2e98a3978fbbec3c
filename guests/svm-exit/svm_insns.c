/*
 * The instructions of SVM in the inner guest: each exits by its intercept, after #GP by CPL. What
 * they do without intercept is the CPU's: VMLOAD and VMSAVE move state to and from the physical
 * address that we would use too. APM 2 "Instruction Intercepts" (15.9).
 *
 * QUIRK(bochs-2.7): VMLOAD and VMSAVE of the guest make the VMCB that they name the one to which
 * its next exit writes.
 * QUIRK(qemu-7.2): VMLOAD and VMSAVE of the guest exit without intercept too.
 */
#include "guests/svm-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define SOME_VALUE 0x3456789abcULL

CODE(v_vmrun, 64, "vmrun %rax" SVM_INNER_DONE);
CODE(v_vmload, 64, "vmload %rax" SVM_INNER_DONE);
CODE(v_vmsave, 64, "vmsave %rax" SVM_INNER_DONE);
CODE(v_vmload_32, 64, ".byte 0x67\n\tvmload %rax" SVM_INNER_DONE);
CODE(v_stgi, 64, "stgi" SVM_INNER_DONE);
CODE(v_clgi, 64, "clgi" SVM_INNER_DONE);
CODE(v_clgi_stgi, 64, "clgi\n\tstgi" SVM_INNER_DONE);
CODE(v_skinit, 64, "skinit %eax" SVM_INNER_DONE);
CODE(v_invlpga, 64, "invlpga %rax, %ecx" SVM_INNER_DONE);
CODE(v_vmmcall, 64, "vmmcall");

static struct vmcb moved;

static void without_vmmcall(void)
{
	svm_inner_vmcb.c.intercept2 &= ~INTERCEPT2_VMMCALL;
}

/* Whether there is something to check. The exit is found where the platform wrote it; nothing is
 * noted of bugs here, since whoever intercepts the two instructions for itself mends them. */
static bool move(enum svm_exit unwanted)
{
	struct svm_inner_exit exit;

	svm_inner_regs.rax = (u64)&moved;
	svm_inner_run(&exit);
	if (!exit.exit)
		exit.exit = svm_exit_of(moved.c.exit_code);
	return exit.exit != unwanted && svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
}

static void loads(void)
{
	memset(&moved, 0, sizeof(moved));
	svm_vmsave((u64)&moved);
	moved.s.kernel_gs_base = SOME_VALUE;
	moved.s.sysenter_eip = SOME_VALUE + 1;
	moved.s.star = SOME_VALUE + 2;
	moved.s.fs.base = SOME_VALUE + 3;
	svm_inner_reset(v_vmload);
	if (!move(SVM_EXIT_VMLOAD))
		return;
	test_equal("KernelGSBase", svm_inner_vmcb.s.kernel_gs_base, SOME_VALUE);
	test_equal("SYSENTER_EIP", svm_inner_vmcb.s.sysenter_eip, SOME_VALUE + 1);
	test_equal("STAR", svm_inner_vmcb.s.star, SOME_VALUE + 2);
	test_equal("base of FS", svm_inner_vmcb.s.fs.base, SOME_VALUE + 3);
}

static void saves(void)
{
	memset(&moved, 0, sizeof(moved));
	moved.c.tsc_offset = SOME_VALUE;
	svm_inner_reset(v_vmsave);
	svm_inner_vmcb.s.kernel_gs_base = SOME_VALUE + 4;
	svm_inner_vmcb.s.sysenter_esp = SOME_VALUE + 5;
	svm_inner_vmcb.s.lstar = SOME_VALUE + 6;
	svm_inner_vmcb.s.gs.base = SOME_VALUE + 7;
	if (!move(SVM_EXIT_VMSAVE))
		return;
	test_equal("KernelGSBase", moved.s.kernel_gs_base, SOME_VALUE + 4);
	test_equal("SYSENTER_ESP", moved.s.sysenter_esp, SOME_VALUE + 5);
	test_equal("LSTAR", moved.s.lstar, SOME_VALUE + 6);
	test_equal("base of GS", moved.s.gs.base, SOME_VALUE + 7);
	test_equal("selector of TR", moved.s.tr.selector, svm_inner_vmcb.s.tr.selector);
	test_equal("a field of the control area", moved.c.tsc_offset, SOME_VALUE);
}

#define BY(name)       .intercept2 = INTERCEPT2_##name, .exit = SVM_EXIT_##name, .length = 3
#define RULE_BY(name)  "The " name " intercept: the instruction is intercepted if its bit is 1"
#define RULE_CPL       "Checks exceptions (#GP) before the intercept"
#define RULE_MOVES     "Without intercept the instruction does as it does in the host"
#define AT_CPL_3(name) RAISES_GP, .intercept2 = INTERCEPT2_##name, .user = true

static const struct exit_case cases[] = {
	{ "VMRUN exits", RULE_BY("VMRUN"), v_vmrun, BY(VMRUN), .rax = 0x1000 },
	{ "VMLOAD exits", RULE_BY("VMLOAD"), v_vmload, BY(VMLOAD), .rax = 0x1000 },
	{ "VMLOAD with 32-bit addressing exits", RULE_BY("VMLOAD"), v_vmload_32,
	  .intercept2 = INTERCEPT2_VMLOAD, .exit = SVM_EXIT_VMLOAD, .length = 4, .rax = 0x1000 },
	{ "VMSAVE exits", RULE_BY("VMSAVE"), v_vmsave, BY(VMSAVE), .rax = 0x1000 },
	{ "STGI exits", RULE_BY("STGI"), v_stgi, BY(STGI) },
	{ "CLGI exits", RULE_BY("CLGI"), v_clgi, BY(CLGI) },
	{ "SKINIT exits", RULE_BY("SKINIT"), v_skinit, BY(SKINIT) },
	{ "INVLPGA exits", RULE_BY("INVLPGA"), v_invlpga, .intercept1 = INTERCEPT1_INVLPGA,
	  .exit = SVM_EXIT_INVLPGA, .length = 3, .rax = 0x1000, .rcx = 1 },
	{ "VMRUN at CPL 3 is #GP", RULE_CPL, v_vmrun, AT_CPL_3(VMRUN) },
	{ "VMLOAD at CPL 3 is #GP", RULE_CPL, v_vmload, AT_CPL_3(VMLOAD) },
	{ "VMSAVE at CPL 3 is #GP", RULE_CPL, v_vmsave, AT_CPL_3(VMSAVE) },
	{ "STGI at CPL 3 is #GP", RULE_CPL, v_stgi, AT_CPL_3(STGI) },
	{ "CLGI at CPL 3 is #GP", RULE_CPL, v_clgi, AT_CPL_3(CLGI) },
	{ "INVLPGA at CPL 3 is #GP", RULE_CPL, v_invlpga, RAISES_GP,
	  .intercept1 = INTERCEPT1_INVLPGA, .user = true },
	{ "VMMCALL without its intercept is #UD", "VMMCALL causes #UD if it is not intercepted",
	  v_vmmcall, RAISES_UD, .prepare = without_vmmcall },
	{ "CLGI and STGI do not exit", RULE_MOVES, v_clgi_stgi, NO_EXIT },
	{ "INVLPGA does not exit", RULE_MOVES, v_invlpga, NO_EXIT, .rax = 0x1000, .rcx = 1 },
};

static const struct test tests[] = {
	{ "VMLOAD that does not exit loads", RULE_MOVES, loads },
	{ "VMSAVE that does not exit saves", RULE_MOVES, saves },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases) + ARRAY_SIZE(tests);
}

static void run(void)
{
	exit_cases_run(cases, ARRAY_SIZE(cases));
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite svm_insns_suite = { count, run };
