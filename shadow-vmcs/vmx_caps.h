/*
 * The VMX capability MSRs (0x480..0x491): those of the platform, and those that L2 is told, which
 * are the platform's behind a whitelist. What is not on the whitelist does not exist for L2: its
 * controls are reserved and its fields are not there. Pure.
 */
#ifndef SHADOW_VMCS_VMX_CAPS_H
#define SHADOW_VMCS_VMX_CAPS_H

#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmcs_fields.h"

#define VMX_CAPS_MSRS (MSR_VMX_VMFUNC - MSR_VMX_BASIC + 1)

/* The VMCS revision identifier that L2 is told: the format of vmcs23 is Nestbed's own. */
#define VMX_CAPS_REVISION 0x4e425601U

/* Images of the MSRs; one that the platform lacks is zero. */
struct vmx_caps {
	u64 msr[VMX_CAPS_MSRS];
};

/* What L2 is to be offered beyond what always is. */
struct vmx_offer {
	bool ept; /* EPT and unrestricted guest */
};

static inline u64 vmx_cap(const struct vmx_caps *caps, u32 msr)
{
	return caps->msr[msr - MSR_VMX_BASIC];
}

/* The controls that must be 1 (allowed 0-settings), and those that may be (allowed 1-settings), in
 * a capability MSR of a control field. */
static inline u32 vmx_cap_must(const struct vmx_caps *caps, u32 msr)
{
	return (u32)vmx_cap(caps, msr);
}

static inline u32 vmx_cap_may(const struct vmx_caps *caps, u32 msr)
{
	return (u32)(vmx_cap(caps, msr) >> 32);
}

/*
 * Makes *out, what L2 is told, from the platform's MSRs. The TRUE MSRs are always there in *out,
 * also on a platform without them.
 */
void vmx_caps_offer(const struct vmx_caps *platform, const struct vmx_offer *what,
		    struct vmx_caps *out);

/* Whether a field exists for who is told these capabilities; they must have the TRUE MSRs. */
bool vmx_caps_field_exists(const struct vmx_caps *caps, int row);

/* Whether VMWRITE may name this field, which exists: the read-only ones need a capability. */
bool vmx_caps_field_is_writable(const struct vmx_caps *caps, int row);

/* Takes out of a set for hardware shadowing what does not exist for L2, so that L1 sees it fail. */
void vmx_caps_limit_expose(const struct vmx_caps *offered, struct vmcs_expose *set);

#endif
