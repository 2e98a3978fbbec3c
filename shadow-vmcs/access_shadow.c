/*
 * vmcs=shadow: hardware VMCS shadowing. The exposed fields of L2's current VMCS are in a shadow
 * VMCS, which L2's VMREAD and VMWRITE reach without an exit; the bitmaps say which. L1 writes them
 * there before L2 runs and reads what L2 wrote before L3 runs. Needs VMWRITE to read-only fields.
 */
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"

/* Rows that an exit, or L1, changes; all others change only when L2 writes them. */
#define VG_LIVE (VG_IN_13 | BIT(VG_EVENT))

static void add_readable(struct vmx_exposure *x, const struct vmcs_expose *set, bool live)
{
	for (u32 i = 0; i < set->readable_count; i++) {
		int row = set->readable[i];
		u32 bit = BIT32(vmcs_table[row].group);

		if (!!(bit & VG_LIVE) != live)
			continue;
		x->readable[x->readable_count++] =
			(struct vmx_exposed){ bit, vmcs_table[row].encoding, (u16)row };
		x->is_readable[row] = true;
		x->collect_first |= bit & (BIT(VG_MSR) | BIT(VG_SWITCH));
	}
}

void vmx_exposure_make(struct vmx_exposure *x, const struct vmcs_expose *set)
{
	*x = (struct vmx_exposure){ 0 };
	add_readable(x, set, true);
	x->live_count = x->readable_count;
	add_readable(x, set, false);
	for (u32 i = 0; i < set->writable_count; i++) {
		int row = set->writable[i];

		x->writable[x->writable_count++] =
			(struct vmx_exposed){ BIT32(vmcs_table[row].group),
					      vmcs_table[row].encoding, (u16)row };
	}
}

/* The processor may keep a current VMCS to itself; L2's accesses go to memory, so it is cleared
 * (SDM 3C "Software Use of Virtual-Machine Control Structures"). */
static void release_shadow(struct vmx_nested *n, struct vmx_slot *s)
{
	(void)vmclear_raw(s->shadow.region);
	n->loaded = NULL;
}

/* Takes the exposed rows from wherever their truth is, and writes those that the shadow VMCS does
 * not hold yet. */
static void publish(struct vmx_nested *n, struct vmx_slot *s)
{
	const struct vmx_exposure *x = &n->exposure;
	const struct vmx_exposed *end =
		x->readable + (s->all_published ? x->live_count : x->readable_count);
	const struct vmx_exposed *changed[VMCS_ROWS];
	u32 count = 0;

	if (x->collect_first & s->in_13)
		vmx_collect(n, s, x->collect_first);
	if (s->in_13)
		vmx_load(n, &s->vmcs13);
	for (const struct vmx_exposed *e = x->readable; e < end; e++) {
		u64 value = s->in_13 & e->group_bit ? vmread_uncounted(e->encoding)
						    : s->v23.f[e->row];

		if (value == s->published.f[e->row] && s->all_published)
			continue;
		s->published.f[e->row] = value;
		changed[count++] = e;
	}
	if (s->in_13)
		count_access(vmreads, end - x->readable);
	s->all_published = true;
	if (!count)
		return;
	vmx_load(n, &s->shadow);
	for (u32 i = 0; i < count; i++)
		vmwrite_uncounted(changed[i]->encoding, s->published.f[changed[i]->row]);
	count_access(vmwrites, count);
	release_shadow(n, s);
}

/* What L2 wrote without an exit. */
static void collect(struct vmx_nested *n, struct vmx_slot *s)
{
	const struct vmx_exposure *x = &n->exposure;
	const struct vmx_exposed *end = x->writable + x->writable_count;
	const struct vmx_exposed *changed[VMCS_ROWS];
	u32 count = 0;

	if (!x->writable_count)
		return;
	vmx_load(n, &s->shadow);
	for (const struct vmx_exposed *e = x->writable; e < end; e++) {
		u64 value = vmread_uncounted(e->encoding);

		if (likely(value == s->published.f[e->row]))
			continue;
		s->published.f[e->row] = value;
		changed[count++] = e;
	}
	count_access(vmreads, x->writable_count);
	release_shadow(n, s);
	for (u32 i = 0; i < count; i++)
		vmx_set23(n, s, changed[i]->row, s->published.f[changed[i]->row]);
}

/* Without a current VMCS every access exits, so that L1 fails it. */
static void attach(struct vmx_nested *n, struct vmx_slot *s)
{
	u32 proc2 = vmcs_read(PROC_CONTROLS2) & ~PROC2_VMCS_SHADOWING;

	(void)n;
	vmcs_write(PROC_CONTROLS2, s ? proc2 | PROC2_VMCS_SHADOWING : proc2);
	vmcs_write(LINK_POINTER, s ? s->shadow.region.v : ~0ULL);
}

const struct vmx_access vmx_access_shadow = {
	.attach = attach,
	.collect = collect,
	.publish = publish,
};
