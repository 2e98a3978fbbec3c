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

/* What L1 or L2 changed since both knew it: which rows, and their new values. */
struct change {
	u64 encoding;
	u64 value;
	u64 row;
};

static inline u32 note(u64 *published, const struct vmx_exposed *e, u64 value,
		       struct change *changes, u32 count)
{
	if (likely(value == published[e->row]))
		return count;
	published[e->row] = value;
	changes[count] = (struct change){ e->encoding, value, e->row };
	return count + 1;
}

/* Compares exposed rows of the current VMCS with what both sides know. */
static inline u32 note_current(struct vmx_slot *s, const struct vmx_exposed *e, u32 rows,
			       struct change *changes)
{
	const struct vmx_exposed *end = e + rows;
	u64 *published = s->published.f;
	u32 count = 0;

	for (; e < end; e++)
		count = note(published, e, vmread_uncounted(e->encoding), changes, count);
	count_access(vmreads, rows);
	return count;
}

/* The same for rows that may be in v23; those of all_published count as unknown. */
static u32 note_rows(struct vmx_nested *n, struct vmx_slot *s, u32 first, struct change *changes,
		     u32 count)
{
	u32 end = s->all_published ? n->exposure.live_count : n->exposure.readable_count;

	for (u32 i = first; i < end; i++) {
		const struct vmx_exposed *e = &n->exposure.readable[i];
		u64 value = vmx_peek23(n, s, e->row);

		if (!s->all_published)
			s->published.f[e->row] = ~value;
		count = note(s->published.f, e, value, changes, count);
	}
	s->all_published = true;
	return count;
}

/* Takes the exposed rows from wherever their truth is, and writes those that the shadow VMCS does
 * not hold yet. */
static void publish(struct vmx_nested *n, struct vmx_slot *s)
{
	const struct vmx_exposure *x = &n->exposure;
	struct change changes[VMCS_ROWS];
	u32 count = 0;

	if (likely(s->in_13 == VG_IN_13 && s->all_published && !x->collect_first)) {
		vmx_load(n, &s->vmcs13);
		count = note_current(s, x->readable, x->exit_count, changes);
		if (unlikely(s->event_changed))
			count = note_rows(n, s, x->exit_count, changes, count);
	} else {
		count = note_rows(n, s, 0, changes, count);
	}
	s->event_changed = false;
	if (!count)
		return;
	load_shadow(s);
	for (u32 i = 0; i < count; i++)
		vmwrite_uncounted(changes[i].encoding, changes[i].value);
	count_access(vmwrites, count);
	release_shadow(n, s);
}

/* What L2 wrote without an exit. */
static void collect(struct vmx_nested *n, struct vmx_slot *s)
{
	const struct vmx_exposure *x = &n->exposure;
	struct change changes[VMCS_ROWS];
	u32 count;

	if (unlikely(!x->writable_count))
		return;
	load_shadow(s);
	count = note_current(s, x->writable, x->writable_count, changes);
	release_shadow(n, s);
	for (u32 i = 0; i < count; i++)
		vmx_set23(n, s, (int)changes[i].row, changes[i].value);
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
