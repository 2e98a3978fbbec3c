/*
 * Exits of L3 that L2 does not want: L1 serves them, and L2 does not learn of them. They come from
 * L1's own bookkeeping (merged tables and bitmaps) or from what L1 keeps from every guest.
 */
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/vmx/vmx.h"
#include "nested-ept/ept.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_exits.h"

static enum outcome stage2(struct vcpu *vcpu)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;
	enum outcome outcome;

	if (!n->current->ept13)
		return vmx_handle_ept_violation(vcpu);
	outcome = vmx_stage2_miss(n, vcpu->reason);
	/* The miss may have interrupted an event on its way to L3; one that L2 gets is in its VMCS.
	 */
	if (outcome == OUTCOME_RESUME)
		vmx_redeliver();
	return outcome;
}

/* The exit ports are the only ones that L1 wants. The others exit because the bitmaps were not
 * merged yet. */
static enum outcome io(struct vcpu *vcpu)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;

	if (n->current->io_merged)
		return vmx_handle_io(vcpu);
	vmx_merge_io_bitmaps(n);
	return OUTCOME_RESUME;
}

enum outcome vmx_handle_for_l3(struct vcpu *vcpu)
{
	switch (vcpu->reason) {
	case VMX_EXIT_EPT_VIOLATION:
	case VMX_EXIT_EPT_MISCONFIG:
		return stage2(vcpu);
	case VMX_EXIT_IO:
		return io(vcpu);
	case VMX_EXIT_RDMSR:
		return vmx_handle_rdmsr(vcpu);
	case VMX_EXIT_WRMSR:
		return vmx_handle_wrmsr(vcpu);
	case VMX_EXIT_EXCEPTION_NMI:
		return vmx_handle_exception(vcpu);
	default:
		panic("L3 made the exit %s, which nobody asked for", vmx_exit_name(vcpu->reason));
	}
}
