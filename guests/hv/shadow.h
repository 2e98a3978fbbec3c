/*
 * Shadow page tables, for a guest without second-level tables: the translations that the processor
 * uses, made from the guest's own tables on page faults. They behave as a TLB does: kept until the
 * guest invalidates (SDM 3C "Memory Virtualization" (chapter 33 of older editions), virtual TLB).
 */
#ifndef GUESTS_HV_SHADOW_H
#define GUESTS_HV_SHADOW_H

#include "guests/hv/vm.h"
#include "l1-hypervisor/leaf/x86.h"

#define EXCEPTION_CONTRIBUTORY \
	(BIT(EXC_DE) | BIT(EXC_TS) | BIT(EXC_NP) | BIT(EXC_SS) | BIT(EXC_GP) | BIT(EXC_PF))

/* What the processor's CR3 holds throughout. */
u64 shadow_root(void);

/* Forgets every translation, and makes the root fit the guest's paging mode. */
void shadow_drop(const struct vm *vm);

/* Forgets what may translate `linear`. */
void shadow_invalidate(const struct vm *vm, u64 linear);

enum shadow_end {
	SHADOW_DONE,  /* there is a translation now, or the run is broken */
	SHADOW_FAULT, /* the fault is the guest's own, with the error code in `error` */
};

/* Answers a page fault at `linear` with the error code `access`. */
enum shadow_end shadow_page_fault(struct vm *vm, u64 linear, u32 access, u32 *error);

/*
 * A page fault while the event `info` was delivered, in the layout of IDT-vectoring information,
 * which that of EXITINTINFO agrees with: do the two make a double fault (SDM 3A "Interrupt 8-Double
 * Fault Exception (#DF)")? An interrupted delivery of anything else is lost, as it is on the
 * processor.
 */
static inline bool shadow_double_fault(u32 info)
{
	return (info & INTR_INFO_VALID) &&
	       (info & INTR_INFO_TYPE) == INTR_TYPE_HARDWARE_EXCEPTION &&
	       (EXCEPTION_CONTRIBUTORY & BIT(info & INTR_INFO_VECTOR));
}

#endif
