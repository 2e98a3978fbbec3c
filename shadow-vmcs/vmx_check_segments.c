/*
 * VM-entry checks on the guest's segment registers (SDM 3C "Checks on Guest Segment Registers"
 * (27.3.1.2)), register by register; the manual goes bit by bit, which decides only the name of the
 * rule when several fail. Pure.
 */
#include "shadow-vmcs/vmx_check_rule.h"

enum segment_number { ES, CS, SS, DS, FS, GS, LDTR, TR };

_Static_assert(F_GUEST_TR_SELECTOR == F_GUEST_ES_SELECTOR + TR &&
		       F_GUEST_TR_LIMIT == F_GUEST_ES_LIMIT + TR &&
		       F_GUEST_TR_AR == F_GUEST_ES_AR + TR &&
		       F_GUEST_TR_BASE == F_GUEST_ES_BASE + TR,
	       "the rows of the segment registers are in the order of enum segment_number");

#define TYPE_ACCESSED        BIT(0)
#define TYPE_READABLE        BIT(1)
#define TYPE_CODE            BIT(3)
#define TYPE_DATA_RW         3U
#define TYPE_DATA_RW_DOWN    7U
#define TYPE_CODE_CONFORMING 12U
#define TYPE_LDT             2U
#define TYPE_TSS_16_BUSY     3U
#define TYPE_TSS_32_BUSY     11U
#define AR_RESERVED          (BITS(11, 8) | BITS(31, 17))
#define AR_V86               0xf3U
#define SELECTOR_RPL         3U
#define SELECTOR_TI          BIT(2)

/* What decides which rules apply. */
struct mode {
	bool unrestricted;
	bool guest_64;
	bool protected_mode;
};

static u64 selector_of(const struct vmcs_fields *v, int segment)
{
	return v->f[F_GUEST_ES_SELECTOR + segment];
}

static u64 limit_of(const struct vmcs_fields *v, int segment)
{
	return v->f[F_GUEST_ES_LIMIT + segment];
}

static u64 ar_of(const struct vmcs_fields *v, int segment)
{
	return v->f[F_GUEST_ES_AR + segment];
}

static u64 base_of(const struct vmcs_fields *v, int segment)
{
	return v->f[F_GUEST_ES_BASE + segment];
}

static u64 rpl(u64 selector)
{
	return selector & SELECTOR_RPL;
}

static u64 dpl(u64 ar)
{
	return (ar & AR_DPL_MASK) >> AR_DPL_SHIFT;
}

static bool granularity_fits(u64 ar, u64 limit)
{
	return is_set(ar, AR_G) ? (limit & 0xfff) == 0xfff : limit >> 20 == 0;
}

static enum vmx_rule_id check_v86(const struct vmcs_fields *v)
{
	for (int i = ES; i <= GS; i++) {
		REQUIRE(V86_BASE, base_of(v, i) == selector_of(v, i) << 4);
		REQUIRE(V86_LIMIT, limit_of(v, i) == 0xffff);
		REQUIRE(V86_AR, ar_of(v, i) == AR_V86);
	}
	return RULE_NONE;
}

/* Which of S, P and the reserved bits is wrong. */
static NOINLINE enum vmx_rule_id find_wrong_bit(u64 ar)
{
	REQUIRE(SEGMENT_S, is_set(ar, AR_S));
	REQUIRE(SEGMENT_P, is_set(ar, AR_P));
	return RULE_SEGMENT_RESERVED;
}

/* What holds for CS, and for any other of the six when it is usable. */
static ALWAYS_INLINE enum vmx_rule_id check_common(u64 ar, u64 limit)
{
	if (unlikely((ar & (AR_S | AR_P | AR_RESERVED)) != (AR_S | AR_P)))
		return find_wrong_bit(ar);
	REQUIRE(SEGMENT_G, granularity_fits(ar, limit));
	return RULE_NONE;
}

static enum vmx_rule_id check_cs(const struct vmcs_fields *v, const struct mode *mode)
{
	u64 ar = ar_of(v, CS);
	u64 type = ar & AR_TYPE_MASK;
	u64 ss_dpl = dpl(ar_of(v, SS));

	REQUIRE(CS_BASE, base_of(v, CS) <= 0xffffffff);
	if (type == TYPE_DATA_RW) {
		REQUIRE(CS_TYPE, mode->unrestricted);
		REQUIRE(CS_DPL_3, dpl(ar) == 0);
	} else {
		REQUIRE(CS_TYPE, is_set(type, TYPE_CODE) && is_set(type, TYPE_ACCESSED));
		if (type < TYPE_CODE_CONFORMING)
			REQUIRE(CS_DPL_NONCONFORMING, dpl(ar) == ss_dpl);
		else
			REQUIRE(CS_DPL_CONFORMING, dpl(ar) <= ss_dpl);
	}
	REQUIRE(CS_DB, !mode->guest_64 || !is_set(ar, AR_L) || !is_set(ar, AR_DB));
	return check_common(ar, limit_of(v, CS));
}

