/*
 * VM-entry checks on the control fields: execution, exit and entry controls, in the manual's order.
 * Pure. A failure is VMfailValid(7).
 */
#include "shadow-vmcs/vmx_check.h"

#include "shadow-vmcs/vmx_check_rule.h"

#define EXECUTION_GROUPS                                                              \
	(BIT_OF_GROUP(VG_CTRL) | BIT_OF_GROUP(VG_BITMAPS) | BIT_OF_GROUP(VG_STAGE2) | \
	 BIT_OF_GROUP(VG_APIC))
#define SWITCH_GROUPS BIT_OF_GROUP(VG_SWITCH)
#define EVENT_GROUPS  (BIT_OF_GROUP(VG_EVENT) | BIT_OF_GROUP(VG_CR))

#define VTPR_OFFSET 0x80

static bool controls_allowed(u32 controls, const struct vmx_caps *caps, u32 msr)
{
	return !(~controls & vmx_cap_must(caps, msr)) && !(controls & ~vmx_cap_may(caps, msr));
}

/* SDM 3C "TPR Shadow" rules of "VM-Execution Control Fields" (27.2.1.1); the one on VTPR
 * reads memory, which no group tells the changes of. */
static enum vmx_rule_id check_vtpr(const struct vmcs_fields *v, const struct vmx_check_env *env)
{
	u32 vtpr;

	if (!is_set(v->f[F_PROC_CONTROLS], PROC_TPR_SHADOW) ||
	    is_set(vmcs_active_proc2(v), PROC2_APIC_ACCESSES))
		return RULE_NONE;
	env->read(env->ctx, PA2(v->f[F_VIRTUAL_APIC_ADDR] + VTPR_OFFSET), &vtpr, sizeof(vtpr));
	REQUIRE(TPR_THRESHOLD_VTPR, (v->f[F_TPR_THRESHOLD] & 0xf) <= (vtpr >> 4 & 0xf));
	return RULE_NONE;
}

/* SDM 3C "Extended-Page-Table Pointer (EPTP)" (25.6.11) says what each bit is. */
static enum vmx_rule_id check_eptp(u64 eptp, const struct vmx_caps *caps,
				   const struct vmx_check_env *env)
{
	u64 ept = vmx_cap(caps, MSR_VMX_EPT_VPID_CAP);
	u64 type = eptp & EPTP_TYPE_MASK;
	u64 walk = eptp & EPTP_WALK_MASK;

	REQUIRE(EPTP_MEMTYPE, (type == MEMTYPE_WB && is_set(ept, EPT_CAP_WB)) ||
				      (type == MEMTYPE_UC && is_set(ept, EPT_CAP_UC)));
	REQUIRE(EPTP_WALK, (walk == EPTP_WALK_4 && is_set(ept, EPT_CAP_WALK_4)) ||
				   (walk == EPTP_WALK_5 && is_set(ept, EPT_CAP_WALK_5)));
	REQUIRE(EPTP_AD, !is_set(eptp, EPTP_AD) || is_set(ept, EPT_CAP_AD));
	REQUIRE(EPTP_RESERVED, !is_set(eptp, env->physical_reserved | EPTP_RESERVED |
						     EPTP_SUPERVISOR_SHADOW_STACK));
	return RULE_NONE;
}

static enum vmx_rule_id check_apic(const struct vmcs_fields *v, u32 proc, u32 proc2,
				   const struct vmx_check_env *env)
{
	REQUIRE(APIC_ACCESS,
		!is_set(proc2, PROC2_APIC_ACCESSES) || SHAPED(v, env, APIC_ACCESS_ADDR));
	REQUIRE(X2APIC_NEEDS_SHADOW, is_set(proc, PROC_TPR_SHADOW) || !is_set(proc2, PROC2_X2APIC));
	REQUIRE(X2APIC_OR_ACCESSES,
		!is_set(proc2, PROC2_X2APIC) || !is_set(proc2, PROC2_APIC_ACCESSES));
	return RULE_NONE;
}

