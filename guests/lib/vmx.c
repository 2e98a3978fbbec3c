/*
 * Enabling VMX, its capabilities, the control fields of a VMCS, and its EPT pointer. Refuses by
 * returning a sentence or the name of what is missing; never writes a control bit that the
 * capability MSRs do not allow.
 */
#include "guests/lib/vmx.h"

#include "guests/lib/guest.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

void vmx_access_failed(u32 encoding)
{
	guest_fail("VMCS field 0x%x cannot be accessed", encoding);
}

static void read_control(u32 msr, u32 *must, u32 *may)
{
	u64 value = rdmsr(msr);

	*must = (u32)value;
	*may = (u32)(value >> 32);
}

void vmx_read_features(struct vmx_features *f)
{
	bool exact;

	f->basic = rdmsr(MSR_VMX_BASIC);
	f->misc = rdmsr(MSR_VMX_MISC);
	f->cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0);
	f->cr0_fixed1 = rdmsr(MSR_VMX_CR0_FIXED1);
	f->cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0);
	f->cr4_fixed1 = rdmsr(MSR_VMX_CR4_FIXED1);

	/* SDM 3D "VM-Execution Controls" (A.3): the TRUE MSRs allow clearing some default-1 bits.
	 */
	exact = (f->basic & BASIC_TRUE_CONTROLS) != 0;
	read_control(exact ? MSR_VMX_TRUE_PINBASED_CTLS : MSR_VMX_PINBASED_CTLS, &f->must.pin,
		     &f->may.pin);
	read_control(exact ? MSR_VMX_TRUE_PROCBASED_CTLS : MSR_VMX_PROCBASED_CTLS, &f->must.proc,
		     &f->may.proc);
	read_control(exact ? MSR_VMX_TRUE_EXIT_CTLS : MSR_VMX_EXIT_CTLS, &f->must.exit,
		     &f->may.exit);
	read_control(exact ? MSR_VMX_TRUE_ENTRY_CTLS : MSR_VMX_ENTRY_CTLS, &f->must.entry,
		     &f->may.entry);

	f->must.proc2 = 0;
	f->may.proc2 = 0;
	f->ept_vpid = 0;
	if (f->may.proc & PROC_SECONDARY) {
		read_control(MSR_VMX_PROCBASED_CTLS2, &f->must.proc2, &f->may.proc2);
		if (f->may.proc2 & (PROC2_EPT | PROC2_VPID))
			f->ept_vpid = rdmsr(MSR_VMX_EPT_VPID_CAP);
	}
}

const char *vmx_enable(void)
{
	u64 control;

	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_VMX))
		return "this CPU has no VMX";
	control = rdmsr(MSR_FEATURE_CONTROL);
	if (!(control & FEATURE_CONTROL_LOCK)) {
		control |= FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
		wrmsr(MSR_FEATURE_CONTROL, control);
	}
	if (!(control & FEATURE_CONTROL_VMX_OUTSIDE_SMX))
		return "the firmware locked IA32_FEATURE_CONTROL with VMX off";

	/* SDM 3C "Enabling and Entering VMX Operation" (24.7). */
	write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | CR4_VMXE | rdmsr(MSR_VMX_CR4_FIXED0)) & rdmsr(MSR_VMX_CR4_FIXED1));
	return NULL;
}

const char *vmx_start(struct vmx_region *region)
{
	const char *refused = vmx_enable();

	if (refused)
		return refused;
	region->revision = (u32)rdmsr(MSR_VMX_BASIC) & BASIC_REVISION;
	if (vmx_vmxon((u64)region) != VMX_SUCCEED)
		return "VMXON failed";
	return NULL;
}

void vmx_stop(void)
{
	vmx_vmxoff();
	write_cr4(read_cr4() & ~CR4_VMXE);
}

enum vmx_status vmx_load_fresh(struct vmx_region *region)
{
	enum vmx_status status;

	region->revision = (u32)rdmsr(MSR_VMX_BASIC) & BASIC_REVISION;
	region->abort = 0;
	status = vmx_vmclear((u64)region);
	return status == VMX_SUCCEED ? vmx_vmptrld((u64)region) : status;
}

static bool adjust(u32 must, u32 may, u32 *control, u32 *missing)
{
	*missing = *control & ~may;
	*control |= must;
	return *missing == 0;
}

const char *vmx_adjust_controls(const struct vmx_features *f, struct vmx_controls *c, u32 *missing)
{
	if (!adjust(f->must.pin, f->may.pin, &c->pin, missing))
		return "pin-based";
	if (!adjust(f->must.proc, f->may.proc, &c->proc, missing))
		return "primary processor-based";
	if (!adjust(f->must.proc2, f->may.proc2, &c->proc2, missing))
		return "secondary processor-based";
	if (!adjust(f->must.exit, f->may.exit, &c->exit, missing))
		return "VM-exit";
	if (!adjust(f->must.entry, f->may.entry, &c->entry, missing))
		return "VM-entry";
	return NULL;
}

void vmx_write_controls(const struct vmx_controls *c)
{
	static const u32 zeroed[] = {
		VMCS_EXCEPTION_BITMAP,
		VMCS_PF_ERROR_MASK,
		VMCS_PF_ERROR_MATCH,
		VMCS_CR3_TARGET_COUNT,
		VMCS_CR0_MASK,
		VMCS_CR4_MASK,
		VMCS_CR0_SHADOW,
		VMCS_CR4_SHADOW,
		VMCS_EXIT_MSR_STORE_COUNT,
		VMCS_EXIT_MSR_LOAD_COUNT,
		VMCS_ENTRY_MSR_LOAD_COUNT,
		VMCS_ENTRY_INTR_INFO,
		VMCS_ENTRY_ERROR_CODE,
		VMCS_ENTRY_INSN_LENGTH,
	};

	vmx_set(VMCS_PIN_CONTROLS, c->pin);
	vmx_set(VMCS_PROC_CONTROLS, c->proc);
	if (c->proc & PROC_SECONDARY)
		vmx_set(VMCS_PROC_CONTROLS2, c->proc2);
	vmx_set(VMCS_EXIT_CONTROLS, c->exit);
	vmx_set(VMCS_ENTRY_CONTROLS, c->entry);
	for (size_t i = 0; i < ARRAY_SIZE(zeroed); i++)
		vmx_set(zeroed[i], 0);
}

u64 vmx_ept_pointer(const struct stage2 *ept)
{
	return (u64)ept->root | EPTP_WALK_4 | MEMTYPE_WB;
}
