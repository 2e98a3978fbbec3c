/*
 * The guest's control registers and EFER: what a write to one means, and the checks that the
 * processor leaves to whoever intercepts. What the processor holds for the guest's values is the
 * vendor's.
 */
#ifndef GUESTS_HV_CONTROL_H
#define GUESTS_HV_CONTROL_H

#include "guests/hv/vm.h"

/* What of CR0 the instruction LMSW writes. */
#define CR0_LMSW (CR0_PE | CR0_MP | CR0_EM | CR0_TS)

/* Bits of CR4 that shadow page tables depend on. */
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE)

/*
 * MOV to CR0, CR3 or CR4, by number, and WRMSR of EFER: change the registers in `vm`, which the
 * vendor has collected, and have the change published. False when it is #GP.
 */
bool control_write(struct vm *vm, u64 number, u64 value);
bool control_write_efer(struct vm *vm, u64 value);

/* The CR0 that LMSW with this operand asks for: it can set PE, not clear it. */
static inline u64 control_lmsw(const struct vm *vm, u64 operand)
{
	return (vm->cr0 & ~(CR0_LMSW & ~CR0_PE)) | (operand & CR0_LMSW);
}

#endif
