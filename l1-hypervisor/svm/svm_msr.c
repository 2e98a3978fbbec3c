/*
 * Accesses of guests to MSRs that exit: those of SVM, which the nested core answers, those that L2
 * does not have, and those that no permission map covers, which are the machine's.
 */
#include "l1-hypervisor/apic.h"
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/startup.h"
#include "l1-hypervisor/svm/svm.h"
#include "shadow-vmcs/svm_maps.h"
#include "shadow-vmcs/svm_merge.h"

#define MSR_KVM_WALL_CLOCK  0x11U
#define MSR_KVM_SYSTEM_TIME 0x12U
#define MSR_SYSCFG          0xc0010010U
#define MSR_IORR_BASE0      0xc0010016U
#define MSR_IORR_MASK0      0xc0010017U
#define MSR_IORR_BASE1      0xc0010018U
#define MSR_IORR_MASK1      0xc0010019U
#define MSR_TOP_MEM         0xc001001aU
#define MSR_TOP_MEM2        0xc001001dU
#define MSR_MMIO_CFG_BASE   0xc0010058U
#define MSR_SMM_BASE        0xc0010111U
#define MSR_SMM_ADDR        0xc0010112U
#define MSR_SMM_MASK        0xc0010113U

#define MSR_LAST_BRANCH_FROM    0x1dbU
#define MSR_LAST_BRANCH_TO      0x1dcU
#define MSR_LAST_EXCEPTION_FROM 0x1ddU
#define MSR_LAST_EXCEPTION_TO   0x1deU

/* APM 2 "MTRRs": MtrrFixDramEn, MtrrFixDramModEn, which operating systems write. The other bits
 * switch parts of the memory on and off, and its encryption. */
#define SYSCFG_OF_L2 BITS(19, 18)
/* APM 2 "Debug-Control MSR (DebugCtl)" (13.1.1.6): LBR, BTF, and four pins. */
#define DEBUGCTL_KNOWN BITS(5, 0)

#define MSR_READ  1U
#define MSR_WRITE 2U

/* L2's accesses to these exit. First what the nested core and this file answer for; then what
 * writes to memory past npt12 at an address of L2's choice (the clock that a KVM below has), moves
 * memory away from under L1, or lets L2 choose code that runs in system-management mode. */
static const struct {
	u32 msr, exits;
	bool is_withheld;
} intercepts[] = {
	{ MSR_EFER, MSR_READ | MSR_WRITE, false },
	{ MSR_VM_CR, MSR_READ | MSR_WRITE, false },
	{ MSR_VM_HSAVE_PA, MSR_READ | MSR_WRITE, false },
	{ MSR_SVM_KEY, MSR_READ | MSR_WRITE, false },
	{ MSR_SMM_CTL, MSR_READ | MSR_WRITE, false },
	{ MSR_TSC_RATIO, MSR_READ | MSR_WRITE, false },
	{ MSR_APIC_BASE, MSR_WRITE, false },
	{ MSR_SYSCFG, MSR_WRITE, false },
	{ MSR_KVM_WALL_CLOCK, MSR_READ | MSR_WRITE, true },
	{ MSR_KVM_SYSTEM_TIME, MSR_READ | MSR_WRITE, true },
	{ MSR_IORR_BASE0, MSR_WRITE, true },
	{ MSR_IORR_MASK0, MSR_WRITE, true },
	{ MSR_IORR_BASE1, MSR_WRITE, true },
	{ MSR_IORR_MASK1, MSR_WRITE, true },
	{ MSR_TOP_MEM, MSR_WRITE, true },
	{ MSR_TOP_MEM2, MSR_WRITE, true },
	{ MSR_MMIO_CFG_BASE, MSR_WRITE, true },
	{ MSR_SMM_BASE, MSR_WRITE, true },
	{ MSR_SMM_ADDR, MSR_WRITE, true },
	{ MSR_SMM_MASK, MSR_WRITE, true },
};

static void set_exits(u8 *msrpm, u32 msr, u32 exits, bool on)
{
	u32 bit;

	if (!svm_msrpm_bit(msr, &bit))
		return;
	msrpm[bit / 8] &= (u8) ~(exits << bit % 8);
	if (on)
		msrpm[bit / 8] |= (u8)(exits << bit % 8);
}

void svm_intercept_msrs(u8 *msrpm)
{
	for (u32 i = 0; i < ARRAY_SIZE(intercepts); i++)
		set_exits(msrpm, intercepts[i].msr, intercepts[i].exits, true);
	if (startup_is_watched())
		set_exits(msrpm, MSR_X2APIC_ICR, MSR_WRITE, true);
}

/* Outside of the maps' ranges there are only MSRs of a hypervisor below. */
static bool is_withheld(u32 msr, u32 access)
{
	u32 bit;

	for (u32 i = 0; i < ARRAY_SIZE(intercepts); i++)
		if (msr == intercepts[i].msr)
			return intercepts[i].is_withheld && (intercepts[i].exits & access);
	return !svm_msrpm_bit(msr, &bit);
}

/* The branch records of an L3 for which L2 has switched on their virtualization: hardware has L2's
 * own while L1 runs. False for another MSR or guest. APM 2 "LBR Virtualization" (15.23). */
