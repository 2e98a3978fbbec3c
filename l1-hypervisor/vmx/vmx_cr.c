/*
 * L2's accesses to the bits of CR0 and CR4 that VMX needs. L1 owns only CR0.NE and CR4.VMXE, and
 * while L2 is in VMX operation CR0.PE and CR0.PG too. An access exits when it changes an owned bit.
 * L1 checks that bit, takes it over into the shadow and lets the instruction run again: now nothing
 * owned changes and the processor does and checks all the rest.
 * DEVIATION: when that second try faults for another bit, the owned bit has changed already.
 */
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/vmx/vmx.h"
#include "shadow-vmcs/vmcs_hw.h"

static u64 source(struct vcpu *vcpu, u64 qualification)
{
	enum reg reg = reg_of_number((u32)(qualification >> CR_ACCESS_REG_SHIFT));

	return reg == REG_RSP ? vmcs_read(GUEST_RSP) : vcpu->regs.r[reg];
}

/* SDM 3C "Restrictions on VMX Operation": PE, PG and NE cannot be cleared in VMX operation. */
static enum outcome write_cr0_owned(struct vcpu *vcpu, u64 value)
{
	u64 mask = vmcs_read(CR0_MASK);

	if (vmx_of(vcpu)->nested.on && (value & mask) != mask)
		return vmx_fault(vcpu, EXC_GP, true, 0);
	vmcs_write(CR0_SHADOW, value);
	return OUTCOME_RESUME;
}

static enum outcome write_cr4_owned(struct vcpu *vcpu, u64 value)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	if ((value & CR4_VMXE) ? !v->nested_on : v->nested.on)
		return vmx_fault(vcpu, EXC_GP, true, 0);
	vmcs_write(CR4_SHADOW, value);
	return OUTCOME_RESUME;
}

enum outcome vmx_handle_cr(struct vcpu *vcpu, u64 reason)
{
	u64 qualification = vmcs_read(EXIT_QUALIFICATION);

	(void)reason;
	if ((qualification & CR_ACCESS_TYPE) != CR_ACCESS_WRITE)
		panic("CR access of L2 that L1 did not ask for: qualification 0x%lx",
		      qualification);
	if ((qualification & CR_ACCESS_NUMBER) == 0)
		return write_cr0_owned(vcpu, source(vcpu, qualification));
	return write_cr4_owned(vcpu, source(vcpu, qualification));
}
