/*
 * The axis vmcs: how L2 reaches the fields of its current VMCS. A way is one of these tables.
 */
#ifndef SHADOW_VMCS_VMX_ACCESS_H
#define SHADOW_VMCS_VMX_ACCESS_H

#include "shadow-vmcs/vmx_nested.h"

struct vmx_access {
	/* L2's current VMCS is now `slot`, or none. vmcs12 is loaded. */
	void (*attach)(struct vmx_nested *n, struct vmx_slot *slot);
	/* Brings what L2 wrote into v23. Any VMCS may be loaded afterwards. */
	void (*collect)(struct vmx_nested *n, struct vmx_slot *slot);
	/* Brings v23 to where L2 reads it. Any VMCS may be loaded afterwards. */
	void (*publish)(struct vmx_nested *n, struct vmx_slot *slot);
};

/* Makes the loops' view of an exposed set. In access_shadow.c. */
void vmx_exposure_make(struct vmx_exposure *exposure, const struct vmcs_expose *set);

extern const struct vmx_access vmx_access_trap, vmx_access_shadow;

#endif
