/*
 * CPUID of the guest: a table filled once, so that no exit's handler executes CPUID, which would
 * exit to the hypervisor below.
 */
#ifndef GUESTS_HV_CPUID_H
#define GUESTS_HV_CPUID_H

#include "guests/hv/vm.h"

/* Reads this CPU's leaves and takes out what hv does not offer; `level` is the guest's. */
void cpuid_init(u32 level);

/* The handler. */
void exit_cpuid(struct vm *vm);

/* Bits of CR4 that the guest may set. */
u64 cpuid_cr4_allowed(void);

/* The width of physical addresses. */
unsigned cpuid_physical_bits(void);

#endif
