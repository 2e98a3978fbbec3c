/*
 * Exits of L3 that L2 does not want: L1 serves them, and L2 does not learn of them. They come from
 * L1's own bookkeeping (merged tables and bitmaps) or from what L1 keeps from every guest.
 */
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/ports.h"
#include "l1-hypervisor/startup.h"
#include "l1-hypervisor/vmx/vmx.h"
#include "nested-ept/ept.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_exits.h"

static enum outcome stage2(struct vcpu *vcpu, u64 reason)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;
	enum outcome outcome;
	bool nmi_unblocked;

	if (!n->current->ept13)
		return vmx_handle_ept_violation(vcpu, reason);
	/* Nobody decodes stores of L3. */
	if (unlikely(startup_is_watched()))
		startup_unwatch();
	nmi_unblocked = vmcs_read(EXIT_QUALIFICATION) & EPT_VIOLATION_NMI_UNBLOCKED;
	outcome = vmx_stage2_miss(n, (u32)reason);
	/* The miss may have interrupted an event, or an IRET, of L3; what L2 gets to see of it is
	 * in its VMCS. */
	if (outcome != OUTCOME_RESUME)
		return outcome;
	if (unlikely(nmi_unblocked))
		vmx_block_nmi();
	vmx_redeliver();
	return OUTCOME_RESUME;
}

/* The exit ports are the only ones that L1 wants. L1 does the other accesses itself, because L2's
 * bitmaps are memory that may change while L3 runs: the next access asks them again. Only a string
 * instruction runs on merged bitmaps.
 * DEVIATION: an I/O breakpoint of L3 does not see what L1 does. */
static enum outcome io(struct vcpu *vcpu, u64 reason)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;
	u64 qualification = vmcs_read(EXIT_QUALIFICATION);
	u16 port = (u16)(qualification >> IO_PORT_SHIFT);
	u32 size = (u32)(qualification & IO_SIZE) + 1;

	if (io_bitmap_exits(&n->io_bitmaps12[0], &n->io_bitmaps12[1], port, size))
		return vmx_handle_io(vcpu, reason);
	if (qualification & (IO_STRING | IO_REP)) {
		vmx_merge_io_bitmaps(n);
		return OUTCOME_RESUME;
	}
	port_access(port, size, qualification & IO_IN, &vcpu->regs.r[REG_RAX]);
	return OUTCOME_ADVANCE;
}

/* MSRs that an exit has given L1's or L2's value: L3's own is in vmcs13. False for any other. */
static bool is_in_vmcs13(const struct vcpu *vcpu, u32 *field)
{
	switch ((u32)vcpu->regs.r[REG_RCX]) {
	case MSR_DEBUGCTL:
		*field = VMCS_GUEST_DEBUGCTL;
		return true;
	case MSR_PAT:
		*field = VMCS_GUEST_PAT;
		return vmcs_read(ENTRY_CONTROLS) & ENTRY_LOAD_PAT;
	default:
		return false;
	}
}

static enum outcome l3_rdmsr(struct vcpu *vcpu, u64 reason)
{
	u64 value;
	u32 field;

	if (likely(!is_in_vmcs13(vcpu, &field)))
		return vmx_handle_rdmsr(vcpu, reason);
	value = vmread_raw(field);
	vcpu->regs.r[REG_RAX] = (u32)value;
	vcpu->regs.r[REG_RDX] = value >> 32;
	return OUTCOME_ADVANCE;
}

/* Whether WRMSR takes the value. Of a PAT the processor says so; L1 itself must not run with every
 * IA32_DEBUGCTL, which may have branches written to memory. */
static bool is_valid(const struct vmx_nested *n, u32 field, u64 value)
{
	u64 ours;

	if (field == VMCS_GUEST_DEBUGCTL)
		return !(value & ~n->env.debugctl_allowed) && rdmsr_safe(MSR_DEBUGCTL, &ours);
	ours = rdmsr(MSR_PAT);
	if (!wrmsr_safe(MSR_PAT, value))
		return false;
	wrmsr(MSR_PAT, ours);
	return true;
}

static enum outcome l3_wrmsr(struct vcpu *vcpu, u64 reason)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;
	const u64 *r = vcpu->regs.r;
	u64 value = r[REG_RDX] << 32 | (u32)r[REG_RAX];
	u32 field;

	if (likely(!is_in_vmcs13(vcpu, &field)))
		return vmx_handle_wrmsr(vcpu, reason);
	if (!is_valid(n, field, value))
		return vmx_fault(vcpu, EXC_GP, true, 0);
	vmwrite_raw(field, value);
	/* Unless L2 has it saved, its next entry begins with what it always was. */
	n->current->stale |= BIT(VG_MSR);
	return OUTCOME_ADVANCE;
}

enum outcome vmx_handle_for_l3(struct vcpu *vcpu, u64 reason)
{
	switch (reason) {
	case VMX_EXIT_EPT_VIOLATION:
	case VMX_EXIT_EPT_MISCONFIG:
		return stage2(vcpu, reason);
	case VMX_EXIT_IO:
		return io(vcpu, reason);
	case VMX_EXIT_DR_ACCESS:
		vmx_pass_dr(&vmx_of(vcpu)->nested);
		return OUTCOME_RESUME;
	case VMX_EXIT_RDMSR:
		return l3_rdmsr(vcpu, reason);
	case VMX_EXIT_WRMSR:
		return l3_wrmsr(vcpu, reason);
	case VMX_EXIT_SEAMCALL:
	case VMX_EXIT_TDCALL:
		return vmx_handle_undefined(vcpu, reason);
	case VMX_EXIT_EXCEPTION_NMI:
		return vmx_handle_exception(vcpu, reason);
	default:
		panic("L3 made the exit %s, which nobody asked for", vmx_exit_name((u32)reason));
	}
}
