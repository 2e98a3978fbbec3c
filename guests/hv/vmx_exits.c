/*
 * hv's dispatch by exit reason on VMX, and what each exit says of the instruction or fault that hv
 * answers; see vmx_exits.h.
 */
#include "guests/hv/vmx_exits.h"

#include "guests/hv/answers.h"
#include "guests/hv/cpuid.h"
#include "guests/hv/memory.h"
#include "guests/hv/shadow.h"
#include "guests/hv/vmx_control.h"
#include "guests/hv/vmx_vm.h"
#include "l1-hypervisor/leaf/insn.h"

static void exit_cpuid(struct vm *vm)
{
	cpuid_answer(vm);
	vmx_skip(vm);
}

static void exit_ept_violation(struct vm *vm)
{
	if (likely(memory_fill(vm, vm_field(vm, GUEST_PHYSICAL_ADDRESS), EPT_RAM)))
		vmx_redeliver(vm);
}

static void exit_page_fault(struct vm *vm)
{
	u64 linear = vm_field(vm, EXIT_QUALIFICATION);
	u32 access = (u32)vm_field(vm, EXIT_INTR_ERROR_CODE);
	u32 error;

	if (shadow_page_fault(vm, linear, access, &error) == SHADOW_DONE) {
		vmx_redeliver(vm);
	} else if (shadow_double_fault((u32)vm_field(vm, IDT_VECTORING_INFO))) {
		vmx_fault(vm, EXC_DF);
	} else {
		write_cr2(linear);
		vmx_inject(vm,
			   INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_TYPE_HARDWARE_EXCEPTION |
				   EXC_PF,
			   error);
	}
}

static void exit_invlpg(struct vm *vm)
{
	shadow_invalidate(vm, vm_field(vm, EXIT_QUALIFICATION));
	vmx_skip(vm);
}

static void exit_io(struct vm *vm)
{
	u64 q = vm_field(vm, EXIT_QUALIFICATION);
	u16 port = (u16)(q >> IO_PORT_SHIFT);

	if (unlikely(q & IO_STRING)) {
		vm_break(vm, "L3 used a string instruction on a port that hv emulates, port", port);
		return;
	}
	answer_port(vm, port, 8 * ((q & IO_SIZE) + 1), q & IO_IN);
	vmx_skip(vm);
}

static void skip_or_fault(struct vm *vm, bool done, enum exception vector)
{
	if (likely(done))
		vmx_skip(vm);
	else
		vmx_fault(vm, vector);
}

static void exit_rdmsr(struct vm *vm)
{
	skip_or_fault(vm, answer_rdmsr(vm), EXC_GP);
}

static void exit_wrmsr(struct vm *vm)
{
	skip_or_fault(vm, answer_wrmsr(vm), EXC_GP);
}

/* CS has the CPL: the guests of hv do not run in conforming segments. */
static void exit_vmcall(struct vm *vm)
{
	bool privileged = !(vm_field(vm, GUEST_CS_AR) & AR_DPL_MASK);

	skip_or_fault(vm, privileged && answer_call(vm), EXC_UD);
}

static void exit_unexpected(struct vm *vm)
{
	u64 reason = vm->vmx.fields.f[F_EXIT_REASON];

	if (reason & EXIT_REASON_ENTRY_FAILURE)
		vm_break(vm, "the entry of L3 failed on its state, exit reason",
			 reason & EXIT_REASON_BASIC);
	else
		vm_break(vm, "L3 made an exit that hv does not handle, exit reason", reason);
}

static void exit_triple_fault(struct vm *vm)
{
	vm_break(vm, "L3 made a triple fault at", vm->vmx.fields.f[F_GUEST_RIP]);
}

/* L3 has no VMX and no SMX. */
static void exit_undefined(struct vm *vm)
{
	vmx_fault(vm, EXC_UD);
}

typedef void (*exit_handler)(struct vm *vm);

static const exit_handler handlers[VMX_EXIT_REASONS] = {
	[VMX_EXIT_CPUID] = exit_cpuid,
	[VMX_EXIT_EXCEPTION_NMI] = exit_page_fault, /* the only exception that hv asks for */
	[VMX_EXIT_EPT_VIOLATION] = exit_ept_violation,
	[VMX_EXIT_IO] = exit_io,
	[VMX_EXIT_RDMSR] = exit_rdmsr,
	[VMX_EXIT_WRMSR] = exit_wrmsr,
	[VMX_EXIT_VMCALL] = exit_vmcall,
	[VMX_EXIT_CR_ACCESS] = vmx_exit_cr_access,
	[VMX_EXIT_INVLPG] = exit_invlpg,
	[VMX_EXIT_INVD] = vmx_skip, /* the caches are not L3's: nothing may be lost */
	[VMX_EXIT_TRIPLE_FAULT] = exit_triple_fault,
	[VMX_EXIT_GETSEC] = exit_undefined,
	[VMX_EXIT_VMCLEAR] = exit_undefined,
	[VMX_EXIT_VMLAUNCH] = exit_undefined,
	[VMX_EXIT_VMPTRLD] = exit_undefined,
	[VMX_EXIT_VMPTRST] = exit_undefined,
	[VMX_EXIT_VMREAD] = exit_undefined,
	[VMX_EXIT_VMRESUME] = exit_undefined,
	[VMX_EXIT_VMWRITE] = exit_undefined,
	[VMX_EXIT_VMXOFF] = exit_undefined,
	[VMX_EXIT_VMXON] = exit_undefined,
	[VMX_EXIT_INVEPT] = exit_undefined,
	[VMX_EXIT_INVVPID] = exit_undefined,
};

void vmx_exit_handle(struct vm *vm)
{
	u64 reason = vm->vmx.fields.f[F_EXIT_REASON];

	if (likely(reason < VMX_EXIT_REASONS && handlers[reason]))
		handlers[reason](vm);
	else
		exit_unexpected(vm);
}
