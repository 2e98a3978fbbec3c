/*
 * A guest on VMX: its exit information as the access profile read it, and the ways to go on.
 */
#ifndef GUESTS_HV_VMX_VM_H
#define GUESTS_HV_VMX_VM_H

#include "guests/hv/vm.h"

/* A field of this exit: as the profile read it, else read now. */
#define vm_field(vm, NAME)                                                    \
	((vm)->vmx.profile.reads_row[F_##NAME] ? (vm)->vmx.fields.f[F_##NAME] \
					       : vmx_get(VMCS_##NAME))

/* The guest continues behind the instruction that exited. */
static inline void vmx_skip(struct vm *vm)
{
	u64 *f = vm->vmx.fields.f;

	f[F_GUEST_RIP] += f[F_EXIT_INSN_LENGTH];
	f[F_GUEST_INTERRUPTIBILITY] &= ~(u64)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
}

/* The guest takes this event at the next entry; `info` as for VM-entry interruption information,
 * `error` counts when it says so. */
void vmx_inject(struct vm *vm, u32 info, u32 error);

/* The guest takes a hardware exception, with error code 0 where the vector has one. */
void vmx_fault(struct vm *vm, enum exception vector);

/* Delivers again, at the next entry, an event whose delivery this exit interrupted. */
void vmx_redeliver(struct vm *vm);

#endif
