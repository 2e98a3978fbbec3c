/*
 * What L2 is told of VMX: the platform's capability MSRs behind whitelists. A control is on a
 * whitelist when vmcs13 can carry it for L2; each list below is the one place that decides this.
 * Pure; assumes a platform that has passed L1's own demands.
 */
#include "shadow-vmcs/vmx_caps.h"

#include "l1-hypervisor/leaf/string.h"
#include "shadow-vmcs/vmx_bits.h"

#define OFFERED_PIN (PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI)

#define OFFERED_PROC                                                                              \
	(PROC_INTERRUPT_WINDOW | PROC_TSC_OFFSETTING | PROC_HLT | PROC_INVLPG | PROC_MWAIT |      \
	 PROC_RDPMC | PROC_RDTSC | PROC_CR3_LOAD | PROC_CR3_STORE | PROC_CR8_LOAD |               \
	 PROC_CR8_STORE | PROC_TPR_SHADOW | PROC_NMI_WINDOW | PROC_MOV_DR |                       \
	 PROC_UNCONDITIONAL_IO | PROC_IO_BITMAPS | PROC_MSR_BITMAPS | PROC_MONITOR | PROC_PAUSE | \
	 PROC_SECONDARY)

#define OFFERED_PROC2                                                                              \
	(PROC2_APIC_ACCESSES | PROC2_DESCRIPTOR_TABLE | PROC2_RDTSCP | PROC2_X2APIC | PROC2_VPID | \
	 PROC2_WBINVD | PROC2_PAUSE_LOOP_EXITING | PROC2_RDRAND | PROC2_INVPCID | PROC2_RDSEED |   \
	 PROC2_XSAVES)
#define OFFERED_PROC2_WITH_EPT (PROC2_EPT | PROC2_UNRESTRICTED_GUEST)

#define OFFERED_EXIT                                                                           \
	(EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_ACK_INTERRUPT | EXIT_SAVE_PAT | EXIT_LOAD_PAT | \
	 EXIT_SAVE_EFER | EXIT_LOAD_EFER)

#define OFFERED_ENTRY (ENTRY_LOAD_DEBUG | ENTRY_GUEST_64 | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)

#define OFFERED_EPT                                                                     \
	(EPT_CAP_EXECUTE_ONLY | EPT_CAP_WALK_4 | EPT_CAP_UC | EPT_CAP_WB | EPT_CAP_2M | \
	 EPT_CAP_1G | EPT_CAP_INVEPT | EPT_CAP_AD | EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_GLOBAL)
#define OFFERED_VPID                                                            \
	(VPID_CAP_INVVPID | VPID_CAP_ADDRESS | VPID_CAP_SINGLE | VPID_CAP_ALL | \
	 VPID_CAP_KEEP_GLOBAL)

#define OFFERED_MISC                                                                          \
	(MISC_STORES_LMA | MISC_HLT | MISC_SHUTDOWN | MISC_WAIT_FOR_SIPI | MISC_VMWRITE_ANY | \
	 MISC_INJECT_LENGTH_0)
#define OFFERED_CR3_TARGETS 4ULL

/* The default1 class: reserved controls that are 1 where no TRUE MSR says otherwise, SDM 3D
 * "Reserved Controls and Default Settings" (A.2). */
#define DEFAULT1_PIN   0x00000016U
#define DEFAULT1_PROC  0x0401e172U
#define DEFAULT1_EXIT  0x00036dffU
#define DEFAULT1_ENTRY 0x000011ffU

static void put(struct vmx_caps *caps, u32 msr, u64 value)
{
	caps->msr[msr - MSR_VMX_BASIC] = value;
}

/* One control field: both its MSRs. A default1 control may be 0 only where L1 knows its meaning. */
static void offer_controls(const struct vmx_caps *platform, u32 msr, u32 true_msr, u32 default1,
			   u32 offered, struct vmx_caps *out)
{
	u32 best = vmx_cap(platform, MSR_VMX_BASIC) & BASIC_TRUE_CONTROLS ? true_msr : msr;
	u32 must = vmx_cap_must(platform, best) | (default1 & ~offered);
	u32 may = (vmx_cap_may(platform, best) & offered) | must | default1;

	put(out, true_msr, (u64)may << 32 | must);
	put(out, msr, (u64)may << 32 | must | default1);
}

static void offer_basic(const struct vmx_caps *platform, struct vmx_caps *out)
{
	u64 kept = vmx_cap(platform, MSR_VMX_BASIC) & (BASIC_INS_OUTS | BASIC_NO_ERROR_CODE_CHECK);

	put(out, MSR_VMX_BASIC,
	    VMX_CAPS_REVISION | PAGE_SIZE << BASIC_SIZE_SHIFT |
		    (u64)MEMTYPE_WB << BASIC_MEMTYPE_SHIFT | BASIC_TRUE_CONTROLS | kept);
}

