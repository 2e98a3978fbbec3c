/*
 * Enabling SVM, its capabilities, the control area of a VMCB, and permission maps. Refuses by
 * returning a sentence.
 */
#include "guests/lib/svm.h"

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define CPUID_EXTENDED_MAX      0x80000000U
#define CPUID_EXTENDED_FEATURES 0x80000001U

/* MSRs that a permission map covers. */
#define MSRPM_RANGE_1 0xc0000000U
#define MSRPM_RANGE_2 0xc0010000U

_Static_assert(offsetof(struct vmcb, s.rax) == 0x5f8, "svm_switch.S");

extern svm_switch svm_switch_plain, svm_switch_gif, svm_switch_vls, svm_switch_full;

svm_switch *const svm_switches[SVM_ENTRIES] = {
	[SVM_ENTRY_PLAIN] = svm_switch_plain,
	[SVM_ENTRY_GIF] = svm_switch_gif,
	[SVM_ENTRY_VLS] = svm_switch_vls,
	[SVM_ENTRY_FULL] = svm_switch_full,
};

/* What VMSAVE saves of ours while the guest runs. */
extern struct vmcb svm_host_vls;
struct vmcb svm_host_vls;

static u8 host_save_area[PAGE_SIZE] __attribute__((aligned(4096)));

static bool has_svm(void)
{
	return cpuid(CPUID_EXTENDED_MAX, 0).eax >= CPUID_SVM_LEAF &&
	       cpuid(CPUID_EXTENDED_FEATURES, 0).ecx & CPUID_ECX_SVM;
}

void svm_read_features(struct svm_features *features)
{
	struct cpuid_regs r;

	*features = (struct svm_features){ 0 };
	if (!has_svm())
		return;
	r = cpuid(CPUID_SVM_LEAF, 0);
	*features = (struct svm_features){
		.revision = r.eax & 0xff,
		.asids = r.ebx,
		.bits = r.edx,
	};
}

const char *svm_start(void)
{
	if (!has_svm())
		return "this CPU has no SVM";
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, (u64)host_save_area);
	return NULL;
}

void svm_stop(void)
{
	svm_stgi();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
}

void svm_write_controls(struct vmcb *vmcb)
{
	memset(vmcb, 0, sizeof(*vmcb));
	vmcb->c.intercept2 = INTERCEPT2_VMRUN | INTERCEPT2_VMMCALL;
	vmcb->c.asid = 1;
}

void svm_intercept_msr(u8 *msrpm, u32 msr, bool read, bool write)
{
	u32 range = msr >= MSRPM_RANGE_2 ? 2 : msr >= MSRPM_RANGE_1 ? 1 : 0;
	u32 bit = 2 * (msr % MSRPM_RANGE);
	u8 bits = (u8)((u32)read | (u32)write << 1);

	msrpm[range * MSRPM_RANGE_BYTES + bit / 8] |= (u8)(bits << bit % 8);
}

void svm_intercept_port(u8 *iopm, u16 port)
{
	iopm[port / 8] |= (u8)(1 << port % 8);
}

void svm_use_npt(struct vmcb *vmcb, const struct stage2 *npt)
{
	vmcb->c.nested_control |= NESTED_NP_ENABLE;
	vmcb->c.ncr3 = (u64)npt->root;
	vmcb->s.g_pat = rdmsr(MSR_PAT);
}
