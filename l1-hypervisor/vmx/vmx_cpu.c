/*
 * VMX on one CPU: whether it can be used, VMXON, VMCS regions, control words. See vmx.h.
 */
#include "l1-hypervisor/vmx/vmx.h"

#include "l1-hypervisor/exceptions.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/cpu.h"
#include "nested-ept/ept.h"
#include "shadow-vmcs/vmcs_hw.h"

#define CPUID_1_ECX_VMX  BIT(5)
#define SHADOW_INDICATOR BIT32(31)

static struct vmx_caps platform;

const struct vmx_caps *vmx_platform(void)
{
	return &platform;
}

static u64 capability(u32 msr)
{
	return platform.msr[msr - MSR_VMX_BASIC];
}

static bool offers2(u32 bit)
{
	return (capability(MSR_VMX_PROCBASED_CTLS2) >> 32) & bit;
}

/* The TRUE register where there is one: it tells of fewer bits that must be 1. */
u32 vmx_controls(u32 msr, u32 wanted)
{
	u64 allowed;

	if ((capability(MSR_VMX_BASIC) & BASIC_TRUE_CONTROLS) && msr <= MSR_VMX_ENTRY_CTLS)
		msr += MSR_VMX_TRUE_PINBASED_CTLS - MSR_VMX_PINBASED_CTLS;
	allowed = capability(msr);
	return (u32)((wanted & (allowed >> 32)) | (u32)allowed);
}

static void read_capabilities(void)
{
	bool secondary, true_controls;

	for (u32 msr = MSR_VMX_BASIC; msr <= MSR_VMX_VMCS_ENUM; msr++)
		platform.msr[msr - MSR_VMX_BASIC] = rdmsr(msr);
	true_controls = capability(MSR_VMX_BASIC) & BASIC_TRUE_CONTROLS;
	secondary = (capability(MSR_VMX_PROCBASED_CTLS) >> 32) & PROC_SECONDARY;
	for (u32 msr = MSR_VMX_PROCBASED_CTLS2; secondary && msr <= MSR_VMX_EPT_VPID_CAP; msr++)
		(void)rdmsr_safe(msr, &platform.msr[msr - MSR_VMX_BASIC]);
	for (u32 msr = MSR_VMX_TRUE_PINBASED_CTLS; true_controls && msr <= MSR_VMX_TRUE_ENTRY_CTLS;
	     msr++)
		platform.msr[msr - MSR_VMX_BASIC] = rdmsr(msr);
	if (secondary && offers2(PROC2_VMFUNC))
		(void)rdmsr_safe(MSR_VMX_VMFUNC, &platform.msr[MSR_VMX_VMFUNC - MSR_VMX_BASIC]);
}

bool vmx_ways_possible(const struct ways *ways, struct refusal *why)
{
	if (ways->vmcs == WAY_VMCS_SHADOW && !offers2(PROC2_VMCS_SHADOWING))
		return refuse(why, "vmcs=shadow needs VMCS shadowing, which this CPU lacks; use "
				   "vmcs=trap");
	if (ways->vmcs == WAY_VMCS_SHADOW && !(capability(MSR_VMX_MISC) & MISC_VMWRITE_ANY))
		return refuse(why, "vmcs=shadow needs VMWRITE to read-only fields, which this CPU "
				   "lacks; use vmcs=trap");
	if (ways->tlb == WAY_TLB_VPID && !offers2(PROC2_VPID))
		return refuse(why, "tlb=vpid needs VPID, which this CPU lacks; use tlb=flush");
	return true;
}

bool vmx_is_there(void)
{
	return cpuid(1, 0).ecx & CPUID_1_ECX_VMX;
}

bool vmx_probe(const struct options *options, struct refusal *why)
{
	u64 feature_control;

	if (!rdmsr_safe(MSR_FEATURE_CONTROL, &feature_control) ||
	    ((feature_control & FEATURE_CONTROL_LOCK) &&
	     !(feature_control & FEATURE_CONTROL_VMX_OUTSIDE_SMX)))
		return refuse(why, "VMX is locked off by the firmware; switch it on there");
	read_capabilities();
	if (!offers2(PROC2_EPT))
		return refuse(why, "Nestbed needs EPT, which this CPU lacks");
	if (!offers2(PROC2_UNRESTRICTED_GUEST))
		return refuse(why, "Nestbed needs unrestricted guest, which this CPU lacks");
	return vmx_ways_possible(&options->ways, why);
}

struct hw_vmcs vmx_region_new(bool shadow)
{
	u32 *region = memory_pages(1);
	struct hw_vmcs hw = { .region = physical_of(region), .enter = vmx_launch };

	*region = (u32)(capability(MSR_VMX_BASIC) & BASIC_REVISION) |
		  (shadow ? SHADOW_INDICATOR : 0);
	assert(vmclear_raw(hw.region));
	return hw;
}

u32 vmx_physical_bits(void)
{
	return cpuid(0x80000008, 0).eax & 0xff;
}

void vmx_machine_init(const struct memory_map *map)
{
	u64 caps = capability(MSR_VMX_EPT_VPID_CAP);
	u32 max_shift = NEPT_SHIFT_4K;

	if (caps & EPT_CAP_1G)
		max_shift = NEPT_SHIFT_1G;
	else if (caps & EPT_CAP_2M)
		max_shift = NEPT_SHIFT_2M;
	/* The entry stubs use the stack pointer for other things. */
	exceptions_use_nmi_stack();
	stage2_init(&nept_format_ept, map, max_shift, vmx_physical_bits());
}

void vmx_forget_translations(void)
{
	invept_raw(INVEPT_GLOBAL, 0);
	if (offers2(PROC2_VPID))
		invvpid_raw(INVVPID_ALL, 0, 0);
}

void vmx_cpu_enable(void)
{
	u32 *region = memory_pages(1);
	pa1_t at = physical_of(region);
	bool failed;

	if (!(rdmsr(MSR_FEATURE_CONTROL) & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_FEATURE_CONTROL, FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX);
	write_cr0((read_cr0() | capability(MSR_VMX_CR0_FIXED0)) & capability(MSR_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | capability(MSR_VMX_CR4_FIXED0)) & capability(MSR_VMX_CR4_FIXED1));
	*region = (u32)(capability(MSR_VMX_BASIC) & BASIC_REVISION);
	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(at.v) : "memory");
	assert(!failed);
	vmx_forget_translations();
}
