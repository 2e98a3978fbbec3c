/*
 * The checks of VMRUN (APM 2 "VMRUN Instruction" (15.5)), on the copy of L2's VMCB that L1 goes on
 * to use. Pure. What is asked again is what may have changed: rules whose fields lie in groups that
 * are as they were when the last check passed are skipped. Every rule is quoted in
 * svm_check_rules.def. All failures look the same to L2: the exit code is VMEXIT_INVALID.
 */
#ifndef SHADOW_VMCS_SVM_CHECK_H
#define SHADOW_VMCS_SVM_CHECK_H

#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/svm_bits.h"
#include "shadow-vmcs/vmcb.h"

/* A section of the manual. */
struct svm_area {
	const char *title;
	const char *number;
};

/* A rule, and where the manual states it. */
struct svm_rule {
	const char *text;
	const struct svm_area *area;
};

enum svm_rule_id {
	SVM_RULE_NONE, /* all rules hold */
#define SVM_RULE(ID, AREA, text) SVM_RULE_##ID,
#include "shadow-vmcs/svm_check_rules.def"
	SVM_RULE_COUNT,
};

/* By enum svm_rule_id; the row of SVM_RULE_NONE is empty. */
extern const struct svm_rule svm_rules[SVM_RULE_COUNT];

/* What a check came to: the rule that fails first, or NULL. */
struct svm_verdict {
	const struct svm_rule *rule;
};

/* What the rules need to know besides the VMCB. */
struct svm_check_env {
	u64 physical_reserved; /* the address bits at and beyond L2's physical-address width */
	u64 cr4_allowed;       /* the bits that CR4 has for L2 */
	u64 efer_allowed;      /* the bits that EFER has for L2, SVME with them */
	u32 asids;             /* that L2 was told of */
	/* L2's own paging at its VMRUN, which is also that of its nested tables. */
	bool host_paging;    /* CR0.PG */
	bool host_long_mode; /* EFER.LMA */
};

/*
 * Whether all rules hold, in the manual's order; describes the first that does not in *verdict.
 * `groups` has bit G (enum vmcb_group) set for each group that changed since this last was true for
 * this VMCB; all ones when it never was. VMCB_ALWAYS stands for nested_control, and for what *env
 * says of L2's own paging; event_injection is always looked at. Rules of a stale group look at
 * fields of others too; they must be true there: CR0, CR4, EFER and CS for each other.
 */
bool svm_check(const struct vmcb_control *c, const struct vmcb_save *s,
	       const struct svm_check_env *env, u32 groups, struct svm_verdict *verdict);

/* The vectors below 32 that are exceptions (APM 2 "Vectors" (8.2)); 2 is NMI. */
#define SVM_EXCEPTIONS \
	((u32)(BITS(1, 0) | BITS(8, 3) | BITS(14, 10) | BITS(19, 16) | BIT(21) | BITS(30, 28)))

/* The rules on an event to inject, for an entry with nothing new but that and what has no rules:
 * APM 2 "Event Injection" (15.20). */
static inline bool svm_event_is_legal(u64 event)
{
	u64 type = event & EVENT_TYPE;
	u64 vector = event & EVENT_VECTOR;

	if (likely(!(event & EVENT_VALID)))
		return true;
	if (type == EVENT_TYPE_EXCEPTION)
		return vector < 32 && ((SVM_EXCEPTIONS >> vector) & 1);
	return type == EVENT_TYPE_INTR || type == EVENT_TYPE_NMI || type == EVENT_TYPE_SOFTWARE;
}

#endif
