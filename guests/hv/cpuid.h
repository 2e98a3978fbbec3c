/*
 * CPUID of the guest: a table filled once, so that no exit's handler executes CPUID, which would
 * exit to the hypervisor below.
 */
#ifndef GUESTS_HV_CPUID_H
#define GUESTS_HV_CPUID_H

#include "guests/hv/vm.h"
#include "l1-hypervisor/leaf/insn.h"

/* Reads this CPU's leaves and takes out what hv does not offer; `level` is the guest's. */
void cpuid_init(u32 level);

/* What CPUID answers without looking at ECX: the leaves from 0 on. */
extern struct cpuid_regs cpuid_basic[];
extern u32 cpuid_basic_count;

/* Leaves below 32 whose answer depends on ECX. */
#define CPUID_WITH_SUBLEAVES (BIT(4) | BIT(7) | BIT(0xb))

/* What CPUID answers. */
const struct cpuid_regs *cpuid_find(u32 leaf, u32 subleaf);

/* Answers CPUID in the guest's registers. */
static inline void cpuid_answer(struct vm *vm)
{
	u32 leaf = (u32)vm->regs.rax;
	const struct cpuid_regs *r;

	if (likely(leaf < cpuid_basic_count && !(CPUID_WITH_SUBLEAVES & BIT(leaf))))
		r = &cpuid_basic[leaf];
	else
		r = cpuid_find(leaf, (u32)vm->regs.rcx);
	vm->regs.rax = r->eax;
	vm->regs.rbx = r->ebx;
	vm->regs.rcx = r->ecx;
	vm->regs.rdx = r->edx;
}

/* Bits of CR4 that the guest may set. */
u64 cpuid_cr4_allowed(void);

/* The width of physical addresses. */
unsigned cpuid_physical_bits(void);

#endif