static bool branch_record(const struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct vmcb *vmcb = vcpu->run.vmcb;

	if (!(vmcb->c.virt_ext & VIRT_EXT_LBR))
		return false;
	switch (msr) {
	case MSR_DEBUGCTL:
		*value = vmcb->s.debugctl;
		return true;
	case MSR_LAST_BRANCH_FROM:
		*value = vmcb->s.br_from;
		return true;
	case MSR_LAST_BRANCH_TO:
		*value = vmcb->s.br_to;
		return true;
	case MSR_LAST_EXCEPTION_FROM:
		*value = vmcb->s.last_excp_from;
		return true;
	case MSR_LAST_EXCEPTION_TO:
		*value = vmcb->s.last_excp_to;
		return true;
	default:
		return false;
	}
}

/* The processor has its own value of some MSRs of a guest's while L1 runs; what it would have given
 * the guest is in the VMCB, or where the entry stub has it. */
static bool read_machine(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct svm_nested *n = &svm_of(vcpu)->nested;
	const struct vmcb *vmcb = vcpu->run.vmcb;

	if (branch_record(vcpu, msr, value))
		return true;
	switch (msr) {
	case MSR_APIC_BASE:
		*value = vcpu->apic_base.value;
		return vcpu->apic_base.is_off || rdmsr_safe(msr, value);
	case MSR_GS_BASE:
		*value = vcpu->run.gs_guest;
		return true;
	case MSR_PAT:
		*value = vmcb->s.g_pat;
		return true;
	case MSR_TSC:
		*value = svm_scale_tsc(rdtsc(), vcpu->level == 3 ? n->tsc_ratio : TSC_RATIO_ONE) +
			 vmcb->c.tsc_offset;
		return true;
	default:
		return !is_withheld(msr, MSR_READ) && rdmsr_safe(msr, value);
	}
}

static bool write_apic_base(struct vcpu *vcpu, u64 value)
{
	if (!apic_base_write(&vcpu->apic_base, value, svm_physical_bits()))
		return false;
	set_exits(svm_of(vcpu)->nested.maps.msrpm12, MSR_APIC_BASE, MSR_READ,
		  vcpu->apic_base.is_off);
	return true;
}

/* Whether the processor takes the value is tried on its own. */
static bool write_pat(struct vmcb *vmcb, u64 value)
{
	u64 ours = rdmsr(MSR_PAT);

	if (!wrmsr_safe(MSR_PAT, value))
		return false;
	wrmsr(MSR_PAT, ours);
	vmcb->s.g_pat = value;
	svm_changed(vmcb, CLEAN_NP);
	return true;
}

/* Only what is recorded can be chosen, the records are the processor's. */
static bool write_branch_record(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct vmcb *vmcb = vcpu->run.vmcb;

	if (msr != MSR_DEBUGCTL || (value & ~DEBUGCTL_KNOWN))
		return false;
	vmcb->s.debugctl = value;
	svm_changed(vmcb, CLEAN_LBR);
	return true;
}

static bool write_syscfg(u64 value)
{
	u64 old;

	return rdmsr_safe(MSR_SYSCFG, &old) &&
	       wrmsr_safe(MSR_SYSCFG, (old & ~SYSCFG_OF_L2) | (value & SYSCFG_OF_L2));
}

static bool write_machine(struct vcpu *vcpu, u32 msr, u64 value)
{
	u64 recorded;

	if (branch_record(vcpu, msr, &recorded))
		return write_branch_record(vcpu, msr, value);
	switch (msr) {
	case MSR_APIC_BASE:
		return write_apic_base(vcpu, value);
	case MSR_X2APIC_ICR:
		return (apic_is_x2apic() && startup_icr_write(value)) || wrmsr_safe(msr, value);
	case MSR_GS_BASE:
		if (!is_canonical(value, vcpu->run.vmcb->s.cr4 & CR4_LA57 ? 57 : 48))
			return false;
		vcpu->run.gs_guest = value;
		return true;
	case MSR_PAT:
		return write_pat(vcpu->run.vmcb, value);
	case MSR_SYSCFG:
		return write_syscfg(value);
	default:
		return !is_withheld(msr, MSR_WRITE) && wrmsr_safe(msr, value);
	}
}

static enum outcome read_msr(struct vcpu *vcpu, u32 msr)
{
	u64 *r = vcpu->regs.r;
	u64 value = 0;
	bool ok;

	if (!svm_rdmsr(&svm_of(vcpu)->nested, msr, &value, &ok))
		ok = read_machine(vcpu, msr, &value);
	if (!ok)
		return svm_fault(vcpu, EXC_GP, true, 0);
	r[REG_RAX] = (u32)value;
	r[REG_RDX] = value >> 32;
	return OUTCOME_ADVANCE;
}

static enum outcome write_msr(struct vcpu *vcpu, u32 msr)
{
	struct svm_vcpu *v = svm_of(vcpu);
	const u64 *r = vcpu->regs.r;
	u64 value = r[REG_RDX] << 32 | (u32)r[REG_RAX];
	bool svme = v->nested.svme;
	bool ok;

	if (!svm_wrmsr(&v->nested, msr, value, &ok))
		ok = write_machine(vcpu, msr, value);
	if (!ok)
		return svm_fault(vcpu, EXC_GP, true, 0);
	if (v->nested.svme != svme)
		svm_vmcb12_ways(v);
	return OUTCOME_ADVANCE;
}

enum outcome svm_handle_msr(struct vcpu *vcpu, u32 exit)
{
	u32 msr = (u32)vcpu->regs.r[REG_RCX];

	if (!svm_find_end(vcpu, exit))
		return OUTCOME_RESUME;
	return vcpu->run.vmcb->c.exit_info1 & 1 ? write_msr(vcpu, msr) : read_msr(vcpu, msr);
}
