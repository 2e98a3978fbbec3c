/*
 * Control registers on VMX: what the VMCS holds for the guest's values, and the exits of those who
 * change them. With EPT and unrestricted guest only bits that VMX fixes, or that hv does not offer,
 * are hv's; with shadow page tables everything that concerns paging is.
 */
#ifndef GUESTS_HV_VMX_CONTROL_H
#define GUESTS_HV_VMX_CONTROL_H

#include "guests/hv/vm.h"

/* Masks and fields for the state of a Multiboot kernel: protected mode without paging. */
void vmx_control_create(struct vm *vm);

/* The vendor's publish_control(). */
void vmx_publish_control(struct vm *vm, u32 which);

/* Handler of MOV to and from CR0, CR3, CR4, of CLTS and LMSW. */
void vmx_exit_cr_access(struct vm *vm);

#endif
