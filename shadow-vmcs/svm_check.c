/*
 * The rules of VMRUN, in the manual's order, and the table of them from svm_check_rules.def. Pure.
 */
#include "shadow-vmcs/svm_check.h"
#include "l1-hypervisor/leaf/x86.h"

#define SVM_AREA(AREA, title, number) static const struct svm_area area_##AREA = { title, number };
#include "shadow-vmcs/svm_check_rules.def"

const struct svm_rule svm_rules[SVM_RULE_COUNT] = {
#define SVM_RULE(ID, AREA, text) [SVM_RULE_##ID] = { text, &area_##AREA },
#include "shadow-vmcs/svm_check_rules.def"
};

/* The bytes of the I/O permission map that hardware reads: one after two pages, for an access that
 * begins at the last ports. */
#define IOPM_BYTES_USED 0x2001ULL

/* One rule of svm_check_rules.def: `illegal` is what it forbids. */
#define REFUSE(ID, illegal)                   \
	do {                                  \
		if (unlikely(illegal))        \
			return SVM_RULE_##ID; \
	} while (0)

/* A group of rules in a function of its own. */
#define REFUSE_ANY_OF(check)                            \
	do {                                            \
		enum svm_rule_id failed_ = (check);     \
		if (unlikely(failed_ != SVM_RULE_NONE)) \
			return failed_;                 \
	} while (0)

static bool is_stale(u32 groups, u32 mask)
{
	return (groups & mask) != 0;
}

static bool in_long_mode(const struct vmcb_save *s)
{
	return (s->efer & EFER_LME) && (s->cr0 & CR0_PG);
}

/* APM 2 "Canonicalization and Consistency Checks" (15.5.1): the registers one by one. CR3 has
 * must-be-zero bits in long mode only. */
static enum svm_rule_id check_registers(const struct vmcb_save *s, const struct svm_check_env *env)
{
	REFUSE(SVME, !(s->efer & EFER_SVME));
	REFUSE(CR0_CACHING, (s->cr0 & (CR0_CD | CR0_NW)) == CR0_NW);
	REFUSE(CR0_HIGH, s->cr0 >> 32);
	REFUSE(CR3_MBZ, in_long_mode(s) && (s->cr3 & env->physical_reserved));
	REFUSE(CR4_MBZ, s->cr4 & ~env->cr4_allowed);
	return SVM_RULE_NONE;
}

static enum svm_rule_id check_debug(const struct vmcb_save *s)
{
	REFUSE(DR6_HIGH, s->dr6 >> 32);
	REFUSE(DR7_HIGH, s->dr7 >> 32);
	return SVM_RULE_NONE;
}

/* ... and what they may not be together. */
static enum svm_rule_id check_mode(const struct vmcb_save *s, const struct svm_check_env *env)
{
	REFUSE(EFER_MBZ, s->efer & ~env->efer_allowed);
	if (!in_long_mode(s))
		return SVM_RULE_NONE;
	REFUSE(LONG_WITHOUT_PAE, !(s->cr4 & CR4_PAE));
	REFUSE(LONG_WITHOUT_PE, !(s->cr0 & CR0_PE));
	REFUSE(LONG_AND_DEFAULT, (s->cs.attributes & (SEG_L | SEG_DB)) == (SEG_L | SEG_DB));
	return SVM_RULE_NONE;
}

/* Whether a table of `bytes` in the page at `base` reaches the last address that there is. */
static bool reaches_the_end(u64 base, u64 bytes, const struct svm_check_env *env)
{
	u64 highest = ~env->physical_reserved;
	u64 last = (base & ~PAGE_MASK) + (bytes - 1);

	return last < bytes - 1 || last >= highest;
}

static enum svm_rule_id check_maps(const struct vmcb_control *c, const struct svm_check_env *env)
{
	REFUSE(MSRPM_END, reaches_the_end(c->msrpm_base, MSRPM_SIZE, env));
	REFUSE(IOPM_END, reaches_the_end(c->iopm_base, IOPM_BYTES_USED, env));
	return SVM_RULE_NONE;
}

static enum svm_rule_id check_event(u64 event)
{
	if (likely(svm_event_is_legal(event)))
		return SVM_RULE_NONE;
	return (event & EVENT_TYPE) == EVENT_TYPE_EXCEPTION ? SVM_RULE_EVENT_VECTOR
							    : SVM_RULE_EVENT_TYPE;
}

/* Whether each byte is 0, 1, 4, 5, 6 or 7: bits 7:3 clear, and bit 1 only together with bit 2. */
static bool is_pat(u64 value)
{
	const u64 each = 0x0101010101010101ULL;
	u64 without_bit2 = value & ~(value >> 1);

	return !(value & (each * 0xf8)) && !(without_bit2 & (each << 1));
}

/* APM 2 "Enabling Nested Paging" (15.25.3), "Nested Paging and VMRUN/#VMEXIT" (15.25.4). */
static enum svm_rule_id check_nested_paging(const struct vmcb_control *c, const struct vmcb_save *s,
					    const struct svm_check_env *env)
{
	if (!(c->nested_control & NESTED_NP_ENABLE))
		return SVM_RULE_NONE;
	REFUSE(NP_HOST_PAGING, !env->host_paging);
	REFUSE(NP_HOST_LONG, !env->host_long_mode);
	REFUSE(NCR3_MBZ, c->ncr3 & env->physical_reserved);
	REFUSE(G_PAT, !is_pat(s->g_pat));
	return SVM_RULE_NONE;
}

static enum svm_rule_id check(const struct vmcb_control *c, const struct vmcb_save *s,
			      const struct svm_check_env *env, u32 groups)
{
	bool registers = is_stale(groups, (u32)BIT(CLEAN_CR));

	if (registers)
		REFUSE_ANY_OF(check_registers(s, env));
	if (is_stale(groups, (u32)BIT(CLEAN_DR)))
		REFUSE_ANY_OF(check_debug(s));
	if (registers || is_stale(groups, (u32)BIT(CLEAN_SEG)))
		REFUSE_ANY_OF(check_mode(s, env));
	if (is_stale(groups, (u32)BIT(CLEAN_INTERCEPTS)))
		REFUSE(VMRUN_INTERCEPT, !(c->intercept2 & INTERCEPT2_VMRUN));
	if (is_stale(groups, (u32)BIT(CLEAN_MAPS)))
		REFUSE_ANY_OF(check_maps(c, env));
	if (is_stale(groups, (u32)BIT(CLEAN_ASID)))
		REFUSE(ASID_ZERO, c->asid == 0);
	REFUSE_ANY_OF(check_event(c->event_injection));
	if (is_stale(groups, (u32)(BIT(CLEAN_NP) | BIT(VMCB_ALWAYS))))
		REFUSE_ANY_OF(check_nested_paging(c, s, env));
	if (is_stale(groups, (u32)BIT(CLEAN_ASID)))
		REFUSE(ASID_RANGE, c->asid >= env->asids);
	return SVM_RULE_NONE;
}

bool svm_check(const struct vmcb_control *c, const struct vmcb_save *s,
	       const struct svm_check_env *env, u32 groups, struct svm_verdict *verdict)
{
	enum svm_rule_id failed = check(c, s, env, groups);

	verdict->rule = failed == SVM_RULE_NONE ? NULL : &svm_rules[failed];
	return failed == SVM_RULE_NONE;
}
