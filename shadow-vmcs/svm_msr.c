/*
 * The MSRs of SVM as L2 has them. EFER.SVME is always set in hardware's EFER of a guest, so L2's
 * own is kept here. APM 2 "SVM Related MSRs" (15.30).
 */
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/svm_hw.h"
#include "shadow-vmcs/svm_nested.h"

bool svm_svme(const struct svm_nested *n)
{
	return *n->level == 2 ? n->svme : !n->current->svme_is_off;
}

static u64 efer(const struct svm_nested *n)
{
	return n->run->vmcb->s.efer & ~(svm_svme(n) ? 0 : EFER_SVME);
}

/* APM 2 "Extended Feature Enable Register (EFER)" (3.1.7): a reserved bit is #GP, and so is a
 * change of LME while paging is on; LMA is the processor's. */
static bool write_efer(struct svm_nested *n, u64 value)
{
	struct vmcb *vmcb = n->run->vmcb;
	u64 old = vmcb->s.efer;
	u64 allowed = n->env.efer_allowed & ~(n->enabled ? 0 : EFER_SVME);

	if (value & ~allowed)
		return false;
	if (((value ^ old) & EFER_LME) && (vmcb->s.cr0 & CR0_PG))
		return false;
	/* "VM_CR MSR": with SVMDIS set, SVME must be zero. */
	if ((value & EFER_SVME) && (n->vm_cr & VM_CR_SVMDIS))
		return false;
	if (*n->level == 2)
		n->svme = value & EFER_SVME;
	else
		n->current->svme_is_off = !(value & EFER_SVME);
	vmcb->s.efer = (value & ~EFER_LMA) | (old & EFER_LMA) | EFER_SVME;
	svm_changed(vmcb, CLEAN_CR);
	return true;
}

/* APM 2 "VM_CR MSR (C001_0114h)" (15.30.1): LOCK makes LOCK and SVMDIS read-only; SVMDIS cannot be
 * set while SVM is in use. */
static bool write_vm_cr(struct svm_nested *n, u64 value)
{
	u64 locked = n->vm_cr & VM_CR_LOCK ? VM_CR_LOCK | VM_CR_SVMDIS : 0;

	if (value & VM_CR_RESERVED)
		return false;
	value = (value & ~locked) | (n->vm_cr & locked);
	if ((value & VM_CR_SVMDIS) && n->svme)
		return false;
	n->vm_cr = value;
	return true;
}

/* APM 2 "VM_HSAVE_PA MSR (C001_0117h)" (15.30.4). What L2 finds in that page means nothing: its
 * state is kept in vmcb12. */
static bool write_hsave(struct svm_nested *n, u64 value)
{
	if (value & (PAGE_MASK | ~BITS(n->core->physical_bits - 1, 0)))
		return false;
	n->hsave_pa = value;
	return true;
}

static bool has_tsc_ratio(const struct svm_nested *n)
{
	return n->enabled && svm_has(&n->offered, SVM_FEATURE_TSC_RATIO);
}

/* The slots' offsets are made for the old one. L3, if it may write it, runs on with the new one. */
static bool write_tsc_ratio(struct svm_nested *n, u64 value)
{
	if (!has_tsc_ratio(n) || (value & TSC_RATIO_RESERVED))
		return false;
	n->tsc_ratio = value;
	n->scales = value != TSC_RATIO_ONE;
	svm_slot_forget_all(n);
	if (*n->level == 3)
		svm_tsc_ratio_write(value);
	return true;
}

bool svm_rdmsr(struct svm_nested *n, u32 msr, u64 *value, bool *ok)
{
	*ok = true;
	switch (msr) {
	case MSR_EFER:
		*value = efer(n);
		return true;
	case MSR_VM_CR:
		*ok = n->has_vm_cr;
		*value = n->enabled ? n->vm_cr : VM_CR_LOCK | VM_CR_SVMDIS;
		return true;
	case MSR_VM_HSAVE_PA:
		*ok = n->enabled;
		*value = n->hsave_pa;
		return true;
	case MSR_TSC_RATIO:
		*ok = has_tsc_ratio(n);
		*value = n->tsc_ratio;
		return true;
	/* Of features that L2 is not offered. */
	case MSR_SMM_CTL:
	case MSR_SVM_KEY:
		*ok = false;
		return true;
	default:
		return false;
	}
}

bool svm_wrmsr(struct svm_nested *n, u32 msr, u64 value, bool *ok)
{
	switch (msr) {
	case MSR_EFER:
		*ok = write_efer(n, value);
		return true;
	case MSR_VM_CR:
		*ok = n->has_vm_cr && n->enabled && write_vm_cr(n, value);
		return true;
	case MSR_VM_HSAVE_PA:
		*ok = n->enabled && write_hsave(n, value);
		return true;
	case MSR_TSC_RATIO:
		*ok = write_tsc_ratio(n, value);
		return true;
	case MSR_SMM_CTL:
	case MSR_SVM_KEY:
		*ok = false;
		return true;
	default:
		return false;
	}
}
