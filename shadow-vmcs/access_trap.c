/*
 * vmcs=trap: every VMREAD and VMWRITE of L2 exits, and L1 serves it from v23. What exit handlers
 * read most is brought there at once. The baseline: needs no special hardware.
 */
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"

static void attach(struct vmx_nested *n, struct vmx_slot *s)
{
	(void)n;
	(void)s;
	vmcs_write(PROC_CONTROLS2, vmcs_read(PROC_CONTROLS2) & ~PROC2_VMCS_SHADOWING);
	vmcs_write(LINK_POINTER, ~0ULL);
}

static void publish(struct vmx_nested *n, struct vmx_slot *s)
{
	if (s->in_13 == VG_IN_13)
		vmx_collect_exit(n, s);
}

static void nothing(struct vmx_nested *n, struct vmx_slot *s)
{
	(void)n;
	(void)s;
}

const struct vmx_access vmx_access_trap = {
	.attach = attach,
	.collect = nothing,
	.publish = publish,
};
