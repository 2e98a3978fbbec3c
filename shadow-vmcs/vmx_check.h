/*
 * The checks of a VM entry (SDM 3C chapter "VM Entries"), on vmcs23 as L1 keeps it. Pure. What is
 * asked again is what may have changed: rules whose fields lie in unchanged groups, and that the
 * last successful entry passed, are skipped. Every rule is quoted in vmx_check_rules.def.
 */
#ifndef SHADOW_VMCS_VMX_CHECK_H
#define SHADOW_VMCS_VMX_CHECK_H

#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/vmcs_fields.h"
#include "shadow-vmcs/vmx_bits.h"
#include "shadow-vmcs/vmx_caps.h"

/* A section of the manual. */
struct vmx_area {
	const char *title;
	const char *number;
};

/* A rule, and where the manual states it. */
struct vmx_rule {
	const char *text;
	const struct vmx_area *area;
	u64 qualification; /* of the exit when guest state fails this rule */
};

enum vmx_rule_id {
	RULE_NONE, /* all rules hold */
#define VMX_RULE(ID, AREA, qualification, text) RULE_##ID,
#include "shadow-vmcs/vmx_check_rules.def"
	RULE_COUNT,
};

/* By enum vmx_rule_id; the row of RULE_NONE is empty. */
extern const struct vmx_rule vmx_rules[RULE_COUNT];

/* What a check came to: the rule that fails first, or NULL. */
struct vmx_verdict {
	const struct vmx_rule *rule;
	u64 qualification;
};

/* What the rules need to know besides vmcs23 and the capabilities. */
struct vmx_check_env {
	u64 physical_reserved; /* the address bits at and beyond L2's physical-address width */
	u8 linear_width;       /* 48, or 57 with 5-level paging */
	bool long_mode;        /* L2 is in IA-32e mode at the entry */
	bool has_sgx;
	bool has_rtm;
	u64 efer_allowed;     /* the bits that IA32_EFER has for L2 */
	u64 debugctl_allowed; /* the bits that IA32_DEBUGCTL has for L2 */
	pa2_t current_vmcs;
	/* Reads L2's memory: all ones where there is none, as the bus reads. */
	void (*read)(void *ctx, pa2_t at, void *to, size_t size);
	void *ctx;
};

/* The secondary controls in force: none unless the primary ones activate them (25.6.2). */
static inline u32 vmcs_active_proc2(const struct vmcs_fields *v)
{
	if (!(v->f[F_PROC_CONTROLS] & PROC_SECONDARY))
		return 0;
	return vmcs_get(v, PROC_CONTROLS2);
}

/*
 * Each returns whether all its rules hold, in the manual's order, and describes the first that does
 * not in *out. `groups` has bit G set for each group that changed since an entry with this vmcs23
 * last passed all three; VG_ALL when there was none. `offered` and everything in *env except
 * long_mode and current_vmcs must be those of that entry. Rules of a stale group look at fields of
 * others too; v must be true there. With VG_IP and VG_EVENT alone these are CR0, CR4, DEBUGCTL, the
 * access rights of CS and SS, the link pointer, all controls, TPR threshold and virtual-APIC
 * address, and with PAE paging CR3 and the PDPTEs. A failure is VMfail 7 for the controls, 8 for
 * the host state, and for the guest state an exit with reason 33 and the qualification given.
 */
bool vmx_check_controls(const struct vmcs_fields *v, const struct vmx_caps *offered,
			const struct vmx_check_env *env, u32 groups, struct vmx_verdict *out);
bool vmx_check_host(const struct vmcs_fields *v, const struct vmx_caps *offered,
		    const struct vmx_check_env *env, u32 groups, struct vmx_verdict *out);
bool vmx_check_guest(const struct vmcs_fields *v, const struct vmx_caps *offered,
		     const struct vmx_check_env *env, u32 groups, struct vmx_verdict *out);

/*
 * For an entry with nothing new but RIP. vmx_check_is_steady() says, after all rules held, whether
 * only the rule on RIP can fail then: no rule reads L2's memory, and none asks for L2's mode. That
 * rule looks at the access rights of CS and at "IA-32e mode guest" too; v must be true there.
 */
bool vmx_check_is_steady(const struct vmcs_fields *v, const struct vmx_check_env *env);
bool vmx_check_rip(const struct vmcs_fields *v, const struct vmx_check_env *env);

/* Whether a load of the four PDPTEs would accept them; exits to a PAE host ask it too. */
bool vmx_pdptes_are_valid(const u64 pdptes[4], const struct vmx_check_env *env);

/* Whether an entry would accept this EPTP; INVEPT asks it too. */
bool vmx_eptp_is_valid(u64 eptp, const struct vmx_caps *offered, const struct vmx_check_env *env);

#endif