static enum vmx_rule_id check_execution(const struct vmcs_fields *v, const struct vmx_caps *caps,
					const struct vmx_check_env *env)
{
	u32 pin = vmcs_get(v, PIN_CONTROLS);
	u32 proc = vmcs_get(v, PROC_CONTROLS);
	u32 proc2 = vmcs_active_proc2(v);
	u64 targets = (vmx_cap(caps, MSR_VMX_MISC) & MISC_CR3_TARGETS) >> MISC_CR3_TARGETS_SHIFT;

	REQUIRE(PIN_RESERVED, controls_allowed(pin, caps, MSR_VMX_TRUE_PINBASED_CTLS));
	REQUIRE(PROC_RESERVED, controls_allowed(proc, caps, MSR_VMX_TRUE_PROCBASED_CTLS));
	REQUIRE(PROC2_RESERVED, controls_allowed(proc2, caps, MSR_VMX_PROCBASED_CTLS2));
	REQUIRE(CR3_TARGETS, v->f[F_CR3_TARGET_COUNT] <= targets);
	REQUIRE(IO_BITMAPS, !is_set(proc, PROC_IO_BITMAPS) ||
				    (SHAPED(v, env, IO_BITMAP_A) && SHAPED(v, env, IO_BITMAP_B)));
	REQUIRE(MSR_BITMAP, !is_set(proc, PROC_MSR_BITMAPS) || SHAPED(v, env, MSR_BITMAP));
	if (is_set(proc, PROC_TPR_SHADOW)) {
		REQUIRE(VIRTUAL_APIC, SHAPED(v, env, VIRTUAL_APIC_ADDR));
		REQUIRE(TPR_THRESHOLD_RESERVED, v->f[F_TPR_THRESHOLD] <= 0xf);
		REQUIRE_ALL_OF(check_vtpr(v, env));
	}
	REQUIRE(VIRTUAL_NMI, is_set(pin, PIN_NMI) || !is_set(pin, PIN_VIRTUAL_NMI));
	REQUIRE(NMI_WINDOW, is_set(pin, PIN_VIRTUAL_NMI) || !is_set(proc, PROC_NMI_WINDOW));
	REQUIRE_ALL_OF(check_apic(v, proc, proc2, env));
	REQUIRE(VPID_ZERO, !is_set(proc2, PROC2_VPID) || v->f[F_VPID] != 0);
	if (is_set(proc2, PROC2_EPT))
		REQUIRE_ALL_OF(check_eptp(v->f[F_EPTP], caps, env));
	else
		REQUIRE(UNRESTRICTED_EPT, !is_set(proc2, PROC2_UNRESTRICTED_GUEST));
	return RULE_NONE;
}

/* Whether no byte of an MSR list lies beyond the physical-address width. Its start is checked. */
static bool list_end_fits(u64 address, u64 count, const struct vmx_check_env *env)
{
	const u64 entry_size = 16;

	return !is_set(address + count * entry_size - 1, env->physical_reserved);
}

