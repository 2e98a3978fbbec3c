/*
 * The guest's control registers and EFER: what it sees, what the VMCS holds for it, and the checks
 * that the processor leaves to whoever intercepts.
 */
#ifndef GUESTS_HV_CONTROL_H
#define GUESTS_HV_CONTROL_H

#include "guests/hv/vm.h"

/* The state of a Multiboot kernel: protected mode without paging. */
void control_create(struct vm *vm);

/* Handler of MOV to and from CR0, CR3, CR4, and of LMSW. */
void exit_cr_access(struct vm *vm);

/* WRMSR of EFER without EPT; false when it is #GP. */
bool control_write_efer(struct vm *vm, u64 value);

#endif
