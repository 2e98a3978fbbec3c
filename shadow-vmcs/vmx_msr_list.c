/*
 * The MSR lists of L2's VM entries and exits: SDM 3C "Loading MSRs" (27.4, 28.6), "Saving MSRs"
 * (28.4). L1 does the accesses itself, one entry copied at a time, because hardware would read
 * L2's memory again. An MSR that hardware switches with the VMCS is accessed in `state` instead,
 * and its value is checked here: with some of them in the processor L1 could not go on.
 */
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmx_nested.h"

/* SDM 3D "Miscellaneous Data" (A.6): L2 is told of 512; what more of them do is undefined. */
#define LIST_MAX 512

struct msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};

/* Where the VMCS holds an MSR; -1 when the MSR is the CPU's own all the time. */
static int row_of_msr(u32 msr, const struct vmx_msr_state *state)
{
	switch (msr) {
	case MSR_EFER:
		return F_GUEST_EFER;
	case MSR_SYSENTER_CS:
		return F_GUEST_SYSENTER_CS;
	case MSR_SYSENTER_ESP:
		return F_GUEST_SYSENTER_ESP;
	case MSR_SYSENTER_EIP:
		return F_GUEST_SYSENTER_EIP;
	case MSR_DEBUGCTL:
		return F_GUEST_DEBUGCTL;
	case MSR_FS_BASE:
		return F_GUEST_FS_BASE;
	case MSR_GS_BASE:
		return F_GUEST_GS_BASE;
	case MSR_PAT:
		return state->has_pat ? F_GUEST_PAT : -1;
	default:
		return -1;
	}
}

/* Entries that fail whatever the value: FS and GS base in a load, x2APIC registers. */
static bool is_forbidden(u32 msr, bool load)
{
	if (load && (msr == MSR_FS_BASE || msr == MSR_GS_BASE))
		return true;
	return msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST;
}

static bool read_entry(struct vmx_nested *n, pa2_t at, u32 i, struct msr_entry *entry)
{
	return i < LIST_MAX &&
	       n->core->read(PA2(at.v + i * sizeof(*entry)), entry, sizeof(*entry)) &&
	       !entry->reserved;
}

static bool is_capability(u32 msr)
{
	return msr == MSR_FEATURE_CONTROL || (msr >= MSR_VMX_BASIC && msr <= MSR_VMX_VMFUNC);
}

/* The CPU's own check of the value, then its old value back. */
static bool cpu_accepts(struct vmx_nested *n, u32 msr, u64 value)
{
	u64 old;

	if (!n->core->rdmsr(msr, &old) || !n->core->wrmsr(msr, value))
		return false;
	(void)n->core->wrmsr(msr, old);
	return true;
}

/* Whether WRMSR takes the value, with the registers as in `fields`. LMA is not written, and LME not
 * changed while there is paging (SDM 3A "IA-32e Mode Operation"). */
static bool is_valid(struct vmx_nested *n, u32 msr, u64 value, const struct vmcs_fields *fields)
{
	u64 changed = value ^ vmcs_get(fields, GUEST_EFER);

	switch (msr) {
	case MSR_EFER:
		return !(value & ~n->env.efer_allowed) &&
		       !((changed & EFER_LME) && (vmcs_get(fields, GUEST_CR0) & CR0_PG));
	case MSR_SYSENTER_CS:
		return true;
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
		return is_canonical(value, n->env.linear_width);
	case MSR_DEBUGCTL:
		return !(value & ~n->env.debugctl_allowed);
	default:
		return cpu_accepts(n, msr, value);
	}
}

static bool load_one(struct vmx_nested *n, const struct msr_entry *entry,
		     struct vmx_msr_state *state)
{
	int row = row_of_msr(entry->index, state);
	u64 value = entry->value;

	if (is_forbidden(entry->index, true) || is_capability(entry->index))
		return false;
	if (row < 0)
		return n->core->wrmsr(entry->index, value);
	if (!is_valid(n, entry->index, value, state->fields))
		return false;
	if (row == F_GUEST_EFER)
		value = (value & ~EFER_LMA) | (state->fields->f[row] & EFER_LMA);
	state->fields->f[row] = value & vmcs_value_mask(row);
	return true;
}

u32 vmx_msr_load_list(struct vmx_nested *n, pa2_t at, u32 count, struct vmx_msr_state *state)
{
	struct msr_entry entry;

	for (u32 i = 0; i < count; i++) {
		if (!read_entry(n, at, i, &entry) || !load_one(n, &entry, state))
			return i + 1;
	}
	return 0;
}

static bool read_msr(struct vmx_nested *n, u32 msr, const struct vmx_msr_state *state, u64 *value)
{
	int row = row_of_msr(msr, state);

	if (is_forbidden(msr, false))
		return false;
	if (msr == MSR_FEATURE_CONTROL) {
		*value = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
		return true;
	}
	if (is_capability(msr)) {
		*value = vmx_cap(&n->offered, msr);
		return true;
	}
	if (row >= 0) {
		*value = state->fields->f[row];
		return true;
	}
	return n->core->rdmsr(msr, value);
}

bool vmx_msr_store_list(struct vmx_nested *n, pa2_t at, u32 count,
			const struct vmx_msr_state *state)
{
	struct msr_entry entry;

	for (u32 i = 0; i < count; i++) {
		pa2_t value_at = PA2(at.v + i * sizeof(entry) + offsetof(struct msr_entry, value));

		if (!read_entry(n, at, i, &entry) ||
		    !read_msr(n, entry.index, state, &entry.value) ||
		    !n->core->write(value_at, &entry.value, sizeof(entry.value)))
			return false;
	}
	return true;
}
