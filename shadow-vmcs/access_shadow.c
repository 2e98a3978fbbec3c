/*
 * vmcs=shadow: hardware VMCS shadowing. The exposed fields of L2's current VMCS are in a shadow
 * VMCS, which L2's VMREAD and VMWRITE reach without an exit; the bitmaps say which. L1 writes them
 * there before L2 runs and reads what L2 wrote before L3 runs. Needs VMWRITE to read-only fields.
 */
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"

/* Appends the exposed rows of some groups. */
static void add_readable(struct vmx_exposure *x, const struct vmcs_expose *set, u32 groups)
{
	for (u32 i = 0; i < set->readable_count; i++) {
		int row = set->readable[i];
		u32 bit = BIT32(vmcs_table[row].group);

		if (!(bit & groups))
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
	add_readable(x, set, VG_IN_13);
	x->exit_count = x->readable_count;
	add_readable(x, set, BIT(VG_EVENT));
	x->live_count = x->readable_count;
	add_readable(x, set, VG_ALL & ~(u32)(VG_IN_13 | BIT(VG_EVENT)));
	for (u32 i = 0; i < set->writable_count; i++) {
		int row = set->writable[i];

		x->writable[x->writable_count++] =
			(struct vmx_exposed){ BIT32(vmcs_table[row].group),
					      vmcs_table[row].encoding, (u16)row };
	}
}

/* A shadow VMCS is never entered, so how it was launched is nobody's concern. */
static inline void load_shadow(struct vmx_slot *s)
{
	(void)vmptrld_raw(s->shadow.region);
}

/* The processor may keep a current VMCS to itself; L2's accesses go to memory, so it is cleared
 * (SDM 3C "Software Use of Virtual-Machine Control Structures"). */
static inline void release_shadow(struct vmx_nested *n, struct vmx_slot *s)
{
	(void)vmclear_raw(s->shadow.region);
	n->loaded = NULL;
}

/* Rows to write to the shadow VMCS; their values are in s->published. */
struct changes {
	u32 count;
	const struct vmx_exposed *row[VMCS_ROWS];
};

static inline void note(struct vmx_slot *s, const struct vmx_exposed *e, u64 value,
			struct changes *c)
{
	if (likely(value == s->published.f[e->row]))
		return;
	s->published.f[e->row] = value;
	c->row[c->count++] = e;
}

/* Rows that an exit changes, straight from vmcs13, which is loaded and has the truth of them all.
 */
static void note_exit_rows(struct vmx_nested *n, struct vmx_slot *s, struct changes *c)
{
	const struct vmx_exposed *e = n->exposure.readable;
	const struct vmx_exposed *end = e + n->exposure.exit_count;

#pragma GCC unroll 4
	for (; e < end; e++)
		note(s, e, vmread_uncounted(e->encoding), c);
	count_access(vmreads, n->exposure.exit_count);
}

static void note_rows_from(struct vmx_nested *n, struct vmx_slot *s, u32 first, struct changes *c)
{
	for (u32 i = first; i < n->exposure.live_count; i++) {
		const struct vmx_exposed *e = &n->exposure.readable[i];

		note(s, e, vmx_peek23(n, s, e->row), c);
	}
}

static void note_all_rows(struct vmx_nested *n, struct vmx_slot *s, struct changes *c)
{
	for (u32 i = 0; i < n->exposure.readable_count; i++) {
		const struct vmx_exposed *e = &n->exposure.readable[i];

		s->published.f[e->row] = vmx_peek23(n, s, e->row);
		c->row[c->count++] = e;
	}
	s->all_published = true;
}

/* Takes the exposed rows from wherever their truth is, and writes those that the shadow VMCS does
 * not hold yet. */
static void publish(struct vmx_nested *n, struct vmx_slot *s)
{
	struct changes c;

	c.count = 0;
	if (unlikely(!s->all_published)) {
		note_all_rows(n, s, &c);
	} else if (likely(s->in_13 == VG_IN_13 && !n->exposure.collect_first)) {
		vmx_load(n, &s->vmcs13);
		note_exit_rows(n, s, &c);
		if (unlikely(s->event_changed))
			note_rows_from(n, s, n->exposure.exit_count, &c);
	} else {
		note_rows_from(n, s, 0, &c);
	}
	s->event_changed = false;
	if (!c.count)
		return;
	load_shadow(s);
	for (u32 i = 0; i < c.count; i++)
		vmwrite_uncounted(c.row[i]->encoding, s->published.f[c.row[i]->row]);
	count_access(vmwrites, c.count);
	release_shadow(n, s);
}

/* What L2 wrote without an exit. */
static void collect(struct vmx_nested *n, struct vmx_slot *s)
{
	const struct vmx_exposed *e = n->exposure.writable;
	const struct vmx_exposed *end = e + n->exposure.writable_count;
	struct changes c;

	if (e == end)
		return;
	c.count = 0;
	load_shadow(s);
#pragma GCC unroll 4
	for (; e < end; e++)
		note(s, e, vmread_uncounted(e->encoding), &c);
	count_access(vmreads, n->exposure.writable_count);
	release_shadow(n, s);
	for (u32 i = 0; i < c.count; i++)
		vmx_set23(n, s, c.row[i]->row, s->published.f[c.row[i]->row]);
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
