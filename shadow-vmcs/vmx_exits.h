/*
 * Exit reasons of VMX by name, from vmx_exits.def, and their names as text. Guests may use it; the
 * dispatch tables of L1 include the .def themselves.
 */
#ifndef SHADOW_VMCS_VMX_EXITS_H
#define SHADOW_VMCS_VMX_EXITS_H

#include "l1-hypervisor/leaf/types.h"

enum vmx_exit_reason {
#define VMX_EXIT(number, NAME, handler, wanted, kind) VMX_EXIT_##NAME = (number),
#include "shadow-vmcs/vmx_exits.def"
};

/* Exit reasons are below this power of two: the length of tables indexed by reason. */
#define VMX_EXIT_REASONS 128U

/* The name of a basic exit reason, or NULL for a number that stands for none. */
static inline const char *vmx_exit_name(u32 reason)
{
	static const char *const names[VMX_EXIT_REASONS] = {
#define VMX_EXIT(number, NAME, handler, wanted, kind) [number] = #NAME,
#include "shadow-vmcs/vmx_exits.def"
	};

	return reason < VMX_EXIT_REASONS ? names[reason] : NULL;
}

#endif
