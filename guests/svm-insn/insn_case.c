/*
 * Runs rows of instruction tests: reaches the state, makes the excursion, compares fault and RIP.
 * See insn_case.h.
 */
#include "guests/svm-insn/insn_case.h"
#include "guests/lib/legacy.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

/* Where virtual-8086 code can run: low memory that nobody uses. */
#define V86_CODE      0x50000U
#define V86_CODE_SIZE 16
#define STACK_SIZE    4096

INSN_CODE(code_vmrun, 64, "vmrun %rax");
INSN_CODE(code_vmload, 64, "vmload %rax");
INSN_CODE(code_vmsave, 64, "vmsave %rax");
INSN_CODE(code_stgi, 64, "stgi");
INSN_CODE(code_clgi, 64, "clgi");
INSN_CODE(code_invlpga, 64, "invlpga %rax, %ecx");
INSN_CODE(code_skinit, 64, "skinit %eax");
INSN_CODE(code_vmmcall, 64, "vmmcall");
CODE(inner_done, 64, "vmmcall");

struct vmcb insn_vls;

static struct vmcb ours;
static u8 legacy_stack[2][STACK_SIZE] __attribute__((aligned(16)));

static void set_svme(bool on)
{
	u64 efer = rdmsr(MSR_EFER);

	wrmsr(MSR_EFER, on ? efer | EFER_SVME : efer & ~EFER_SVME);
}

void insn_prepare_run(void)
{
	svm_inner_reset(inner_done);
}

void insn_ran(const struct exception_frame *end)
{
	if (end->vector == EXCURSION_END)
		test_equal("exit code", svm_inner_vmcb.c.exit_code, SVM_EXIT_VMMCALL);
}

static void run_excursion(const struct insn_case *c, struct exception_frame *end)
{
	static const u16 code_selectors[] = {
		[MODE_KERNEL] = SEL_CODE64,
		[MODE_USER] = SEL_USER_CODE64,
		[MODE_COMPAT] = SEL_CODE32,
		[MODE_COMPAT_USER] = SEL_USER_CODE32,
	};
	bool user = c->mode == MODE_USER || c->mode == MODE_COMPAT_USER;
	struct excursion start = {
		.rip = (u64)c->code,
		.rflags = RFLAGS_ARITHMETIC,
		.cs = code_selectors[c->mode],
		.ss = user ? SEL_USER_DATA : SEL_DATA,
		.rax = c->rax,
		.rcx = c->rcx,
	};

	excursion_run(&start, end);
}

/* The frame of a legacy excursion has no RIP: it counts as right. */
static void run_legacy(const struct insn_case *c, struct exception_frame *end)
{
	bool user = c->mode == MODE_LEGACY_USER;
	u32 data = user ? SEL_USER_DATA : SEL_DATA;
	struct legacy_job job = {
		.eip = (u32)(u64)c->code,
		.cs = user ? SEL_USER_CODE32 : SEL_CODE32,
		.eflags = (u32)(RFLAGS_FIXED | RFLAGS_ARITHMETIC),
		.esp = (u32)(u64)(legacy_stack[0] + STACK_SIZE),
		.ss = data,
		.ds = data,
		.es = data,
		.fs = data,
		.gs = data,
		.inner_ss = SEL_DATA,
		.inner_esp = (u32)(u64)(legacy_stack[1] + STACK_SIZE),
		.eax = (u32)c->rax,
		.ecx = (u32)c->rcx,
		.vmx = LEGACY_OFF,
	};

	if (c->mode == MODE_V86) {
		memcpy((void *)(u64)V86_CODE, c->code, V86_CODE_SIZE);
		job.eflags |= (u32)RFLAGS_VM;
		job.cs = job.ss = job.ds = job.es = job.fs = job.gs = V86_CODE >> 4;
		job.eip = 0;
		job.esp = STACK_SIZE;
	}
	legacy_job_run(&job);
	*end = (struct exception_frame){
		.vector = job.end.vector,
		.error_code = job.end.error_code,
		.rflags = job.end.eflags,
		.rip = (u64)(c->want.outcome == OUTCOME_FAULT ? c->code : c->end + 2),
	};
}

static void compare(const struct insn_case *c, const struct exception_frame *end)
{
	const u32 end_length = 2; /* of INT EXCURSION_END */

	if (c->want.outcome == OUTCOME_SUCCESS) {
		test_equal("vector that ended the code", end->vector, EXCURSION_END);
		test_equal("RIP", end->rip, (u64)c->end + end_length);
	} else {
		if (!c->want.or_vector || end->vector != c->want.or_vector)
			test_equal("vector", end->vector, c->want.vector);
		test_equal("error code", end->error_code, 0);
		test_equal("RIP", end->rip, (u64)c->code);
	}
	test_equal("RFLAGS", end->rflags & RFLAGS_ARITHMETIC, RFLAGS_ARITHMETIC);
}

/* What VMLOAD and VMSAVE move is saved before and restored behind every row, and GIF set, so that
 * an instruction that wrongly does something harms that row only. */
void insn_case_run(const struct insn_case *c)
{
	struct exception_frame end;

	test_begin(c->name, c->rule);
	svm_vmsave((u64)&ours);
	insn_vls = ours;
	if (c->prepare)
		c->prepare();
	set_svme(c->state == STATE_ON);
	if (c->mode >= MODE_LEGACY)
		run_legacy(c, &end);
	else
		run_excursion(c, &end);
	set_svme(true);
	svm_stgi();
	compare(c, &end);
	if (c->finish)
		c->finish(&end);
	svm_vmload((u64)&ours);
	test_end();
}

void insn_cases_run(const struct insn_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		insn_case_run(&cases[i]);
}
