/*
 * Moving fields between v23 (memory) and vmcs13 (hardware), by groups or one by one. Group loops
 * are unrolled by inclusion of the field table.
 */
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"
#include "shadow-vmcs/vmx_nested.h"

void vmx_load_other(struct vmx_nested *n, struct hw_vmcs *hw)
{
	(void)vmptrld_raw(hw->region);
	n->loaded = hw;
	*n->enter = hw->enter;
}

/* L3's state out of vmcs13, the current VMCS. Of VG_SWITCH hardware changes one bit: with
 * unrestricted guest an exit stores EFER.LMA (SDM 3C "Saving Control Registers, Debug Registers,
 * and MSRs"). */
static inline __attribute__((always_inline)) void read_group(struct vmcs_fields *v, u32 wanted)
{
	u32 rows = 0;

#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) \
	if ((group) == wanted) {                                         \
		v->f[F_##NAME] = vmcs_peek(NAME);                        \
		rows++;                                                  \
	}
#include "shadow-vmcs/vmcs_fields.def"
	count_access(vmreads, rows);
}

static inline __attribute__((always_inline)) void write_group(const struct vmcs_fields *v,
							      u32 wanted)
{
	u32 rows = 0;

#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) \
	if ((group) == wanted) {                                         \
		vmcs_poke(NAME, v->f[F_##NAME]);                         \
		rows++;                                                  \
	}
#include "shadow-vmcs/vmcs_fields.def"
	count_access(vmwrites, rows);
}

/* EFER, PAT, DR7 and DEBUGCTL are saved only when L2's exit controls say so. */
static void collect_msrs(struct vmcs_fields *v)
{
	u32 controls = vmcs_get(v, EXIT_CONTROLS);
	u64 efer = v->f[F_GUEST_EFER];
	u64 pat = v->f[F_GUEST_PAT];
	u64 dr7 = v->f[F_GUEST_DR7];
	u64 debugctl = v->f[F_GUEST_DEBUGCTL];

	read_group(v, VG_MSR);
	if (!(controls & EXIT_SAVE_EFER))
		v->f[F_GUEST_EFER] = efer;
	if (!(controls & EXIT_SAVE_PAT))
		v->f[F_GUEST_PAT] = pat;
	if (!(controls & EXIT_SAVE_DEBUG)) {
		v->f[F_GUEST_DR7] = dr7;
		v->f[F_GUEST_DEBUGCTL] = debugctl;
	}
}

static void collect_switch(struct vmcs_fields *v)
{
	vmcs_set(v, ENTRY_CONTROLS,
		 (vmcs_get(v, ENTRY_CONTROLS) & ~ENTRY_GUEST_64) |
			 (vmcs_read(ENTRY_CONTROLS) & ENTRY_GUEST_64));
}

static void collect_info(struct vmcs_fields *v)
{
	u64 error = v->f[F_INSTRUCTION_ERROR];

	read_group(v, VG_INFO);
	v->f[F_INSTRUCTION_ERROR] = error;
}

void vmx_collect_run_inputs(struct vmx_nested *n, struct vmx_slot *s)
{
	struct vmcs_fields *v = &s->v23;

	vmx_load(n, &s->vmcs13);
	if (s->in_13 & BIT(VG_CR)) {
		vmcs_set(v, GUEST_CR0, vmcs_read(GUEST_CR0));
		vmcs_set(v, GUEST_CR4, vmcs_read(GUEST_CR4));
	}
	if (s->in_13 & BIT(VG_SEG)) {
		vmcs_set(v, GUEST_CS_AR, vmcs_read(GUEST_CS_AR));
		vmcs_set(v, GUEST_SS_AR, vmcs_read(GUEST_SS_AR));
	}
	if ((s->in_13 & BIT(VG_MSR)) && (vmcs_get(v, EXIT_CONTROLS) & EXIT_SAVE_DEBUG))
		vmcs_set(v, GUEST_DEBUGCTL, vmcs_read(GUEST_DEBUGCTL));
	/* Not collected for good, for the MSRs' sake: see vmx_set23(). */
	if (s->in_13 & BIT(VG_SWITCH))
		collect_switch(v);
	vmx_collect(n, s, BIT(VG_RIP) | BIT(VG_IP));
}

void vmx_collect_exit(struct vmx_nested *n, struct vmx_slot *s)
{
	struct vmcs_fields *v = &s->v23;

	vmx_load(n, &s->vmcs13);
	read_group(v, VG_RIP);
	read_group(v, VG_IP);
	collect_info(v);
	s->in_13 &= ~(u32)(BIT(VG_RIP) | BIT(VG_IP) | BIT(VG_INFO));
}

void vmx_collect(struct vmx_nested *n, struct vmx_slot *s, u32 groups)
{
	struct vmcs_fields *v = &s->v23;

	groups &= s->in_13;
	if (!groups)
		return;
	s->in_13 &= ~groups;
	vmx_load(n, &s->vmcs13);
	if (groups & BIT(VG_RIP))
		read_group(v, VG_RIP);
	if (groups & BIT(VG_IP))
		read_group(v, VG_IP);
	if (groups & BIT(VG_CR))
		read_group(v, VG_CR);
	if (groups & BIT(VG_PDPTE))
		read_group(v, VG_PDPTE);
	if (groups & BIT(VG_SEG))
		read_group(v, VG_SEG);
	if (groups & BIT(VG_TABLES))
		read_group(v, VG_TABLES);
	if (groups & BIT(VG_MSR))
		collect_msrs(v);
	if (groups & BIT(VG_INFO))
		collect_info(v);
	if (groups & BIT(VG_SWITCH))
		collect_switch(v);
}

#define PUBLISH(GROUP)           \
	if (groups & BIT(GROUP)) \
		write_group(v, GROUP);

void vmx_publish_run(const struct vmcs_fields *v, u32 groups)
{
	PUBLISH(VG_RIP)
	PUBLISH(VG_IP)
	PUBLISH(VG_EVENT)
}

void vmx_publish_rest(const struct vmcs_fields *v, u32 groups)
{
	PUBLISH(VG_CTRL)
	PUBLISH(VG_CRMASK)
	PUBLISH(VG_SWITCH)
	PUBLISH(VG_BITMAPS)
	PUBLISH(VG_TSC)
	PUBLISH(VG_STAGE2)
	PUBLISH(VG_APIC)
	PUBLISH(VG_CR)
	PUBLISH(VG_PDPTE)
	PUBLISH(VG_SEG)
	PUBLISH(VG_TABLES)
	PUBLISH(VG_MSR)
}

/* Rows of VG_MSR cannot be taken one by one: where their truth is depends on L2's controls. Rows of
 * VG_SWITCH, but one, are never changed by hardware, and INSTRUCTION_ERROR is L1's to set. */
static bool is_in_13(const struct vmx_slot *s, int row)
{
	u32 group = vmcs_table[row].group;

	if (likely(!(s->in_13 & BIT(group))))
		return false;
	if (group == VG_SWITCH)
		return row == F_ENTRY_CONTROLS;
	return row != F_INSTRUCTION_ERROR;
}

u64 vmx_peek23(struct vmx_nested *n, struct vmx_slot *s, int row)
{
	u64 value;

	if (!is_in_13(s, row))
		return s->v23.f[row];
	if (vmcs_table[row].group == VG_MSR) {
		vmx_collect(n, s, BIT(VG_MSR));
		return s->v23.f[row];
	}
	vmx_load(n, &s->vmcs13);
	value = vmread_raw(vmcs_table[row].encoding);
	if (row == F_ENTRY_CONTROLS)
		value = (s->v23.f[row] & ~(u64)ENTRY_GUEST_64) | (value & ENTRY_GUEST_64);
	return value;
}

u64 vmx_read23(struct vmx_nested *n, struct vmx_slot *s, int row)
{
	u64 value = vmx_peek23(n, s, row);

	vmx_load(n, &n->vmcs12);
	return value;
}

/* What the last exit saved of MSRs follows from the exit controls as they were. */
__attribute__((noinline)) static void collect_before_write(struct vmx_nested *n, struct vmx_slot *s,
							   u32 group)
{
	vmx_collect(n, s, group == BIT32(VG_SWITCH) ? group | BIT32(VG_MSR) : group);
}

void vmx_set23(struct vmx_nested *n, struct vmx_slot *s, int row, u64 value)
{
	u32 group = BIT32(vmcs_table[row].group);

	/* RIP is alone in its group and overwritten whole. */
	if (row == F_GUEST_RIP)
		s->in_13 &= ~group;
	else if (s->in_13 & group)
		collect_before_write(n, s, group);
	value &= vmcs_value_mask(row);
	if (s->v23.f[row] == value && !(s->stale & group) && row != F_GUEST_RIP)
		return;
	s->v23.f[row] = value;
	s->stale |= group;
	s->unchecked |= group;
}

void vmx_write23(struct vmx_nested *n, struct vmx_slot *s, int row, u64 value)
{
	vmx_set23(n, s, row, value);
	/* L2 reads it without an exit although its write made one. */
	if (n->exposure.is_readable[row])
		n->ways.access->publish(n, s);
	vmx_load(n, &n->vmcs12);
}
