/*
 * hv's answers to instructions that its guest may not execute itself, whatever the vendor: ports,
 * MSRs, hypercalls. In the guest's registers; moving it past the instruction is the vendor's.
 */
#ifndef GUESTS_HV_ANSWERS_H
#define GUESTS_HV_ANSWERS_H

#include "guests/hv/vm.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"

/* The one port that hv emulates: what is written can be read back. */
#define EMULATED_PORT 0x80

/* OUT to one of the ports that end a run. */
void answer_exit_port(struct vm *vm, u16 port, u32 value);

/* A hypercall other than NB_OP_NOP: the hypervisor below is asked. */
enum nb_status answer_hypercall(struct vm *vm, enum nb_op op);

/* IN and OUT of one item of `bits` bits. */
static inline void answer_port(struct vm *vm, u16 port, u64 bits, bool in)
{
	u64 mask = BITS(bits - 1, 0);
	u64 *rax = &vm->regs.rax;

	if (in) {
		u64 value = port == EMULATED_PORT ? ~0xffULL | vm->port_value : ~0ULL;

		*rax = (bits == 32 ? 0 : *rax & ~mask) | (value & mask);
	} else if (port == EMULATED_PORT) {
		vm->port_value = (u8)*rax;
	} else {
		answer_exit_port(vm, port, (u32)(*rax & mask));
	}
}

/* RDMSR; false when it is #GP. */
static inline bool answer_rdmsr(struct vm *vm)
{
	u32 msr = (u32)vm->regs.rcx;
	u64 value;

	if (likely(msr == MSR_PAT))
		value = vm->pat;
	else if (msr == MSR_EFER)
		value = vm->efer;
	else
		return false;
	vm->regs.rax = (u32)value;
	vm->regs.rdx = value >> 32;
	return true;
}

/* WRMSR; false when it is #GP. */
bool answer_wrmsr(struct vm *vm);

/* A hypercall at CPL 0; false when it is none of Nestbed's, which is #UD. */
static inline bool answer_call(struct vm *vm)
{
	u64 call = (u32)vm->regs.rax;
	enum nb_op op = (enum nb_op)(call & ~NB_CALL_MASK);

	if (unlikely((call & NB_CALL_MASK) != NB_CALL_MAGIC))
		return false;
	vm->regs.rax = likely(op == NB_OP_NOP) ? NB_OK : answer_hypercall(vm, op);
	return true;
}

#endif
