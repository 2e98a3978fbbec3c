/*
 * VM-entry checks on the guest-state area but for its segment registers, in the manual's order.
 * Pure. A failure is an exit with reason 33 and the qualification of its rule.
 */
#include "shadow-vmcs/vmx_check.h"

#include "shadow-vmcs/vmx_check_rule.h"

#define COMMON_GROUPS   (BIT_OF_GROUP(VG_CR) | BIT_OF_GROUP(VG_SWITCH) | BIT_OF_GROUP(VG_CTRL))
#define REGISTER_GROUPS (COMMON_GROUPS | BIT_OF_GROUP(VG_MSR))
#define SEGMENT_GROUPS  (COMMON_GROUPS | BIT_OF_GROUP(VG_SEG))
#define TABLE_GROUPS    BIT_OF_GROUP(VG_TABLES)
#define RUN_GROUPS                                                                             \
	(COMMON_GROUPS | BIT_OF_GROUP(VG_RIP) | BIT_OF_GROUP(VG_IP) | BIT_OF_GROUP(VG_EVENT) | \
	 BIT_OF_GROUP(VG_SEG) | BIT_OF_GROUP(VG_MSR))

#define RFLAGS_RESERVED (BITS(63, 22) | BIT(15) | BIT(5) | BIT(3))
#define AR_V86          0xf3U
#define NO_LINK         (~0ULL)
#define SHADOW_VMCS     BIT32(31)
#define PDPTES          4

static inline bool is_guest_64(const struct vmcs_fields *v)
{
	return is_set(v->f[F_ENTRY_CONTROLS], ENTRY_GUEST_64);
}

/* SDM 3C "Checks on Guest Control Registers, Debug Registers, and MSRs" (27.3.1.1). */
static enum vmx_rule_id check_registers(const struct vmcs_fields *v, const struct vmx_caps *caps,
					const struct vmx_check_env *env)
{
	u64 entry = v->f[F_ENTRY_CONTROLS];
	u64 cr0 = v->f[F_GUEST_CR0];
	u64 cr4 = v->f[F_GUEST_CR4];
	bool unrestricted = is_set(vmcs_active_proc2(v), PROC2_UNRESTRICTED_GUEST);
	bool paging = is_set(cr0, CR0_PG);

	REQUIRE(GUEST_CR0, register_allowed(cr0, vmx_cap(caps, MSR_VMX_CR0_FIXED0),
					    vmx_cap(caps, MSR_VMX_CR0_FIXED1),
					    unrestricted ? CR0_PE | CR0_PG : 0));
	REQUIRE(GUEST_PG_PE, !paging || is_set(cr0, CR0_PE));
	REQUIRE(GUEST_CR4, register_allowed(cr4, vmx_cap(caps, MSR_VMX_CR4_FIXED0),
					    vmx_cap(caps, MSR_VMX_CR4_FIXED1), 0));
	REQUIRE(GUEST_CET_WP, !is_set(cr4, CR4_CET) || is_set(cr0, CR0_WP));
	REQUIRE(GUEST_DEBUGCTL, !is_set(entry, ENTRY_LOAD_DEBUG) || SHAPED(v, env, GUEST_DEBUGCTL));
	if (is_set(entry, ENTRY_GUEST_64))
		REQUIRE(GUEST_64_PG_PAE, paging && is_set(cr4, CR4_PAE));
	else
		REQUIRE(GUEST_32_PCIDE, !is_set(cr4, CR4_PCIDE));
	REQUIRE(GUEST_CR3, SHAPED(v, env, GUEST_CR3));
	REQUIRE(GUEST_DR7, !is_set(entry, ENTRY_LOAD_DEBUG) || SHAPED(v, env, GUEST_DR7));
	REQUIRE(GUEST_SYSENTER,
		SHAPED(v, env, GUEST_SYSENTER_ESP) && SHAPED(v, env, GUEST_SYSENTER_EIP));
	REQUIRE(GUEST_PAT, !is_set(entry, ENTRY_LOAD_PAT) || SHAPED(v, env, GUEST_PAT));
	if (is_set(entry, ENTRY_LOAD_EFER)) {
		bool lma = is_set(v->f[F_GUEST_EFER], EFER_LMA);

		REQUIRE(GUEST_EFER_RESERVED, SHAPED(v, env, GUEST_EFER));
		REQUIRE(GUEST_EFER_LMA, lma == is_guest_64(v));
		REQUIRE(GUEST_EFER_LME, !paging || lma == is_set(v->f[F_GUEST_EFER], EFER_LME));
	}
	return RULE_NONE;
}

