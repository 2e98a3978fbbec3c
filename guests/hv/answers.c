/*
 * The longer of hv's answers; see answers.h.
 */
#include "guests/hv/answers.h"

#include "guests/hv/control.h"
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

void answer_exit_port(struct vm *vm, u16 port, u32 value)
{
	switch (port) {
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

bool answer_wrmsr(struct vm *vm)
{
	u32 msr = (u32)vm->regs.rcx;
	u64 value = vm->regs.rdx << 32 | (u32)vm->regs.rax;

	if (likely(msr == MSR_PAT)) {
		if (!pat_is_valid(value))
			return false;
		if (value != vm->pat) {
			vm->pat = value;
			vm->vendor->publish_pat(vm);
		}
		return true;
	}
	return msr == MSR_EFER && control_write_efer(vm, value);
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
	vm->regs.rcx = counters.accesses[0];
	vm->regs.rdx = counters.accesses[1];
	vm->regs.rsi = counters.accesses[2];
	return status;
}

enum nb_status answer_hypercall(struct vm *vm, enum nb_op op)
{
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
