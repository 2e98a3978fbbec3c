/*
 * A guest on SVM: its VMCB, and the ways to go on after an exit. Without the next RIP from the
 * processor hv knows how long its guests' instructions are, and looks whether it is them.
 */
#ifndef GUESTS_HV_SVM_VM_H
#define GUESTS_HV_SVM_VM_H

#include "guests/hv/vm.h"

extern struct vmcb svm_vmcb;

/* An instruction without prefixes, its bytes in the order of memory. */
struct svm_insn {
	u32 bytes, mask, length;
};

#define SVM_INSN2(a, b)    ((struct svm_insn){ (a) | (b) << 8, 0xffff, 2 })
#define SVM_INSN3(a, b, c) ((struct svm_insn){ (a) | (b) << 8 | (c) << 16, 0xffffff, 3 })

/* The guest continues at `rip`, behind the instruction that exited. */
static inline void svm_continue(struct vm *vm, u64 rip)
{
	vm->svm.seen.s.rip = rip;
	svm_vmcb.c.int_state &= ~INT_STATE_SHADOW;
}

/*
 * The bytes at the guest's RIP: `length` of them, or NULL when they are not in its memory. Assumes
 * that its code is where it would be without paging and segments, as with every guest of ours.
 */
static inline const u8 *svm_code(const struct vm *vm, u64 length)
{
	return vm_memory(vm, vm->svm.seen.s.rip, length);
}

/* Ends the run: the guest uses an instruction in a form that hv does not know. */
__attribute__((cold)) void svm_unknown_insn(struct vm *vm);

/* The guest continues behind the instruction that exited, which is this one. */
static inline void svm_skip(struct vm *vm, struct svm_insn insn)
{
	const u32 *code;

	if (vm->svm.has_next_rip) {
		svm_continue(vm, svm_vmcb.c.next_rip);
		return;
	}
	code = (const u32 *)svm_code(vm, sizeof(*code));
	if (likely(code && (*code & insn.mask) == insn.bytes))
		svm_continue(vm, vm->svm.seen.s.rip + insn.length);
	else
		svm_unknown_insn(vm);
}

/* The guest takes a hardware exception, with error code 0 where the vector has one. */
void svm_fault(enum exception vector);

/* The guest takes a page fault. */
void svm_page_fault(struct vm *vm, u64 linear, u32 error);

/* Delivers again, at the next entry, an event whose delivery this exit interrupted. */
void svm_redeliver(void);

#endif