static enum vmx_rule_id check_tables(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	REQUIRE(TABLE_BASE, SHAPED(v, env, GUEST_GDTR_BASE) && SHAPED(v, env, GUEST_IDTR_BASE));
	REQUIRE(TABLE_LIMIT, SHAPED(v, env, GUEST_GDTR_LIMIT) && SHAPED(v, env, GUEST_IDTR_LIMIT));
	return RULE_NONE;
}

static bool injects(u32 info, u32 type)
{
	return (info & (INTR_INFO_VALID | INTR_INFO_TYPE)) == (INTR_INFO_VALID | type);
}

/* SDM 3C "Checks on Guest RIP, RFLAGS, and SSP" (27.3.1.4). */
static inline enum vmx_rule_id check_rip(const struct vmcs_fields *v,
					 const struct vmx_check_env *env)
{
	u64 rip = v->f[F_GUEST_RIP];

	if (is_guest_64(v) && is_set(v->f[F_GUEST_CS_AR], AR_L))
		REQUIRE(RIP_64, high_bits_identical(rip, env->linear_width));
	else
		REQUIRE(RIP_32, rip <= 0xffffffff);
	return RULE_NONE;
}

static enum vmx_rule_id check_rip_rflags(const struct vmcs_fields *v,
					 const struct vmx_check_env *env)
{
	u64 rflags = v->f[F_GUEST_RFLAGS];

	REQUIRE_ALL_OF(check_rip(v, env));
	REQUIRE(RFLAGS_RESERVED, (rflags & (RFLAGS_RESERVED | RFLAGS_FIXED)) == RFLAGS_FIXED);
	REQUIRE(RFLAGS_VM, !is_set(rflags, RFLAGS_VM) ||
				   (!is_guest_64(v) && is_set(v->f[F_GUEST_CR0], CR0_PE)));
	REQUIRE(RFLAGS_IF, is_set(rflags, RFLAGS_IF) ||
				   !injects(vmcs_get(v, ENTRY_INTR_INFO), INTR_TYPE_EXTERNAL));
	return RULE_NONE;
}

/* Whether the activity state lets this event through. */
static bool activity_admits(u64 activity, u32 info)
{
	u32 type = info & INTR_INFO_TYPE;
	u32 vector = info & INTR_INFO_VECTOR;
	bool exception = type == INTR_TYPE_HARDWARE_EXCEPTION;

	if (!is_set(info, INTR_INFO_VALID))
		return true;
	switch (activity) {
	case VMX_ACTIVE:
		return true;
	case VMX_HALTED:
		return type == INTR_TYPE_EXTERNAL || type == INTR_TYPE_NMI ||
		       (exception && (vector == EXC_DB || vector == EXC_MC)) ||
		       (type == INTR_TYPE_OTHER && vector == 0);
	case VMX_SHUTDOWN:
		return type == INTR_TYPE_NMI || (exception && vector == EXC_MC);
	default:
		return false;
	}
}

static bool activity_supported(u64 activity, const struct vmx_caps *caps)
{
	static const u64 capability[] = {
		[VMX_HALTED] = MISC_HLT,
		[VMX_SHUTDOWN] = MISC_SHUTDOWN,
		[VMX_WAIT_FOR_SIPI] = MISC_WAIT_FOR_SIPI,
	};

	return activity == VMX_ACTIVE ||
	       (activity < ARRAY_SIZE(capability) &&
		is_set(vmx_cap(caps, MSR_VMX_MISC), capability[activity]));
}

/* SDM 3C "Checks on Guest Non-Register State" (27.3.1.5): activity state. */
static enum vmx_rule_id check_activity(const struct vmcs_fields *v, const struct vmx_caps *caps)
{
	u64 activity = v->f[F_GUEST_ACTIVITY];
	u64 blocking = v->f[F_GUEST_INTERRUPTIBILITY];

