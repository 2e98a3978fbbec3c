/*
 * Slots: the VMCSs of L2 that are in use on this CPU. A slot is filled from L2's memory when L2
 * makes the VMCS current and written back when L2 clears it or another one needs the slot.
 */
#include "l1-hypervisor/leaf/string.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"

_Static_assert(sizeof(struct vmx_region) <= PAGE_SIZE, "a VMCS region is one page");

static const u8 no_rows[VMCS_ENCODINGS];

/* Full-width encodings only: the high half of a field is rare. */
void vmx_slot_offer(struct vmx_nested *n)
{
	for (int row = 0; row < VMCS_ROWS; row++)
		n->rows_offered[vmcs_table[row].encoding] =
			vmx_caps_field_exists(&n->offered, row) ? (u8)(row + 1) : 0;
	n->rows = n->current ? n->rows_offered : no_rows;
}

void vmx_set_current(struct vmx_nested *n, struct vmx_slot *slot)
{
	if (n->current && n->current->at.v != NO_VMCS.v)
		n->ways.access->collect(n, n->current);
	n->current = slot;
	n->rows = slot ? n->rows_offered : no_rows;
	if (slot)
		n->ways.access->publish(n, slot);
	vmx_load(n, &n->vmcs12);
	n->ways.access->attach(n, slot);
}

static struct vmx_slot *find(struct vmx_nested *n, pa2_t at)
{
	for (u32 i = 0; i < VMX_SLOTS; i++) {
		if (n->slot[i].at.v == at.v)
			return &n->slot[i];
	}
	return NULL;
}

static void write_back(struct vmx_nested *n, struct vmx_slot *s)
{
	u32 launched = s->launched;

	if (s == n->current)
		n->ways.access->collect(n, s);
	vmx_collect(n, s, VG_ALL);
	(void)n->core->write(PA2(s->at.v + offsetof(struct vmx_region, launched)), &launched,
			     sizeof(launched));
	(void)n->core->write(PA2(s->at.v + offsetof(struct vmx_region, fields)), &s->v23,
			     sizeof(s->v23));
	s->at = NO_VMCS;
	vmx_load(n, &n->vmcs12);
}

static bool fill(struct vmx_nested *n, struct vmx_slot *s, pa2_t at)
{
	u32 launched;

	if (!n->core->read(PA2(at.v + offsetof(struct vmx_region, launched)), &launched,
			   sizeof(launched)) ||
	    !n->core->read(PA2(at.v + offsetof(struct vmx_region, fields)), &s->v23,
			   sizeof(s->v23)))
		return false;
	for (int row = 0; row < VMCS_ROWS; row++)
		s->v23.f[row] &= vmcs_value_mask(row);
	s->at = at;
	s->launched = launched == 1;
	s->stale = VG_ALL;
	s->unchecked = VG_ALL;
	s->in_13 = 0;
	s->all_published = false;
	s->passes = 0;
	return true;
}

struct vmx_slot *vmx_slot_get(struct vmx_nested *n, pa2_t at)
{
	struct vmx_slot *s = find(n, at);

	if (!s) {
		s = &n->slot[0];
		for (u32 i = 1; i < VMX_SLOTS && s->at.v != NO_VMCS.v; i++) {
			if (n->slot[i].at.v == NO_VMCS.v || n->slot[i].last_use < s->last_use)
				s = &n->slot[i];
		}
		if (s->at.v != NO_VMCS.v)
			write_back(n, s);
		if (!fill(n, s, at)) {
			s->at = NO_VMCS;
			return NULL;
		}
	}
	s->last_use = ++n->clock;
	return s;
}

void vmx_slot_clear(struct vmx_nested *n, pa2_t at)
{
	struct vmx_slot *s = find(n, at);
	u32 launched = 0;

	if (s) {
		s->launched = false;
		write_back(n, s);
		return;
	}
	(void)n->core->write(PA2(at.v + offsetof(struct vmx_region, launched)), &launched,
			     sizeof(launched));
}

void vmx_slot_clear_all(struct vmx_nested *n)
{
	for (u32 i = 0; i < VMX_SLOTS; i++) {
		if (n->slot[i].at.v != NO_VMCS.v)
			write_back(n, &n->slot[i]);
	}
}
