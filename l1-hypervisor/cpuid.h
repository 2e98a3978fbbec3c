/*
 * What L2 sees by CPUID: the machine's own answers, except what depends on state that L1 switches,
 * what is offered of VMX or SVM, what L2 does not have (see vmx/vmx_msr.c, svm/svm_msr.c), and
 * Nestbed's signature.
 */
#ifndef L1_CPUID_H
#define L1_CPUID_H

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/regs.h"
#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/svm_caps.h"

/* The state of the guest that CPUID's answer depends on. */
struct cpuid_view {
	u64 cr4;
	bool code64; /* it runs in 64-bit mode */
	bool nested; /* it may use VMX or SVM */
	bool apic_is_off;
	const struct svm_caps *svm; /* what of SVM L2 is offered; NULL under VMX */
};

/* Whether the processor's own answer for a leaf is L2's. That of every other leaf goes through
 * cpuid_answer(). */
static inline __attribute__((always_inline)) bool cpuid_is_plain(u32 leaf)
{
	return leaf < 64 && !((BIT(1) | BIT(7)) & BIT(leaf));
}

/* Whether the platform says that it is Linux's KVM. */
bool cpuid_kvm_is_below(void);

/* Executes CPUID on a guest's registers for a plain leaf; like the instruction, it clears their
 * upper halves. */
static inline __attribute__((always_inline)) void cpuid_execute(u64 *r)
{
	__asm__ volatile("cpuid"
			 : "=a"(r[REG_RAX]), "=b"(r[REG_RBX]), "=c"(r[REG_RCX]), "=d"(r[REG_RDX])
			 : "a"(r[REG_RAX]), "c"(r[REG_RCX]));
}

/* The same for any other leaf: what L2 is to see goes to the guest's registers. */
void cpuid_answer(u64 *r, const struct cpuid_view *view);

#endif
