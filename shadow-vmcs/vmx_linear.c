/*
 * L2's memory by linear addresses; see vmx_linear.h.
 */
#include "shadow-vmcs/vmx_linear.h"

#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"
#include "nested-ept/gpt_walk.h"
#include "shadow-vmcs/vmcs_hw.h"

static void fill_paging(const struct vmx_nested *n, struct gpt_context *c, u64 pdptes[4])
{
	*c = (struct gpt_context){
		.cr0 = vmcs_read(GUEST_CR0),
		.cr3 = vmcs_read(GUEST_CR3),
		.cr4 = vmcs_read(GUEST_CR4),
		.efer = vmcs_read(GUEST_EFER),
		.rflags = vmcs_read(GUEST_RFLAGS),
		.pdptes = pdptes,
		.physical_bits = n->core->physical_bits,
		.has_1g_pages = true,
		.memory = n->core->memory,
	};
	pdptes[0] = vmcs_read(GUEST_PDPTE0);
	pdptes[1] = vmcs_read(GUEST_PDPTE1);
	pdptes[2] = vmcs_read(GUEST_PDPTE2);
	pdptes[3] = vmcs_read(GUEST_PDPTE3);
}

bool vmx_linear_find(struct vmx_nested *n, u64 linear, u32 size, u32 access,
		     struct vmx_linear *where)
{
	struct gpt_context context;
	struct gpt_walk walk = { 0 };
	u64 pdptes[4];
	u32 first = (u32)(PAGE_SIZE - (linear & PAGE_MASK));

	fill_paging(n, &context, pdptes);
	where->size[0] = size < first ? size : first;
	where->size[1] = size - where->size[0];
	for (u32 i = 0; i < 2 && where->size[i]; i++) {
		u64 at = linear + (i ? where->size[0] : 0);

		while (true) {
			enum gpt_result r = gpt_walk(&context, at, access, &walk);

			if (r == GPT_FAULT) {
				*n->fault = (struct fault){ EXC_PF, true, walk.error_code, at };
				return false;
			}
			if (r == GPT_OK)
				break;
		}
		where->at[i] = walk.pa2;
	}
	return true;
}

void vmx_linear_get(const struct vmx_nested *n, const struct vmx_linear *where, void *to)
{
	u8 *piece = to;

	for (u32 i = 0; i < 2 && where->size[i]; piece += where->size[i++]) {
		if (!n->core->read(where->at[i], piece, where->size[i]))
			memset(piece, 0xff, where->size[i]);
	}
}

void vmx_linear_put(const struct vmx_nested *n, const struct vmx_linear *where, const void *from)
{
	const u8 *piece = from;

	for (u32 i = 0; i < 2 && where->size[i]; piece += where->size[i++])
		(void)n->core->write(where->at[i], piece, where->size[i]);
}

u32 vmx_linear_code(const struct vmx_nested *n, u64 linear, u8 *to, u32 size)
{
	struct gpt_context context;
	struct gpt_walk walk;
	u64 pdptes[4];
	u32 done = 0;

	fill_paging(n, &context, pdptes);
	while (done < size) {
		u64 at = linear + done;
		u32 left = (u32)(PAGE_SIZE - (at & PAGE_MASK));
		u32 now = left < size - done ? left : size - done;

		if (gpt_walk(&context, at, GPT_FETCH, &walk) != GPT_OK ||
		    !n->core->read(walk.pa2, to + done, now))
			break;
		done += now;
	}
	return done;
}
