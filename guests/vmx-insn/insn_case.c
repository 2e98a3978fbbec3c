/*
 * Runs rows of instruction tests: reaches the state, makes the excursion, compares flags, error
 * number or fault. See insn_case.h.
 */
#include "guests/vmx-insn/insn_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

CODE(code_vmxon, 64, "vmxon (%rdi)" END_EXCURSION);
CODE(code_vmxoff, 64, "vmxoff" END_EXCURSION);
CODE(code_vmclear, 64, "vmclear (%rdi)" END_EXCURSION);
CODE(code_vmptrld, 64, "vmptrld (%rdi)" END_EXCURSION);
CODE(code_vmptrst, 64, "vmptrst (%rdi)" END_EXCURSION);
CODE(code_vmread, 64, "vmread %rax, %rdx" END_EXCURSION);
CODE(code_vmwrite, 64, "vmwrite %rdx, %rax" END_EXCURSION);
CODE(code_vmread_memory, 64, "vmread %rax, (%rdi)" END_EXCURSION);
CODE(code_vmwrite_memory, 64, "vmwrite (%rdi), %rax" END_EXCURSION);
CODE(code_vmlaunch, 64, "vmlaunch" END_EXCURSION);
CODE(code_vmresume, 64, "vmresume" END_EXCURSION);
CODE(code_invept, 64, "invept (%rdi), %rcx" END_EXCURSION);
CODE(code_invvpid, 64, "invvpid (%rdi), %rcx" END_EXCURSION);
CODE(code_vmcall, 64, "vmcall" END_EXCURSION);
CODE(code_vmfunc, 64, "vmfunc" END_EXCURSION);
CODE(inner_done, 64, "vmcall");

u64 operand_vmxon = (u64)&inner_vmxon;
u64 operand_vmcs = (u64)&inner_vmcs;
u64 operand_other = (u64)&inner_other_vmcs;
u64 operand_result;
struct vmx_memory_operand operand_invept, operand_invvpid = { 1, 0 };

/* Also when a test has left VMX operation, or has not entered it. */
static void leave_vmx(void)
{
	__asm__ volatile(TRY("vmxoff") : : : "cc", "memory");
	write_cr4(read_cr4() & ~CR4_VMXE);
}

void insn_reach(enum insn_state state)
{
	leave_vmx();
	inner_other_vmcs.revision = inner_vmcs.revision;
	switch (state) {
	case STATE_OFF:
		break;
	case STATE_ENABLED:
		write_cr4(read_cr4() | CR4_VMXE);
		break;
	case STATE_ROOT:
		inner_init();
		break;
	case STATE_CURRENT:
		inner_init();
		inner_reset(inner_done, NULL);
		break;
	case STATE_LAUNCHED:
		inner_init();
		inner_reset(inner_done, NULL);
		inner_run_to_end();
		break;
	}
}

void insn_compare(const struct insn_want *want, const struct exception_frame *end)
{
	static const u64 flags[] = {
		[OUTCOME_SUCCESS] = 0,
		[OUTCOME_INVALID] = RFLAGS_CF,
		[OUTCOME_VALID] = RFLAGS_ZF,
	};

	if (want->outcome == OUTCOME_FAULT) {
		test_equal("vector", end->vector, want->number);
		test_equal("error code", end->error_code, want->error_code);
		test_equal("RFLAGS", end->rflags & RFLAGS_ARITHMETIC, RFLAGS_ARITHMETIC);
		if (want->number == EXC_PF)
			test_equal("CR2", read_cr2(), (u64)want->address);
		return;
	}
	if (!test_equal("vector that ended the code", end->vector, EXCURSION_END))
		return;
	if (test_equal("RFLAGS", end->rflags & RFLAGS_ARITHMETIC, flags[want->outcome]) &&
	    want->outcome == OUTCOME_VALID)
		test_equal("VM-instruction error", vmx_get(VMCS_INSTRUCTION_ERROR), want->number);
}

void insn_case_run(const struct insn_case *c)
{
	static const u16 code_selectors[] = {
		[MODE_KERNEL] = SEL_CODE64,
		[MODE_USER] = SEL_USER_CODE64,
		[MODE_COMPAT] = SEL_CODE32,
		[MODE_COMPAT_USER] = SEL_USER_CODE32,
	};
	struct excursion start = {
		.rip = (u64)c->code,
		.rflags = RFLAGS_ARITHMETIC,
		.cs = code_selectors[c->mode],
		.ss = c->mode == MODE_USER || c->mode == MODE_COMPAT_USER ? SEL_USER_DATA
									  : SEL_DATA,
		.rax = c->rax,
		.rbx = c->rbx,
		.rcx = c->rcx,
		.rdx = c->rdx,
		.rsi = c->rsi,
		.rdi = c->rdi,
	};
	struct exception_frame end;

	test_begin(c->name, c->rule);
	insn_reach(c->state);
	if (c->prepare)
		c->prepare();
	excursion_run(&start, &end);
	insn_compare(&c->want, &end);
	if (c->finish)
		c->finish(&end);
	test_end();
}

void insn_cases_run(const struct insn_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		insn_case_run(&cases[i]);
}
