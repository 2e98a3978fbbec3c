/*
 * The MSR lists of L2's VM entries and exits: SDM 3C "Loading MSRs" (27.4, 28.6), "Saving MSRs"
 * (28.4). L1 does the accesses itself, one entry copied at a time, because hardware would read
 * L2's memory again. An MSR that hardware switches with the VMCS is accessed in `state` instead.
 */
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmx_nested.h"

struct msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};

/* Where the VMCS holds an MSR; -1 when the MSR is the CPU's own all the time. */
static int row_of_msr(u32 msr)
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
	default:
		return -1;
	}
}

/* Entries that fail whatever the value: FS and GS base in a load, x2APIC registers, SMM's. */
static bool is_forbidden(u32 msr, bool load)
{
	if (load && (msr == MSR_FS_BASE || msr == MSR_GS_BASE))
		return true;
	return msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST;
}

static bool read_entry(struct vmx_nested *n, pa2_t at, u32 i, struct msr_entry *entry)
{
	return n->core->read(PA2(at.v + i * sizeof(*entry)), entry, sizeof(*entry)) &&
	       !entry->reserved;
}

static bool is_capability(u32 msr)
{
	return msr == MSR_FEATURE_CONTROL || (msr >= MSR_VMX_BASIC && msr <= MSR_VMX_VMFUNC);
}

static bool load_one(struct vmx_nested *n, const struct msr_entry *entry, struct vmcs_fields *state)
{
	int row = row_of_msr(entry->index);
	u64 old;

	if (is_forbidden(entry->index, true) || is_capability(entry->index))
		return false;
	if (row < 0)
		return n->core->wrmsr(entry->index, entry->value);
	/* The CPU's own check of the value, then its old value back. */
	if (!n->core->rdmsr(entry->index, &old) || !n->core->wrmsr(entry->index, entry->value))
		return false;
	(void)n->core->wrmsr(entry->index, old);
	state->f[row] = entry->value;
	return true;
}

u32 vmx_msr_load_list(struct vmx_nested *n, pa2_t at, u32 count, struct vmcs_fields *state)
{
	struct msr_entry entry;

	for (u32 i = 0; i < count; i++) {
		if (!read_entry(n, at, i, &entry) || !load_one(n, &entry, state))
			return i + 1;
	}
	return 0;
}

static bool read_msr(struct vmx_nested *n, u32 msr, const struct vmcs_fields *state, u64 *value)
{
	int row = row_of_msr(msr);

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
		*value = state->f[row];
		return true;
	}
	return n->core->rdmsr(msr, value);
}

bool vmx_msr_store_list(struct vmx_nested *n, pa2_t at, u32 count, const struct vmcs_fields *state)
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
