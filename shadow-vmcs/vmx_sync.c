/*
 * Moving fields between v23 (memory) and vmcs13 (hardware), by groups or one by one. Group loops are
 * unrolled by inclusion of the field table.
 */
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"
#include "shadow-vmcs/vmx_nested.h"

void vmx_load(struct vmx_nested *n, struct hw_vmcs *hw)
{
	if (n->loaded == hw)
		return;
	(void)vmptrld_raw(hw->region);
	n->loaded = hw;
	*n->enter = hw->launched ? vmx_resume : vmx_launch;
	/* From the next exit on it is launched; a failed entry takes this back. */
	hw->launched = 1;
}

/* L3's state out of vmcs13, the current VMCS. Of VG_SWITCH hardware changes one bit: with
 * unrestricted guest an exit stores EFER.LMA (SDM 3C "Saving Control Registers, Debug Registers,
 * and MSRs"). */
static inline __attribute__((always_inline)) void read_group(struct vmcs_fields *v, u32 wanted)
{
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check)                           \
	if ((group) == wanted)                                                                     \
		v->f[F_##NAME] = vmcs_read(NAME);
#include "shadow-vmcs/vmcs_fields.def"
}

static inline __attribute__((always_inline)) void write_group(const struct vmcs_fields *v,
							      u32 wanted)
{
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check)                           \
	if ((group) == wanted)                                                                     \
		vmcs_write(NAME, v->f[F_##NAME]);
#include "shadow-vmcs/vmcs_fields.def"
}

/* EFER, PAT, DR7 and DEBUGCTL are saved only when L2's exit controls say so. */
static void collect_msrs(struct vmcs_fields *v)
{
	struct vmcs_fields old = *v;
	u32 controls = vmcs_get(v, EXIT_CONTROLS);

	read_group(v, VG_MSR);
	if (!(controls & EXIT_SAVE_EFER))
		v->f[F_GUEST_EFER] = old.f[F_GUEST_EFER];
	if (!(controls & EXIT_SAVE_PAT))
		v->f[F_GUEST_PAT] = old.f[F_GUEST_PAT];
	if (!(controls & EXIT_SAVE_DEBUG)) {
		v->f[F_GUEST_DR7] = old.f[F_GUEST_DR7];
		v->f[F_GUEST_DEBUGCTL] = old.f[F_GUEST_DEBUGCTL];
	}
	v->f[F_GUEST_PERF_GLOBAL] = old.f[F_GUEST_PERF_GLOBAL];
}

static void collect_info(struct vmcs_fields *v)
{
	u64 error = v->f[F_INSTRUCTION_ERROR];

	read_group(v, VG_INFO);
	v->f[F_INSTRUCTION_ERROR] = error;
}

void vmx_collect(struct vmx_nested *n, struct vmx_slot *s, u32 groups)
{
	struct vmcs_fields *v = &s->v23;

	groups &= s->in_13;
	if (!groups)
		return;
	s->in_13 &= ~groups;
	vmx_load(n, &s->vmcs13);
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
		vmcs_set(v, ENTRY_CONTROLS,
			 (vmcs_get(v, ENTRY_CONTROLS) & ~ENTRY_GUEST_64) |
				 (vmcs_read(ENTRY_CONTROLS) & ENTRY_GUEST_64));
}

void vmx_publish13(const struct vmcs_fields *v13, u32 groups)
{
#define PUBLISH(GROUP)                                                                             \
	if (groups & BIT(GROUP))                                                                   \
		write_group(v13, GROUP);
	PUBLISH(VG_IP)
	PUBLISH(VG_EVENT)
	if (likely(!(groups & ~(BIT(VG_IP) | BIT(VG_EVENT)))))
		return;
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
#undef PUBLISH
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

void vmx_set23(struct vmx_nested *n, struct vmx_slot *s, int row, u64 value)
{
	u32 group = BIT32(vmcs_table[row].group);

	vmx_collect(n, s, group);
	s->v23.f[row] = value & vmcs_value_mask(row);
	s->stale |= group;
	s->unchecked |= group;
}

void vmx_write23(struct vmx_nested *n, struct vmx_slot *s, int row, u64 value)
{
	vmx_set23(n, s, row, value);
	/* L2 reads it without an exit although its write made one. */
	if (n->expose.access[row] != EXPOSE_TRAP)
		n->ways.access->publish(n, s);
	vmx_load(n, &n->vmcs12);
}

