/*
 * hv's dispatch by exit code on SVM, and what each exit says of the instruction or fault that hv
 * answers; see svm_exits.h.
 */
#include "guests/hv/svm_exits.h"

#include "guests/hv/answers.h"
#include "guests/hv/cpuid.h"
#include "guests/hv/memory.h"
#include "guests/hv/shadow.h"
#include "guests/hv/svm_control.h"
#include "guests/hv/svm_vm.h"

#define INSN_CPUID   SVM_INSN2(0x0f, 0xa2)
#define INSN_INVD    SVM_INSN2(0x0f, 0x08)
#define INSN_WRMSR   SVM_INSN2(0x0f, 0x30)
#define INSN_RDMSR   SVM_INSN2(0x0f, 0x32)
#define INSN_VMMCALL SVM_INSN3(0x0f, 0x01, 0xd9)

static void exit_cpuid(struct vm *vm)
{
	cpuid_answer(vm);
	svm_skip(vm, INSN_CPUID);
}

/* With accessed and dirty flags, so that nobody has to set them: they tell hv nothing. */
static void exit_npf(struct vm *vm)
{
	if (likely(memory_fill(vm, svm_vmcb.c.exit_info2, NPT_RAM | PTE_A | PTE_D)))
		svm_redeliver();
}

static void exit_page_fault(struct vm *vm)
{
	u64 linear = svm_vmcb.c.exit_info2;
	u32 error;

	if (shadow_page_fault(vm, linear, (u32)svm_vmcb.c.exit_info1, &error) == SHADOW_DONE)
		svm_redeliver();
	else if (shadow_double_fault((u32)svm_vmcb.c.exit_int_info))
		svm_fault(EXC_DF);
	else
		svm_page_fault(vm, linear, error);
}

static void exit_io(struct vm *vm)
{
	u64 info = svm_vmcb.c.exit_info1;
	u16 port = (u16)(info >> IOIO_PORT_SHIFT);

	if (unlikely(info & IOIO_STRING)) {
		vm_break(vm, "L3 used a string instruction on a port that hv emulates, port", port);
		return;
	}
	answer_port(vm, port, 8 * ((info & IOIO_SIZE) >> IOIO_SIZE_SHIFT), info & IOIO_IN);
	svm_continue(vm, svm_vmcb.c.exit_info2);
}

static void skip_or_fault(struct vm *vm, bool done, struct svm_insn insn, enum exception vector)
{
	if (likely(done))
		svm_skip(vm, insn);
	else
		svm_fault(vector);
}

static void exit_msr(struct vm *vm)
{
	if (unlikely((u32)vm->regs.rcx == MSR_EFER))
		svm_collect_control(vm);
	if (svm_vmcb.c.exit_info1)
		skip_or_fault(vm, answer_wrmsr(vm), INSN_WRMSR, EXC_GP);
	else
		skip_or_fault(vm, answer_rdmsr(vm), INSN_RDMSR, EXC_GP);
}

static void exit_vmmcall(struct vm *vm)
{
	skip_or_fault(vm, !svm_vmcb.s.cpl && answer_call(vm), INSN_VMMCALL, EXC_UD);
}

/* The caches are not L3's: nothing may be lost. */
static void exit_invd(struct vm *vm)
{
	svm_skip(vm, INSN_INVD);
}

static void exit_shutdown(struct vm *vm)
{
	vm_break(vm, "L3 made a triple fault at", vm->svm.seen.s.rip);
}

/* L3 has no SVM. */
static void exit_undefined(struct vm *vm)
{
	(void)vm;
	svm_fault(EXC_UD);
}

static void exit_unexpected(struct vm *vm)
{
	u64 code = vm->svm.seen.c.exit_code;

	if (svm_exit_of(code) == SVM_EXIT_INVALID)
		vm_break(vm, "the entry of L3 failed on its state, exit code", code);
	else
		vm_break(vm, "L3 made an exit that hv does not handle, exit code", code);
}

typedef void (*exit_handler)(struct vm *vm);

static const exit_handler handlers[SVM_EXITS] = {
	[SVM_EXIT_CPUID] = exit_cpuid,
	[SVM_EXIT_NPF] = exit_npf,
	[SVM_EXIT_EXCEPTION_PF] = exit_page_fault,
	[SVM_EXIT_IOIO] = exit_io,
	[SVM_EXIT_MSR] = exit_msr,
	[SVM_EXIT_VMMCALL] = exit_vmmcall,
	[SVM_EXIT_CR0_READ] = svm_exit_cr_access,
	[SVM_EXIT_CR3_READ] = svm_exit_cr_access,
	[SVM_EXIT_CR4_READ] = svm_exit_cr_access,
	[SVM_EXIT_CR0_WRITE] = svm_exit_cr_access,
	[SVM_EXIT_CR3_WRITE] = svm_exit_cr_access,
	[SVM_EXIT_CR4_WRITE] = svm_exit_cr_access,
	[SVM_EXIT_INVLPG] = svm_exit_invlpg,
	[SVM_EXIT_INVD] = exit_invd,
	[SVM_EXIT_SHUTDOWN] = exit_shutdown,
	[SVM_EXIT_VMRUN] = exit_undefined,
	[SVM_EXIT_VMLOAD] = exit_undefined,
	[SVM_EXIT_VMSAVE] = exit_undefined,
	[SVM_EXIT_STGI] = exit_undefined,
	[SVM_EXIT_CLGI] = exit_undefined,
	[SVM_EXIT_SKINIT] = exit_undefined,
	[SVM_EXIT_INVLPGA] = exit_undefined,
};

void svm_exit_handle(struct vm *vm)
{
	u32 exit = svm_exit_of(vm->svm.seen.c.exit_code);

	if (likely(handlers[exit]))
		handlers[exit](vm);
	else
		exit_unexpected(vm);
}
