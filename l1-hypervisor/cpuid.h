/*
 * What L2 sees by CPUID: the machine's own answers, except what depends on state that L1 switches,
 * the VMX bit with nested=off, and Nestbed's signature.
 */
#ifndef L1_CPUID_H
#define L1_CPUID_H

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/types.h"

/* The state of the guest that CPUID's answer depends on. */
struct cpuid_view {
	u64 cr4;
	bool code64; /* it runs in 64-bit mode */
	bool nested; /* it may use VMX or SVM */
};

/* Whether the processor's own answer for a leaf has to be changed. */
static inline bool cpuid_is_changed(u32 leaf)
{
	if (likely(leaf < 64))
		return (BIT(1) | BIT(7)) >> leaf & 1;
	return leaf == 0x80000001 || leaf - NB_CPUID_BASE < 0x100;
}

void cpuid_change(u32 leaf, const struct cpuid_view *view, struct cpuid_regs *out);

#endif