static enum vmx_rule_id check_ss(const struct vmcs_fields *v, const struct mode *mode)
{
	u64 ar = ar_of(v, SS);
	u64 type = ar & AR_TYPE_MASK;
	u64 selector = selector_of(v, SS);

	if (!mode->unrestricted) {
		REQUIRE(SS_RPL, rpl(selector) == rpl(selector_of(v, CS)));
		REQUIRE(SS_DPL_RPL, dpl(ar) == rpl(selector));
	}
	REQUIRE(SS_DPL_ZERO, dpl(ar) == 0 || ((ar_of(v, CS) & AR_TYPE_MASK) != TYPE_DATA_RW &&
					      mode->protected_mode));
	if (is_set(ar, AR_UNUSABLE))
		return RULE_NONE;
	REQUIRE(DATA_BASE, base_of(v, SS) <= 0xffffffff);
	REQUIRE(SS_TYPE, type == TYPE_DATA_RW || type == TYPE_DATA_RW_DOWN);
	return check_common(ar, limit_of(v, SS));
}

/* DS, ES, FS or GS. */
static ALWAYS_INLINE enum vmx_rule_id check_data(const struct vmcs_fields *v, int segment,
						 const struct mode *mode)
{
	u64 ar = ar_of(v, segment);
	u64 type = ar & AR_TYPE_MASK;

	if (is_set(ar, AR_UNUSABLE))
		return RULE_NONE;
	REQUIRE(DATA_BASE, segment == FS || segment == GS || base_of(v, segment) <= 0xffffffff);
	REQUIRE(DATA_ACCESSED, is_set(type, TYPE_ACCESSED));
	REQUIRE(DATA_READABLE, !is_set(type, TYPE_CODE) || is_set(type, TYPE_READABLE));
	REQUIRE(DATA_DPL, mode->unrestricted || type >= TYPE_CODE_CONFORMING ||
				  dpl(ar) >= rpl(selector_of(v, segment)));
	return check_common(ar, limit_of(v, segment));
}

static enum vmx_rule_id check_tr(const struct vmcs_fields *v, const struct mode *mode,
				 const struct vmx_check_env *env)
{
	u64 ar = ar_of(v, TR);
	u64 type = ar & AR_TYPE_MASK;

	REQUIRE(TR_TI, !is_set(selector_of(v, TR), SELECTOR_TI));
	REQUIRE(BASE_CANONICAL, SHAPED(v, env, GUEST_TR_BASE));
	REQUIRE(TR_TYPE, type == TYPE_TSS_32_BUSY || (type == TYPE_TSS_16_BUSY && !mode->guest_64));
	REQUIRE(TR_S, !is_set(ar, AR_S));
	REQUIRE(TR_P, is_set(ar, AR_P));
	REQUIRE(TR_RESERVED, !is_set(ar, AR_RESERVED));
	REQUIRE(TR_G, granularity_fits(ar, limit_of(v, TR)));
	REQUIRE(TR_UNUSABLE, !is_set(ar, AR_UNUSABLE));
	return RULE_NONE;
}

static enum vmx_rule_id check_ldtr(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	u64 ar = ar_of(v, LDTR);

	if (is_set(ar, AR_UNUSABLE))
		return RULE_NONE;
	REQUIRE(LDTR_TI, !is_set(selector_of(v, LDTR), SELECTOR_TI));
	REQUIRE(BASE_CANONICAL, SHAPED(v, env, GUEST_LDTR_BASE));
	REQUIRE(LDTR_TYPE, (ar & AR_TYPE_MASK) == TYPE_LDT);
	REQUIRE(LDTR_S, !is_set(ar, AR_S));
	REQUIRE(LDTR_P, is_set(ar, AR_P));
	REQUIRE(LDTR_RESERVED, !is_set(ar, AR_RESERVED));
	REQUIRE(LDTR_G, granularity_fits(ar, limit_of(v, LDTR)));
	return RULE_NONE;
}

enum vmx_rule_id vmx_check_segments(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	struct mode mode = {
		.unrestricted = is_set(vmcs_active_proc2(v), PROC2_UNRESTRICTED_GUEST),
		.guest_64 = is_set(v->f[F_ENTRY_CONTROLS], ENTRY_GUEST_64),
		.protected_mode = is_set(v->f[F_GUEST_CR0], CR0_PE),
	};

	REQUIRE(BASE_CANONICAL, SHAPED(v, env, GUEST_FS_BASE) && SHAPED(v, env, GUEST_GS_BASE));
	if (is_set(v->f[F_GUEST_RFLAGS], RFLAGS_VM)) {
		REQUIRE_ALL_OF(check_v86(v));
	} else {
		REQUIRE_ALL_OF(check_cs(v, &mode));
		REQUIRE_ALL_OF(check_ss(v, &mode));
		REQUIRE_ALL_OF(check_data(v, DS, &mode));
		REQUIRE_ALL_OF(check_data(v, ES, &mode));
		REQUIRE_ALL_OF(check_data(v, FS, &mode));
		REQUIRE_ALL_OF(check_data(v, GS, &mode));
	}
	REQUIRE_ALL_OF(check_tr(v, &mode, env));
	return check_ldtr(v, env);
}
