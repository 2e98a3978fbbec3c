/*
 * VM-entry checks on the host-state area, in the manual's order. Pure. A failure is VMfailValid(8).
 */
#include "shadow-vmcs/vmx_check.h"

#include "shadow-vmcs/vmx_check_rule.h"

#define HOST_GROUPS (BIT_OF_GROUP(VG_HOST) | BIT_OF_GROUP(VG_SWITCH))

static enum vmx_rule_id check_registers(const struct vmcs_fields *v, const struct vmx_caps *caps,
					const struct vmx_check_env *env)
{
	u64 exit = v->f[F_EXIT_CONTROLS];
	u64 cr0 = v->f[F_HOST_CR0];
	u64 cr4 = v->f[F_HOST_CR4];

	REQUIRE(HOST_CR0, register_allowed(cr0, vmx_cap(caps, MSR_VMX_CR0_FIXED0),
					   vmx_cap(caps, MSR_VMX_CR0_FIXED1), 0));
	REQUIRE(HOST_CR4, register_allowed(cr4, vmx_cap(caps, MSR_VMX_CR4_FIXED0),
					   vmx_cap(caps, MSR_VMX_CR4_FIXED1), 0));
	REQUIRE(HOST_CET_WP, !is_set(cr4, CR4_CET) || is_set(cr0, CR0_WP));
	REQUIRE(HOST_CR3, SHAPED(v, env, HOST_CR3));
	REQUIRE(HOST_SYSENTER,
		SHAPED(v, env, HOST_SYSENTER_ESP) && SHAPED(v, env, HOST_SYSENTER_EIP));
	REQUIRE(HOST_PAT, !is_set(exit, EXIT_LOAD_PAT) || SHAPED(v, env, HOST_PAT));
	if (is_set(exit, EXIT_LOAD_EFER)) {
		u64 long_bits = v->f[F_HOST_EFER] & (EFER_LMA | EFER_LME);

		REQUIRE(HOST_EFER_RESERVED, SHAPED(v, env, HOST_EFER));
		REQUIRE(HOST_EFER_LMA,
			long_bits == (is_set(exit, EXIT_HOST_64) ? EFER_LMA | EFER_LME : 0));
	}
	return RULE_NONE;
}

static enum vmx_rule_id check_segments(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	REQUIRE(HOST_SELECTORS,
		SHAPED(v, env, HOST_CS_SELECTOR) && SHAPED(v, env, HOST_SS_SELECTOR) &&
			SHAPED(v, env, HOST_DS_SELECTOR) && SHAPED(v, env, HOST_ES_SELECTOR) &&
			SHAPED(v, env, HOST_FS_SELECTOR) && SHAPED(v, env, HOST_GS_SELECTOR) &&
			SHAPED(v, env, HOST_TR_SELECTOR));
	REQUIRE(HOST_CS_TR, v->f[F_HOST_CS_SELECTOR] != 0 && v->f[F_HOST_TR_SELECTOR] != 0);
	REQUIRE(HOST_SS,
		v->f[F_HOST_SS_SELECTOR] != 0 || is_set(v->f[F_EXIT_CONTROLS], EXIT_HOST_64));
	REQUIRE(HOST_BASES, SHAPED(v, env, HOST_FS_BASE) && SHAPED(v, env, HOST_GS_BASE) &&
				    SHAPED(v, env, HOST_GDTR_BASE) &&
				    SHAPED(v, env, HOST_IDTR_BASE) && SHAPED(v, env, HOST_TR_BASE));
	return RULE_NONE;
}

/* Whether L2 itself is in IA-32e mode: it may change that between entries, unlike any group. */
static enum vmx_rule_id check_mode(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	bool host_64 = is_set(v->f[F_EXIT_CONTROLS], EXIT_HOST_64);
	bool guest_64 = is_set(v->f[F_ENTRY_CONTROLS], ENTRY_GUEST_64);

	REQUIRE(HOST_NOT_LONG, env->long_mode || (!host_64 && !guest_64));
	REQUIRE(HOST_LONG, !env->long_mode || host_64);
	return RULE_NONE;
}

static enum vmx_rule_id check_size(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	u64 cr4 = v->f[F_HOST_CR4];

	if (is_set(v->f[F_EXIT_CONTROLS], EXIT_HOST_64)) {
		REQUIRE(HOST_64_PAE, is_set(cr4, CR4_PAE));
		REQUIRE(HOST_64_RIP, SHAPED(v, env, HOST_RIP));
	} else {
		REQUIRE(HOST_32_PCIDE, !is_set(cr4, CR4_PCIDE));
		REQUIRE(HOST_32_RIP, v->f[F_HOST_RIP] <= 0xffffffff);
	}
	return RULE_NONE;
}

static NOINLINE enum vmx_rule_id check_host(const struct vmcs_fields *v,
					    const struct vmx_caps *caps,
					    const struct vmx_check_env *env, u32 groups)
{
	bool stale = is_set(groups, HOST_GROUPS);

	if (stale) {
		REQUIRE_ALL_OF(check_registers(v, caps, env));
		REQUIRE_ALL_OF(check_segments(v, env));
	}
	REQUIRE_ALL_OF(check_mode(v, env));
	if (stale)
		REQUIRE_ALL_OF(check_size(v, env));
	return RULE_NONE;
}

bool vmx_check_host(const struct vmcs_fields *v, const struct vmx_caps *offered,
		    const struct vmx_check_env *env, u32 groups, struct vmx_verdict *out)
{
	/* Most entries: nothing is new, and both modes that the rules compare are IA-32e mode. */
	if (likely(!is_set(groups, HOST_GROUPS) && env->long_mode &&
		   is_set(v->f[F_EXIT_CONTROLS], EXIT_HOST_64)))
		return verdict(RULE_NONE, out);
	return verdict(check_host(v, offered, env, groups), out);
}
