/*
 * What Bochs itself does not survive: L1 must not let it through to the platform, nor do it.
 */
#include "guests/hostile/hostile.h"
#include "guests/lib/exceptions.h"
#include "guests/lib/svm_inner.h"
#include "guests/lib/tap.h"
#include "l1-hypervisor/leaf/insn.h"

CODE(svm_deadly_code, 64, "vmmcall");
CODE(svm_deadly_ud, 64, "ud2");

CODE(svm_deadly_cpuid, 64, "cpuid\n\tvmmcall");

extern const char svm_deadly_stepped[];
static u32 steps;
static u64 step_at;

static void stepped(struct exception_frame *frame)
{
	steps++;
	step_at = frame->rip;
	frame->rflags &= ~RFLAGS_TF;
}

static bool ends_as(enum svm_exit want)
{
	struct svm_inner_exit exit;

	svm_inner_run(&exit);
	return exit.exit == want;
}

static bool still_works(void)
{
	svm_inner_reset(svm_deadly_code);
	return ends_as(SVM_EXIT_VMMCALL);
}

/* APM 2 "Canonicalization and Consistency Checks" (15.5.1). */
static bool long_without_protection(void)
{
	svm_inner_reset(svm_deadly_code);
	svm_inner_vmcb.s.cr0 &= ~CR0_PE;
	return ends_as(SVM_EXIT_INVALID) && still_works();
}

static bool long_without_protection_npt(void)
{
	svm_inner_reset(svm_deadly_code);
	if (svm_inner_with_npt())
		svm_inner_use_npt();
	svm_inner_vmcb.s.cr0 &= ~CR0_PE;
	return ends_as(SVM_EXIT_INVALID) && still_works();
}

/* APM 3 "SKINIT": CPUID does not tell of it. */
static bool skinit(void)
{
	fault_clear();
	__asm__ volatile(TRY("skinit %%eax") : : "a"(0) : "memory");
	return fault_taken().raised && fault_taken().vector == EXC_UD && still_works();
}

static bool virtual_8086(void)
{
	svm_inner_reset(svm_deadly_code);
	svm_inner_vmcb.s.rflags |= RFLAGS_VM;
	return ends_as(SVM_EXIT_VMMCALL) && still_works();
}

/* RFLAGS.TF and an instruction that L1 emulates for us. */
static bool step_over_exit(void)
{
	interrupt_handler before = interrupt_handle(EXC_DB, stepped);
	u32 leaf = 0, subleaf = 0;

	steps = 0;
	__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tcpuid\n"
			 ".globl svm_deadly_stepped\nsvm_deadly_stepped:\n\tnop"
			 : "+a"(leaf), "+c"(subleaf)
			 :
			 : "rbx", "rdx", "cc", "memory");
	interrupt_handle(EXC_DB, before);
	return steps == 1 && step_at == (u64)svm_deadly_stepped && still_works();
}

/* The same for an inner guest, and an instruction that is ours to emulate. */
static bool step_over_exit_inside(void)
{
	svm_inner_reset(svm_deadly_cpuid);
	svm_inner_vmcb.s.rflags |= RFLAGS_TF;
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_CPUID;
	return ends_as(SVM_EXIT_CPUID) && still_works();
}

int hostile_svm_deadly(const struct hostile *h)
{
	(void)h;
	tap_plan(6);
	svm_inner_init();
	tap_ok(long_without_protection(), "EFER.LME and CR0.PG without CR0.PE: invalid");
	tap_ok(long_without_protection_npt(),
	       "EFER.LME and CR0.PG without CR0.PE and with nested paging: invalid");
	tap_ok(skinit(), "SKINIT: #UD");
	tap_ok(step_over_exit(), "a single step over an exit: #DB behind it");
	tap_ok(step_over_exit_inside(), "a single step of the inner guest into an exit: the exit");
	tap_ok(virtual_8086(), "RFLAGS.VM in long mode: nothing");
	return tap_status();
}

/*
 * APM 2 "Shutdown Intercept" (15.14.3).
 *
 * QUIRK(bochs-2.7): there is no such intercept; a triple fault of a guest ends the emulator.
 */
int hostile_svm_shutdown(const struct hostile *h)
{
	(void)h;
	tap_plan(1);
	svm_inner_init();
	svm_inner_reset(svm_deadly_ud);
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_SHUTDOWN;
	svm_inner_vmcb.s.idtr.limit = 0;
	tap_ok(ends_as(SVM_EXIT_SHUTDOWN) && still_works(),
	       "a triple fault of the inner guest is its hypervisor's to see");
	return tap_status();
}
