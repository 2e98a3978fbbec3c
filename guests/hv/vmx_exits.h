/*
 * hv's answers to exits of VMX. A handler may use the fields that every profile reads directly, all
 * others through vm_field().
 */
#ifndef GUESTS_HV_VMX_EXITS_H
#define GUESTS_HV_VMX_EXITS_H

#include "guests/hv/vm.h"

/* Answers the exit that vm->vmx.fields tells of. */
void vmx_exit_handle(struct vm *vm);

#endif