/* An MSR list with its address and its count; nothing is required of an empty one. */
#define REQUIRE_LIST(v, env, NAME, RULE)                                                          \
	do {                                                                                      \
		u64 count_ = (v)->f[F_##NAME##_COUNT];                                            \
		if (count_ != 0) {                                                                \
			REQUIRE(RULE##_ADDRESS, SHAPED(v, env, NAME##_ADDR));                     \
			REQUIRE(RULE##_END, list_end_fits((v)->f[F_##NAME##_ADDR], count_, env)); \
		}                                                                                 \
	} while (0)

static enum vmx_rule_id check_exit(const struct vmcs_fields *v, const struct vmx_caps *caps,
				   const struct vmx_check_env *env)
{
	REQUIRE(EXIT_RESERVED,
		controls_allowed(vmcs_get(v, EXIT_CONTROLS), caps, MSR_VMX_TRUE_EXIT_CTLS));
	REQUIRE_LIST(v, env, EXIT_MSR_STORE, EXIT_STORE);
	REQUIRE_LIST(v, env, EXIT_MSR_LOAD, EXIT_LOAD);
	return RULE_NONE;
}

/* Whether an injected event has the deliver-error-code bit that the manual demands of it. Only an
 * unrestricted guest can be in real-address mode, whose exceptions have none; CR0.PE of another
 * guest is for the checks of guest state. */
static bool error_code_bit_is_right(u32 info, const struct vmcs_fields *v,
				    const struct vmx_caps *caps)
{
	bool delivers = is_set(info, INTR_INFO_ERROR_CODE);
	bool real_mode = is_set(vmcs_active_proc2(v), PROC2_UNRESTRICTED_GUEST) &&
			 !is_set(v->f[F_GUEST_CR0], CR0_PE);

	if ((info & INTR_INFO_TYPE) != INTR_TYPE_HARDWARE_EXCEPTION || real_mode)
		return !delivers;
	if (is_set(vmx_cap(caps, MSR_VMX_BASIC), BASIC_NO_ERROR_CODE_CHECK))
		return true;
	return delivers == is_set(EXC_HAS_ERROR_CODE, BIT(info & INTR_INFO_VECTOR));
}

/* SDM 3C "VM-Entry Controls for Event Injection" (25.8.3) has the format. */
static enum vmx_rule_id check_event(const struct vmcs_fields *v, const struct vmx_caps *caps)
{
	u32 info = vmcs_get(v, ENTRY_INTR_INFO);
	u32 type = info & INTR_INFO_TYPE;
	u32 vector = info & INTR_INFO_VECTOR;
	u64 length = v->f[F_ENTRY_INSN_LENGTH];
	bool has_mtf =
		is_set(vmx_cap_may(caps, MSR_VMX_TRUE_PROCBASED_CTLS), PROC_MONITOR_TRAP_FLAG);

	if (likely(!is_set(info, INTR_INFO_VALID)))
		return RULE_NONE;
	REQUIRE(EVENT_TYPE, type != INTR_TYPE_RESERVED && (type != INTR_TYPE_OTHER || has_mtf));
	REQUIRE(EVENT_NMI_VECTOR, type != INTR_TYPE_NMI || vector == EXC_NMI);
	REQUIRE(EVENT_EXCEPTION_VECTOR, type != INTR_TYPE_HARDWARE_EXCEPTION || vector <= 31);
	REQUIRE(EVENT_ERROR_CODE, error_code_bit_is_right(info, v, caps));
	REQUIRE(EVENT_RESERVED, !is_set(info, INTR_INFO_RESERVED));
	REQUIRE(EVENT_ERROR_CODE_RESERVED,
		!is_set(info, INTR_INFO_ERROR_CODE) || v->f[F_ENTRY_ERROR_CODE] <= 0xffff);
	if (type >= INTR_TYPE_SOFTWARE_INTERRUPT && type <= INTR_TYPE_SOFTWARE_EXCEPTION) {
		REQUIRE(EVENT_LENGTH, length <= 15);
		REQUIRE(EVENT_LENGTH_ZERO,
			length != 0 || is_set(vmx_cap(caps, MSR_VMX_MISC), MISC_INJECT_LENGTH_0));
	}
	return RULE_NONE;
}

static NOINLINE enum vmx_rule_id check_controls(const struct vmcs_fields *v,
						const struct vmx_caps *caps,
						const struct vmx_check_env *env, u32 groups)
{
	if (groups & EXECUTION_GROUPS)
		REQUIRE_ALL_OF(check_execution(v, caps, env));
	else
		REQUIRE_ALL_OF(check_vtpr(v, env));
	if (groups & SWITCH_GROUPS) {
		REQUIRE_ALL_OF(check_exit(v, caps, env));
		REQUIRE(ENTRY_RESERVED, controls_allowed(vmcs_get(v, ENTRY_CONTROLS), caps,
							 MSR_VMX_TRUE_ENTRY_CTLS));
	}
	if (groups & EVENT_GROUPS)
		REQUIRE_ALL_OF(check_event(v, caps));
	if (groups & SWITCH_GROUPS)
		REQUIRE_LIST(v, env, ENTRY_MSR_LOAD, ENTRY_LOAD);
	return RULE_NONE;
}

/* Whether a rule can fail at all: none of the fields is new, VTPR is not in use, and there is no
 * event. Most entries stop here, before a register is saved. */
static inline bool is_settled(const struct vmcs_fields *v, u32 groups)
{
	return !is_set(groups, EXECUTION_GROUPS | SWITCH_GROUPS) &&
	       !is_set(v->f[F_PROC_CONTROLS], PROC_TPR_SHADOW) &&
	       !is_set(v->f[F_ENTRY_INTR_INFO], INTR_INFO_VALID);
}

bool vmx_check_controls(const struct vmcs_fields *v, const struct vmx_caps *offered,
			const struct vmx_check_env *env, u32 groups, struct vmx_verdict *out)
{
	if (likely(is_settled(v, groups)))
		return verdict(RULE_NONE, out);
	return verdict(check_controls(v, offered, env, groups), out);
}

bool vmx_eptp_is_valid(u64 eptp, const struct vmx_caps *offered, const struct vmx_check_env *env)
{
	return check_eptp(eptp, offered, env) == RULE_NONE;
}
