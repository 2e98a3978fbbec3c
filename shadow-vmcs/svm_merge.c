/*
 * vmcb13 = vmcb12 merged with vmcb23: which control comes from where, or how both are combined.
 * Pure.
 *
 * Intercepts are OR-ed. L3's state is L2's to choose. Nested paging is always on: without L2's, L3
 * runs on npt12.
 */
#include "shadow-vmcs/svm_merge.h"

/* Intercepts that exist for L2: the others are of features that it is not offered. */
#define INTERCEPT2_KNOWN ((u32)BITS(31, 0))
#define INTERCEPT3_KNOWN INTERCEPT3_INVPCID

/* APM 2 "Intercept Operation" (15.7): a bit that is set in either makes the exit. */
static void merge_intercepts(const struct svm_merge_in *in, struct vmcb_control *v13)
{
	const struct vmcb_control *a = in->v12;
	const struct vmcb_control *b = in->v23;

	v13->intercept_cr = a->intercept_cr | b->intercept_cr;
	v13->intercept_dr = a->intercept_dr | b->intercept_dr;
	v13->intercept_exceptions = a->intercept_exceptions | b->intercept_exceptions;
	v13->intercept1 = a->intercept1 | b->intercept1;
	v13->intercept2 = a->intercept2 | (b->intercept2 & INTERCEPT2_KNOWN);
	v13->intercept3 = a->intercept3 | (b->intercept3 & INTERCEPT3_KNOWN);
	/* APM 2 "TSC Ratio MSR (C000_0104h)" (15.30.5): hardware multiplies the host's counter,
	 * then adds the offset. To L3 the host is L2, whose own offset is in what is multiplied. */
	v13->tsc_offset = svm_scale_tsc(a->tsc_offset, in->tsc_ratio) + b->tsc_offset;
	v13->pause_count = b->pause_count;
	v13->pause_threshold = b->pause_threshold;
}

/* APM 2 "Virtual Interrupt Intercept", "Injecting Virtual (INTR) Interrupts" (15.21): L3's virtual
 * interrupts are L2's, and L1 has none of its own. */
static u64 merge_int_control(const struct svm_merge_in *in)
{
	u64 known = INT_V_TPR | INT_V_IRQ | INT_V_PRIO | INT_V_IGN_TPR | INT_V_MASKING | INT_VECTOR;

	if (in->features & SVM_FEATURE_VGIF)
		known |= INT_V_GIF | INT_V_GIF_ENABLE;
	return in->v23->int_control & known;
}

void svm_merge(const struct svm_merge_in *in, u32 groups, struct vmcb_control *v13)
{
	if (groups & BIT32(CLEAN_INTERCEPTS))
		merge_intercepts(in, v13);
	if (groups & (BIT32(CLEAN_INTERCEPTS) | BIT32(CLEAN_MAPS))) {
		v13->iopm_base = in->iopm13;
		v13->msrpm_base = in->msrpm13;
	}
	if (groups & BIT32(CLEAN_TPR))
		v13->int_control = merge_int_control(in);
	v13->asid = in->asid13;
	v13->ncr3 = in->ncr3_13;
	v13->nested_control = NESTED_NP_ENABLE;
	v13->virt_ext = in->features & SVM_FEATURE_LBR ? in->v23->virt_ext & VIRT_EXT_LBR : 0;
}
