/*
 * Shadow page tables, for a guest without EPT: the translations that the processor uses, made from
 * the guest's own tables on page faults. They behave as a TLB does: kept until the guest
 * invalidates (SDM 3C "Memory Virtualization" (chapter 33 of older editions), virtual TLB).
 */
#ifndef GUESTS_HV_SHADOW_H
#define GUESTS_HV_SHADOW_H

#include "guests/hv/vm.h"

/* What the processor's CR3 holds throughout. */
u64 shadow_root(void);

/* Forgets every translation, and makes the root fit the guest's paging mode. */
void shadow_drop(const struct vm *vm);

/* Handler of page faults: fills, or gives the fault to the guest. */
void exit_page_fault(struct vm *vm);

/* Handler of INVLPG. */
void exit_invlpg(struct vm *vm);

#endif
