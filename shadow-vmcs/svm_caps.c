/*
 * What L2 is told of SVM: the lists below are the one place that decides it. Left out are AVIC
 * and virtual VMLOAD and VMSAVE, which vmcb13 does not carry for L2, and the SVM lock, whose MSR
 * SVM_KEY L2 does not have. Pure.
 */
#include "shadow-vmcs/svm_caps.h"

/* Done by L1, on any platform: clean bits say what it need not merge, an ASID of L2's is flushed by
 * dropping what was merged for it. */
#define OFFERED_ALWAYS (SVM_FEATURE_CLEAN_BITS | SVM_FEATURE_FLUSH_BY_ASID)

/* Handed on from a platform that has them. */
#define OFFERED                                                                                \
	(SVM_FEATURE_LBR | SVM_FEATURE_NRIPS | SVM_FEATURE_DECODE | SVM_FEATURE_PAUSE_FILTER | \
	 SVM_FEATURE_PAUSE_THRESHOLD | SVM_FEATURE_VGIF | SVM_FEATURE_TSC_RATIO |              \
	 SVM_FEATURE_ADDR_CHK)
#define OFFERED_WITH_NPT SVM_FEATURE_NPT

/* The host's, L2's and one for its guests. */
#define ASIDS_MIN 3U
/* What fits into a root pointer beside the table (nested-ept/npt.h). */
#define ASIDS_MAX 4096U

void svm_caps_offer(const struct svm_caps *platform, const struct svm_offer *what,
		    struct svm_caps *out)
{
	u32 handed_on = OFFERED | (what->npt ? OFFERED_WITH_NPT : 0);

	*out = (struct svm_caps){ 0 };
	if (!platform->svm || platform->asids < ASIDS_MIN)
		return;
	out->svm = true;
	out->features = OFFERED_ALWAYS | (platform->features & handed_on);
	out->asids = platform->asids - 1 < ASIDS_MAX ? platform->asids - 1 : ASIDS_MAX;
}
