/*
 * vmcb13 = vmcb12 merged with vmcb23: the inputs of the merge that are no fields of L2's, and the
 * functions that svm_entry.c calls. Pure.
 */
#ifndef SHADOW_VMCS_SVM_MERGE_H
#define SHADOW_VMCS_SVM_MERGE_H

#include "shadow-vmcs/svm_nested.h"

struct svm_merge_in {
	const struct vmcb_control *v12; /* what L1 asks for under L2 */
	const struct vmcb_control *v23; /* L2's, copied and checked */
	u32 features;                   /* SVM_FEATURE_... that L2 was offered */
	u32 asid13;
	u64 ncr3_13;
	u64 iopm13, msrpm13;
	u64 tsc_ratio; /* of L2 for L3; TSC_RATIO_ONE without that feature */
};

/* What a time-stamp counter, or a difference of two, is for a guest with this ratio. */
static inline u64 svm_scale_tsc(u64 ticks, u64 ratio)
{
	return (u64)((__int128)(int64_t)ticks * (__int128)ratio >> TSC_RATIO_FRACTION);
}

/* What every entry brings: L2's event, its interrupt shadow. */
static inline void svm_merge_run(const struct vmcb_control *v23, struct vmcb_control *v13)
{
	v13->int_state = v23->int_state & INT_STATE_SHADOW;
	v13->event_injection = v23->event_injection;
}

/* Fills the control fields of `groups` (bits of enum vmcb_group) in v13; nested_control and
 * virt_ext with any of them. L3's state is in vmcb13 already. */
void svm_merge(const struct svm_merge_in *in, u32 groups, struct vmcb_control *v13);

#endif
