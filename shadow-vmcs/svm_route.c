/*
 * The question "does L2 want this exit of L3?". An exit that L2 does not want was caused by L1's
 * own intercepts, and L1 serves it for L3.
 */
#include "shadow-vmcs/svm_exits.h"
#include "shadow-vmcs/svm_maps.h"

/* Whether L2 set the intercept of this exit. */
static inline bool is_intercepted(const struct vmcb_control *v23, u32 exit)
{
	u32 word;

	__builtin_memcpy(&word, &v23->bytes[exit / 32 * sizeof(word)], sizeof(word));
	return word >> (exit % 32) & 1;
}

static bool wants_port(const struct svm_nested *n, u64 info)
{
	return svm_l2_wants_port(n, (u16)(info >> IOIO_PORT_SHIFT),
				 (u32)(info & IOIO_SIZE) >> IOIO_SIZE_SHIFT);
}

/* APM 3, each instruction of SVM but VMMCALL: #UD while EFER.SVME is clear and #GP at another CPL
 * than 0 come before the intercept. Hardware's SVME is always set, and a KVM below does not ask for
 * the CPL. */
static bool faults_first(const struct svm_nested *n, u32 exit)
{
	bool is_svm = exit == SVM_EXIT_INVLPGA || exit == SVM_EXIT_VMRUN ||
		      (exit >= SVM_EXIT_VMLOAD && exit <= SVM_EXIT_SKINIT);

	return is_svm && (!svm_svme(n) || n->run->vmcb->s.cpl);
}

bool svm_l2_wants(const struct svm_nested *n, u32 exit)
{
	const struct vmcb_control *v13 = &n->current->vmcb13.vmcb->c;

	if (unlikely(exit >= SVM_CODES_WITH_BIT))
		/* A miss in the merged table is L1's to look into; what else is there only L2 can
		 * have asked for. */
		return exit != SVM_EXIT_NPF;
	if (!is_intercepted(&n->current->v23, exit))
		return false;
	/* The first of those that ask for more than the bit. */
	if (likely(exit < SVM_EXIT_INVLPGA))
		return true;
	if (exit == SVM_EXIT_MSR)
		return svm_l2_wants_msr(n, (u32)n->regs->r[REG_RCX], v13->exit_info1 & 1);
	if (exit == SVM_EXIT_IOIO)
		return wants_port(n, v13->exit_info1);
	return !faults_first(n, exit);
}