static void offer_misc(const struct vmx_caps *platform, struct vmx_caps *out)
{
	u64 misc = vmx_cap(platform, MSR_VMX_MISC);
	u64 targets = (misc & MISC_CR3_TARGETS) >> MISC_CR3_TARGETS_SHIFT;

	if (targets > OFFERED_CR3_TARGETS)
		targets = OFFERED_CR3_TARGETS;
	put(out, MSR_VMX_MISC, (misc & OFFERED_MISC) | targets << MISC_CR3_TARGETS_SHIFT);
}

static void offer_stage2(const struct vmx_caps *platform, struct vmx_caps *out)
{
	u64 platform_caps = vmx_cap(platform, MSR_VMX_EPT_VPID_CAP);
	u32 proc2 = vmx_cap_may(out, MSR_VMX_PROCBASED_CTLS2);
	u64 caps = 0;

	if (proc2 & PROC2_EPT)
		caps |= platform_caps & OFFERED_EPT;
	if (proc2 & PROC2_VPID)
		caps |= platform_caps & OFFERED_VPID;
	put(out, MSR_VMX_EPT_VPID_CAP, caps);
}

/* The highest index of any field that exists, SDM 3D "VMCS Enumeration" (A.9). */
static void offer_enumeration(struct vmx_caps *out)
{
	u32 highest = 0;

	for (int row = 0; row < VMCS_ROWS; row++) {
		u32 index = vmcs_table[row].encoding & VMCS_INDEX_MASK;

		if (vmx_caps_field_exists(out, row) && index > highest)
			highest = index;
	}
	put(out, MSR_VMX_VMCS_ENUM, highest);
}

void vmx_caps_offer(const struct vmx_caps *platform, const struct vmx_offer *what,
		    struct vmx_caps *out)
{
	u32 proc2 = OFFERED_PROC2 | (what->ept ? OFFERED_PROC2_WITH_EPT : 0);

	memset(out, 0, sizeof(*out));
	offer_basic(platform, out);
	offer_controls(platform, MSR_VMX_PINBASED_CTLS, MSR_VMX_TRUE_PINBASED_CTLS, DEFAULT1_PIN,
		       OFFERED_PIN, out);
	offer_controls(platform, MSR_VMX_PROCBASED_CTLS, MSR_VMX_TRUE_PROCBASED_CTLS, DEFAULT1_PROC,
		       OFFERED_PROC, out);
	offer_controls(platform, MSR_VMX_EXIT_CTLS, MSR_VMX_TRUE_EXIT_CTLS, DEFAULT1_EXIT,
		       OFFERED_EXIT, out);
	offer_controls(platform, MSR_VMX_ENTRY_CTLS, MSR_VMX_TRUE_ENTRY_CTLS, DEFAULT1_ENTRY,
		       OFFERED_ENTRY, out);
	put(out, MSR_VMX_PROCBASED_CTLS2,
	    (u64)(vmx_cap_may(platform, MSR_VMX_PROCBASED_CTLS2) & proc2) << 32);
	offer_misc(platform, out);
	offer_stage2(platform, out);
	for (u32 msr = MSR_VMX_CR0_FIXED0; msr <= MSR_VMX_CR4_FIXED1; msr++)
		put(out, msr, vmx_cap(platform, msr));
	offer_enumeration(out);
}

bool vmx_caps_field_exists(const struct vmx_caps *caps, int row)
{
	static const u16 msr_of_need[] = {
		[NEED_PIN] = MSR_VMX_TRUE_PINBASED_CTLS, [NEED_PROC] = MSR_VMX_TRUE_PROCBASED_CTLS,
		[NEED_PROC2] = MSR_VMX_PROCBASED_CTLS2,  [NEED_EXIT] = MSR_VMX_TRUE_EXIT_CTLS,
		[NEED_ENTRY] = MSR_VMX_TRUE_ENTRY_CTLS,
	};
	const struct vmcs_row *field = &vmcs_table[row];

	if (field->need == NEED_ALWAYS)
		return true;
	return vmx_cap_may(caps, msr_of_need[field->need]) >> field->need_bit & 1;
}

bool vmx_caps_field_is_writable(const struct vmx_caps *caps, int row)
{
	return vmcs_table[row].type != VMCS_TYPE_INFO ||
	       (vmx_cap(caps, MSR_VMX_MISC) & MISC_VMWRITE_ANY);
}

static bool exists_for(const void *caps, int row)
{
	return vmx_caps_field_exists(caps, row);
}

void vmx_caps_limit_expose(const struct vmx_caps *offered, struct vmcs_expose *set)
{
	vmcs_expose_limit(set, exists_for, offered);
}
