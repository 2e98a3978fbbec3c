/*
 * L2's accesses to MSRs that exit: those that say what VMX can do, which L1 answers, and those that
 * no bitmap covers, which are the machine's.
 */
#include "l1-hypervisor/apic.h"
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/startup.h"
#include "l1-hypervisor/vmx/vmx.h"

#define MSR_KVM_WALL_CLOCK  0x11U
#define MSR_KVM_SYSTEM_TIME 0x12U

/* MSRs by which something writes to memory past ept12, at an address of L2's choice and also while
 * L1 runs: records of events and branches, traces, and the clock that a KVM below has. L2 is told
 * that there are none (cpuid.c). */
static const u32 withheld[] = {
	MSR_PEBS_ENABLE,      MSR_DS_AREA,        MSR_RTIT_CTL,        MSR_RTIT_OUTPUT_BASE,
	MSR_RTIT_OUTPUT_MASK, MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME,
};

void vmx_withhold_msrs(struct bitmap_page *bitmap)
{
	for (u32 i = 0; i < ARRAY_SIZE(withheld); i++) {
		bitmap_set(bitmap, MSR_BITMAP_READ_LOW + withheld[i]);
		bitmap_set(bitmap, MSR_BITMAP_WRITE_LOW + withheld[i]);
	}
}

/* Outside of the bitmaps' ranges there are only those of a hypervisor below. */
static bool is_withheld(u32 msr)
{
	u32 bit;

	for (u32 i = 0; i < ARRAY_SIZE(withheld); i++)
		if (msr == withheld[i])
			return true;
	return !msr_bitmap_bit(msr, &bit);
}

/* SDM 3D "VMX Capability Reporting Facility" (Appendix A): an MSR of a feature that is not there
 * does not exist. */
static bool read_capability(const struct vmx_vcpu *v, u32 msr, u64 *value)
{
	if (!v->nested_on || (msr == MSR_VMX_VMFUNC && !vmx_cap(&v->nested.offered, msr)))
		return false;
	if (msr == MSR_VMX_EPT_VPID_CAP && !vmx_cap(&v->nested.offered, msr))
		return false;
	*value = vmx_cap(&v->nested.offered, msr);
	return true;
}

/* L2 finds VMX locked on by its firmware, or locked off. */
static u64 feature_control(const struct vmx_vcpu *v)
{
	return FEATURE_CONTROL_LOCK | (v->nested_on ? FEATURE_CONTROL_VMX_OUTSIDE_SMX : 0);
}

/* The machine's MSRs as L2 has them. */
bool vmx_guest_rdmsr(u32 msr, u64 *value)
{
	const struct apic_base *base = &this_vcpu()->apic_base;

	if (msr == MSR_APIC_BASE && base->is_off) {
		*value = base->value;
		return true;
	}
	return !is_withheld(msr) && rdmsr_safe(msr, value);
}

static bool write_apic_base(struct vcpu *vcpu, u64 value)
{
	struct bitmap_page *bitmap = vmx_of(vcpu)->nested.msr_bitmap12;

	if (!apic_base_write(&vcpu->apic_base, value, vmx_physical_bits()))
		return false;
	if (vcpu->apic_base.is_off)
		bitmap_set(bitmap, MSR_BITMAP_READ_LOW + MSR_APIC_BASE);
	else
		bitmap_clear(bitmap, MSR_BITMAP_READ_LOW + MSR_APIC_BASE);
	return true;
}

bool vmx_guest_wrmsr(u32 msr, u64 value)
{
	if (msr == MSR_APIC_BASE)
		return write_apic_base(this_vcpu(), value);
	return !is_withheld(msr) && wrmsr_safe(msr, value);
}

enum outcome vmx_handle_rdmsr(struct vcpu *vcpu, u64 reason)
{
	struct vmx_vcpu *v = vmx_of(vcpu);
	u32 msr = (u32)vcpu->regs.r[REG_RCX];
	bool known = true;
	u64 value;

	(void)reason;
	if (msr == MSR_FEATURE_CONTROL)
		value = feature_control(v);
	else if (msr >= MSR_VMX_BASIC && msr <= MSR_VMX_VMFUNC)
		known = read_capability(v, msr, &value);
	else
		known = vmx_guest_rdmsr(msr, &value);
	if (!known)
		return vmx_fault(vcpu, EXC_GP, true, 0);
	vcpu->regs.r[REG_RAX] = (u32)value;
	vcpu->regs.r[REG_RDX] = value >> 32;
	return OUTCOME_ADVANCE;
}

enum outcome vmx_handle_wrmsr(struct vcpu *vcpu, u64 reason)
{
	const u64 *r = vcpu->regs.r;
	u32 msr = (u32)r[REG_RCX];
	u64 value = (r[REG_RDX] << 32) | (u32)r[REG_RAX];

	(void)reason;
	if (msr == MSR_X2APIC_ICR && apic_is_x2apic() && startup_icr_write(value))
		return OUTCOME_ADVANCE;
	if (msr == MSR_FEATURE_CONTROL || !vmx_guest_wrmsr(msr, value))
		return vmx_fault(vcpu, EXC_GP, true, 0);
	return OUTCOME_ADVANCE;
}
