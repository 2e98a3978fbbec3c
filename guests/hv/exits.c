/*
 * hv's dispatch by exit reason, and the handlers of instructions without a file of their own: I/O,
 * MSRs, hypercalls; see exits.h.
 */
#include "guests/hv/exits.h"

#include "guests/hv/control.h"
#include "guests/hv/cpuid.h"
#include "guests/hv/ept.h"
#include "guests/hv/shadow.h"
#include "guests/lib/nestbed.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

/* What a good guest writes to the exit port of Bochs. */
#define BOCHS_GOOD 'D'

static void end_run(struct vm *vm, u32 status)
{
	vm->end = VM_EXITED;
	vm->status = status;
}

static void port_out(struct vm *vm, u16 port, u32 value)
{
	switch (port) {
	case EMULATED_PORT:
		vm->port_value = (u8)value;
		break;
	case NB_PORT_QEMU_EXIT:
		end_run(vm, value);
		break;
	case NB_PORT_BOCHS_EXIT:
		end_run(vm, (u8)value != BOCHS_GOOD);
		break;
	default:
		vm_break(vm, "L3 wrote to a part of an exit port, port", port);
	}
}

static void exit_io(struct vm *vm)
{
	u64 q = vm_field(vm, EXIT_QUALIFICATION);
	u64 bits = 8 * ((q & IO_SIZE) + 1), mask = BITS(bits - 1, 0);
	u16 port = (u16)(q >> IO_PORT_SHIFT);
	u64 *rax = &vm->regs.rax;

	if (unlikely(q & IO_STRING)) {
		vm_break(vm, "L3 used a string instruction on a port that hv emulates, port", port);
		return;
	}
	if (q & IO_IN) {
		u64 value = port == EMULATED_PORT ? ~0xffULL | vm->port_value : ~0ULL;

		*rax = (bits == 32 ? 0 : *rax & ~mask) | (value & mask);
	} else {
		port_out(vm, port, (u32)(*rax & mask));
	}
	vm_skip(vm);
}

static void exit_rdmsr(struct vm *vm)
{
	u32 msr = (u32)vm->regs.rcx;
	u64 value;

	if (likely(msr == MSR_PAT)) {
		value = vm->pat;
	} else if (msr == MSR_EFER) {
		value = vm->efer;
	} else {
		vm_fault(vm, EXC_GP);
		return;
	}
	vm->regs.rax = (u32)value;
	vm->regs.rdx = value >> 32;
	vm_skip(vm);
}

/* SDM 3A "Memory Types That Can Be Encoded With PAT" (12.12.2): 0, 1, 4, 5, 6, 7. */
static bool pat_is_valid(u64 value)
{
	for (; value; value >>= 8) {
		u8 type = (u8)value;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static void exit_wrmsr(struct vm *vm)
{
	u32 msr = (u32)vm->regs.rcx;
	u64 value = vm->regs.rdx << 32 | (u32)vm->regs.rax;
	bool done = false;

	if (likely(msr == MSR_PAT)) {
		done = pat_is_valid(value);
		if (done && value != vm->pat) {
			vm->pat = value;
			vmx_set(VMCS_GUEST_PAT, value);
		}
	} else if (msr == MSR_EFER) {
		done = control_write_efer(vm, value);
	}
	if (done)
		vm_skip(vm);
	else
		vm_fault(vm, EXC_GP);
}

/* A text of the guest's goes to the hypervisor below in a copy: that one does not know our guest's
 * addresses. */
static enum nb_status forward_text(struct vm *vm, enum nb_op op)
{
	static char text[NB_LINE_MAX + 1];
	u64 length = vm->regs.rcx;
	const char *from;

	if (length > NB_LINE_MAX)
		return NB_ERR_ARGUMENT;
	from = vm_memory(vm, vm->regs.rbx, length);
	if (!from)
		return NB_ERR_ARGUMENT;
	memcpy(text, from, length);
	text[length] = 0;
	return nestbed_call_text(op, text);
}

static enum nb_status forward_counters(struct vm *vm)
{
	struct nestbed_counters counters;
	enum nb_status status = nestbed_counters(&counters);

	vm->regs.rbx = counters.exits;
	vm->regs.rcx = counters.vmreads;
	vm->regs.rdx = counters.vmwrites;
	vm->regs.rsi = counters.vmptrlds;
	return status;
}

static enum nb_status hypercall(struct vm *vm, enum nb_op op)
{
	if (likely(op == NB_OP_NOP))
		return NB_OK;
	if (!nestbed_level())
		return NB_ERR_UNKNOWN;
	switch (op) {
	case NB_OP_COUNTERS:
		return forward_counters(vm);
	case NB_OP_STRATEGY:
	case NB_OP_LOG:
		return forward_text(vm, op);
	default:
		return nestbed_call(op);
	}
}

static void exit_vmcall(struct vm *vm)
{
	u64 call = (u32)vm->regs.rax;

	/* CS has the CPL: the guests of hv do not run in conforming segments. */
	if (unlikely((call & NB_CALL_MASK) != NB_CALL_MAGIC ||
		     (vm_field(vm, GUEST_CS_AR) & AR_DPL_MASK))) {
		vm_fault(vm, EXC_UD);
		return;
	}
	vm->regs.rax = hypercall(vm, (enum nb_op)(call & ~NB_CALL_MASK));
	vm_skip(vm);
}

static void exit_unexpected(struct vm *vm)
{
	u64 reason = vm->fields.f[F_EXIT_REASON];

	if (reason & EXIT_REASON_ENTRY_FAILURE)
		vm_break(vm, "the entry of L3 failed on its state, exit reason",
			 reason & EXIT_REASON_BASIC);
	else
		vm_break(vm, "L3 made an exit that hv does not handle, exit reason", reason);
}

static void exit_triple_fault(struct vm *vm)
{
	vm_break(vm, "L3 made a triple fault at", vm->fields.f[F_GUEST_RIP]);
}

/* L3 has no VMX and no SMX. */
static void exit_undefined(struct vm *vm)
{
	vm_fault(vm, EXC_UD);
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
	[VMX_EXIT_CR_ACCESS] = exit_cr_access,
	[VMX_EXIT_INVLPG] = exit_invlpg,
	[VMX_EXIT_INVD] = vm_skip, /* the caches are not L3's: nothing may be lost */
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

void exit_handle(struct vm *vm)
{
	u64 reason = vm->fields.f[F_EXIT_REASON];

	if (likely(reason < VMX_EXIT_REASONS && handlers[reason]))
		handlers[reason](vm);
	else
		exit_unexpected(vm);
}
