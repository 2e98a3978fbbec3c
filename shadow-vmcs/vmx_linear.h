/*
 * Linear addresses of L2: its memory through its own page tables, as the state in vmcs12, which
 * must be loaded, says. What is found first and accessed afterwards cannot fault in between, so
 * that an instruction with several accesses can check all of them before it changes anything.
 */
#ifndef SHADOW_VMCS_VMX_LINEAR_H
#define SHADOW_VMCS_VMX_LINEAR_H

#include "shadow-vmcs/vmx_nested.h"

/* Where up to a page of linear memory lies: in at most two pages. */
struct vmx_linear {
	pa2_t at[2];
	u32 size[2];
};

/* Finds `size` bytes at `linear` for an access of the kinds GPT_... in `access`. False when that is
 * a page fault: n->fault is set. */
bool vmx_linear_find(struct vmx_nested *n, u64 linear, u32 size, u32 access,
		     struct vmx_linear *where);

/* Reads or writes them. Memory that L2 does not have reads as ones and forgets what is written. */
void vmx_linear_get(const struct vmx_nested *n, const struct vmx_linear *where, void *to);
void vmx_linear_put(const struct vmx_nested *n, const struct vmx_linear *where, const void *from);

/* Reads up to `size` bytes of code at `linear`; how many it got. */
u32 vmx_linear_code(const struct vmx_nested *n, u64 linear, u8 *to, u32 size);

#endif