	REQUIRE(ACTIVITY_SUPPORTED, activity_supported(activity, caps));
	REQUIRE(ACTIVITY_HLT_DPL,
		activity != VMX_HALTED || !is_set(v->f[F_GUEST_SS_AR], AR_DPL_MASK));
	REQUIRE(ACTIVITY_BLOCKING,
		activity == VMX_ACTIVE ||
			!is_set(blocking, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
	REQUIRE(ACTIVITY_EVENT, activity_admits(activity, vmcs_get(v, ENTRY_INTR_INFO)));
	return RULE_NONE;
}

/* Same section: interruptibility state. L2 is never in SMM. */
static enum vmx_rule_id check_interruptibility(const struct vmcs_fields *v,
					       const struct vmx_check_env *env)
{
	u32 blocking = vmcs_get(v, GUEST_INTERRUPTIBILITY);
	u32 info = vmcs_get(v, ENTRY_INTR_INFO);
	bool sti = is_set(blocking, INTERRUPTIBILITY_STI);
	bool mov_ss = is_set(blocking, INTERRUPTIBILITY_MOV_SS);
	bool nmi = injects(info, INTR_TYPE_NMI);

	REQUIRE(BLOCKING_RESERVED, !is_set(blocking, INTERRUPTIBILITY_RESERVED));
	REQUIRE(BLOCKING_STI_MOV_SS, !sti || !mov_ss);
	REQUIRE(BLOCKING_STI_IF, !sti || is_set(v->f[F_GUEST_RFLAGS], RFLAGS_IF));
	REQUIRE(BLOCKING_EVENT, !injects(info, INTR_TYPE_EXTERNAL) || (!sti && !mov_ss));
	REQUIRE(BLOCKING_MOV_SS_NMI, !nmi || !mov_ss);
	REQUIRE(BLOCKING_STI_NMI, !nmi || !sti);
	REQUIRE(BLOCKING_SMI, !is_set(blocking, INTERRUPTIBILITY_SMI));
	REQUIRE(BLOCKING_NMI, !nmi || !is_set(blocking, INTERRUPTIBILITY_NMI) ||
				      !is_set(v->f[F_PIN_CONTROLS], PIN_VIRTUAL_NMI));
	REQUIRE(BLOCKING_ENCLAVE,
		!is_set(blocking, INTERRUPTIBILITY_ENCLAVE) || (!mov_ss && env->has_sgx));
	return RULE_NONE;
}

/* Same section: pending debug exceptions. */
static enum vmx_rule_id check_pending_debug(const struct vmcs_fields *v,
					    const struct vmx_check_env *env)
{
	const u64 defined = PENDING_DEBUG_B | PENDING_DEBUG_ENABLED | PENDING_DEBUG_BS |
			    PENDING_DEBUG_RTM;
	u64 pending = v->f[F_GUEST_PENDING_DEBUG];
	u64 blocking = v->f[F_GUEST_INTERRUPTIBILITY];
	bool step = is_set(v->f[F_GUEST_RFLAGS], RFLAGS_TF) &&
		    !is_set(v->f[F_GUEST_DEBUGCTL], DEBUGCTL_BTF);
	bool bs = is_set(pending, PENDING_DEBUG_BS);

	REQUIRE(PENDING_RESERVED, !is_set(pending, ~defined));
	if (is_set(blocking, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS) ||
	    v->f[F_GUEST_ACTIVITY] == VMX_HALTED) {
		REQUIRE(PENDING_BS_SET, !step || bs);
		REQUIRE(PENDING_BS_CLEAR, step || !bs);
	}
	REQUIRE(PENDING_RTM, !is_set(pending, PENDING_DEBUG_RTM) ||
				     (pending == (PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED) &&
				      !is_set(blocking, INTERRUPTIBILITY_MOV_SS) && env->has_rtm));
	return RULE_NONE;
}

/* Whether the guest is active, blocks nothing, has nothing pending and is injected nothing: then no
 * rule on its non-register state can fail. */
static inline bool is_quiet(const struct vmcs_fields *v)
{
	u64 anything = v->f[F_GUEST_ACTIVITY] | v->f[F_GUEST_INTERRUPTIBILITY] |
		       v->f[F_GUEST_PENDING_DEBUG] | (v->f[F_ENTRY_INTR_INFO] & INTR_INFO_VALID);

	return anything == 0;
}

static enum vmx_rule_id check_other(const struct vmcs_fields *v, const struct vmx_caps *caps,
				    const struct vmx_check_env *env)
{
	if (likely(is_quiet(v)))
		return RULE_NONE;
	REQUIRE_ALL_OF(check_activity(v, caps));
	REQUIRE_ALL_OF(check_interruptibility(v, env));
	return check_pending_debug(v, env);
}

/* Same section: VMCS link pointer. What it points to is memory, so no group tells of its changes.
 */
static enum vmx_rule_id check_link(const struct vmcs_fields *v, const struct vmx_caps *caps,
				   const struct vmx_check_env *env)
{
	u64 link = v->f[F_LINK_POINTER];
	u32 revision;

	if (likely(link == NO_LINK))
		return RULE_NONE;
	REQUIRE(LINK_ADDRESS, SHAPED(v, env, LINK_POINTER));
	env->read(env->ctx, PA2(link), &revision, sizeof(revision));
	REQUIRE(LINK_REVISION, revision == (vmx_cap(caps, MSR_VMX_BASIC) & BASIC_REVISION));
	REQUIRE(LINK_CURRENT, link != env->current_vmcs.v);
	return RULE_NONE;
}

/* Whether the guest will use PAE paging. */
static inline bool uses_pdptes(const struct vmcs_fields *v)
{
	return !is_guest_64(v) && is_set(v->f[F_GUEST_CR0], CR0_PG) &&
	       is_set(v->f[F_GUEST_CR4], CR4_PAE);
}

bool vmx_pdptes_are_valid(const u64 pdptes[PDPTES], const struct vmx_check_env *env)
{
	for (int i = 0; i < PDPTES; i++)
		if (!shape_holds(CHECK_PDPTE, pdptes[i], env))
			return false;
	return true;
}

/* SDM 3C "Checks on Guest Page-Directory-Pointer-Table Entries" (27.3.1.6). Without EPT the entries
 * are in memory, at CR3. */
static enum vmx_rule_id check_pdptes(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	u64 pdptes[PDPTES];

	if (!uses_pdptes(v))
		return RULE_NONE;
	if (is_set(vmcs_active_proc2(v), PROC2_EPT)) {
		REQUIRE(PDPTE_RESERVED,
			SHAPED(v, env, GUEST_PDPTE0) && SHAPED(v, env, GUEST_PDPTE1) &&
				SHAPED(v, env, GUEST_PDPTE2) && SHAPED(v, env, GUEST_PDPTE3));
		return RULE_NONE;
	}
	env->read(env->ctx, PA2(v->f[F_GUEST_CR3] & BITS(31, 5)), pdptes, sizeof(pdptes));
	REQUIRE(PDPTE_RESERVED, vmx_pdptes_are_valid(pdptes, env));
	return RULE_NONE;
}

/*
 * Whether the rules on segments must be asked. RFLAGS decides which of them apply, but is stale at
 * every entry: so of it only a change of RFLAGS.VM counts. A CS with the access rights 0xf3 passes
 * in virtual-8086 mode and nowhere else, so it shows what that bit was.
 */
static bool segments_stale(const struct vmcs_fields *v, u32 groups)
{
	if (is_set(groups, SEGMENT_GROUPS))
		return true;
	return is_set(groups, BIT_OF_GROUP(VG_IP)) &&
	       (is_set(v->f[F_GUEST_RFLAGS], RFLAGS_VM) || v->f[F_GUEST_CS_AR] == AR_V86);
}

static NOINLINE enum vmx_rule_id check_guest(const struct vmcs_fields *v,
					     const struct vmx_caps *caps,
					     const struct vmx_check_env *env, u32 groups)
{
	if (groups & REGISTER_GROUPS)
		REQUIRE_ALL_OF(check_registers(v, caps, env));
	if (segments_stale(v, groups))
		REQUIRE_ALL_OF(vmx_check_segments(v, env));
	if (groups & TABLE_GROUPS)
		REQUIRE_ALL_OF(check_tables(v, env));
	if (groups & RUN_GROUPS) {
		REQUIRE_ALL_OF(check_rip_rflags(v, env));
		REQUIRE_ALL_OF(check_other(v, caps, env));
	}
	REQUIRE_ALL_OF(check_link(v, caps, env));
	return check_pdptes(v, env);
}

/* Whether no rule but those on RIP and RFLAGS can fail. Most entries stop there, before a register
 * is saved. */
static inline bool is_settled(const struct vmcs_fields *v, u32 groups)
{
	return !is_set(groups, REGISTER_GROUPS | SEGMENT_GROUPS | TABLE_GROUPS) &&
	       !segments_stale(v, groups) && is_quiet(v) && v->f[F_LINK_POINTER] == NO_LINK &&
	       !uses_pdptes(v);
}

bool vmx_check_guest(const struct vmcs_fields *v, const struct vmx_caps *offered,
		     const struct vmx_check_env *env, u32 groups, struct vmx_verdict *out)
{
	if (likely(is_settled(v, groups)))
		return verdict(check_rip_rflags(v, env), out);
	return verdict(check_guest(v, offered, env, groups), out);
}

bool vmx_check_is_steady(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	return env->long_mode && is_set(v->f[F_EXIT_CONTROLS], EXIT_HOST_64) &&
	       !is_set(v->f[F_PROC_CONTROLS], PROC_TPR_SHADOW) && v->f[F_LINK_POINTER] == NO_LINK &&
	       !uses_pdptes(v);
}

bool vmx_check_rip(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	return check_rip(v, env) == RULE_NONE;
}
