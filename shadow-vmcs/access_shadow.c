/*
 * vmcs=shadow: hardware VMCS shadowing. The exposed fields of L2's current VMCS are in a shadow
 * VMCS, which L2's VMREAD and VMWRITE reach without an exit; the bitmaps say which. L1 writes them
 * there before L2 runs and reads what L2 wrote before L3 runs. Needs VMWRITE to read-only fields.
 */
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"

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
	const struct vmcs_expose *e = &n->expose;
	struct {
		u16 encoding;
		u64 value;
	} changed[VMCS_ROWS];
	u32 count = 0;

	for (u32 i = 0; i < e->readable_count; i++) {
		int row = e->readable[i];
		u64 value = vmx_peek23(n, s, row);

		if (value == s->published.f[row] && s->all_published)
			continue;
		s->published.f[row] = value;
		changed[count].encoding = vmcs_table[row].encoding;
		changed[count++].value = value;
	}
	s->all_published = true;
	if (!count)
		return;
	vmx_load(n, &s->shadow);
	for (u32 i = 0; i < count; i++)
		vmwrite_raw(changed[i].encoding, changed[i].value);
	release_shadow(n, s);
}

/* What L2 wrote without an exit. */
static void collect(struct vmx_nested *n, struct vmx_slot *s)
{
	const struct vmcs_expose *e = &n->expose;
	u64 value[VMCS_ROWS];

	vmx_load(n, &s->shadow);
	for (u32 i = 0; i < e->writable_count; i++)
		value[i] = vmread_raw(vmcs_table[e->writable[i]].encoding);
	release_shadow(n, s);
	for (u32 i = 0; i < e->writable_count; i++) {
		int row = e->writable[i];

		if (value[i] == s->published.f[row])
			continue;
		s->published.f[row] = value[i];
		vmx_set23(n, s, row, value[i]);
	}
}

/* Without a current VMCS every access exits, so that L1 fails it. */
static void attach(struct vmx_nested *n, struct vmx_slot *s)
{
	(void)n;
	u32 proc2 = vmcs_read(PROC_CONTROLS2) & ~PROC2_VMCS_SHADOWING;

	vmcs_write(PROC_CONTROLS2, s ? proc2 | PROC2_VMCS_SHADOWING : proc2);
	vmcs_write(LINK_POINTER, s ? s->shadow.region.v : ~0ULL);
}

const struct vmx_access vmx_access_shadow = {
	.attach = attach,
	.collect = collect,
	.publish = publish,
};
