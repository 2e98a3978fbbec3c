/*
 * What CPUID tells of SVM (leaf 8000_000A): the platform's answer, and the one that L2 gets, which
 * is the platform's behind a whitelist, and what L1 does for L2 whether the platform can or not.
 * Pure; reading CPUID is the core's.
 */
#ifndef SHADOW_VMCS_SVM_CAPS_H
#define SHADOW_VMCS_SVM_CAPS_H

#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/svm_bits.h"

/* EAX of the leaf: the revision of SVM that L2 is told. */
#define SVM_CAPS_REVISION 1U

struct svm_caps {
	bool svm;     /* 8000_0001 ECX: without it the rest is zero */
	u32 asids;    /* EBX: ASIDs are below this number; 0 is the host's */
	u32 features; /* EDX: SVM_FEATURE_... */
};

/* What L2 is to be offered beyond what always is. */
struct svm_offer {
	bool npt; /* nested paging */
};

static inline bool svm_has(const struct svm_caps *caps, u32 features)
{
	return (caps->features & features) == features;
}

/* Makes *out, what L2 is told, from the platform's; nothing on a platform without SVM, or without
 * an ASID for L2's guests. The last ASID is missing because L2 itself runs on one of hardware's. */
void svm_caps_offer(const struct svm_caps *platform, const struct svm_offer *what,
		    struct svm_caps *out);

#endif
