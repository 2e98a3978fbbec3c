/*
 * VMREAD and VMWRITE of L2 as they mostly are: between registers, at CPL 0, of a field of the
 * current VMCS whose truth is in v23. Inline, because with vmcs=trap they are most of all exits.
 * Everything else, every failure included, is left to vmx_insn(), which does the instruction from
 * the start.
 */
#ifndef SHADOW_VMCS_VMX_INSN_SIMPLE_H
#define SHADOW_VMCS_VMX_INSN_SIMPLE_H

#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_exits.h"
#include "shadow-vmcs/vmx_nested.h"
#include "shadow-vmcs/vmx_operand.h"

/* What both forms need: an operand that names a field of L2's current VMCS whose truth is in v23,
 * CPL 0, and the other operand in a register. Row + 1, or 0. Values of more than 32 bits, which
 * 32-bit code does not have, are left to vmx_insn(), so that the mode need not be asked. */
static inline u64 vmx_simple_row(const struct vmx_nested *n, u64 info, u64 encoding)
{
	u64 row1;

	count_access(vmreads, 2);
	if (unlikely((vmread_uncounted(VMCS_GUEST_SS_AR) & AR_DPL_MASK) ||
		     !(info & OPERAND_IS_REGISTER) || encoding >= VMCS_ENCODINGS))
		return 0;
	row1 = n->rows[encoding];
	if (likely(row1) && unlikely(n->current->in_13 >> vmcs_table[row1 - 1].group & 1))
		return 0;
	return row1;
}

static inline enum outcome vmx_insn_vmread(struct vmx_nested *n)
{
	u64 info = vmread_uncounted(VMCS_EXIT_INSN_INFO);
	u64 *r = n->regs->r;
	u64 row1 = vmx_simple_row(n, info, r[reg_of_number(OPERAND_REG2((u32)info))]);
	enum reg to = reg_of_number(OPERAND_REG1((u32)info));

	if (unlikely(!row1 || to == REG_RSP))
		return vmx_insn(n, VMX_EXIT_VMREAD);
	r[to] = n->current->v23.f[row1 - 1];
	return OUTCOME_VMSUCCEED;
}

static inline enum outcome vmx_insn_vmwrite(struct vmx_nested *n)
{
	u64 info = vmread_uncounted(VMCS_EXIT_INSN_INFO);
	const u64 *r = n->regs->r;
	u64 row1 = vmx_simple_row(n, info, r[reg_of_number(OPERAND_REG2((u32)info))]);
	u64 value = r[reg_of_number(OPERAND_REG1((u32)info))];

	/* The slot of RSP has more than 32 bits too. */
	if (unlikely(!row1 || value >> 32 || n->exposure.is_readable[row1 - 1] ||
		     !vmx_caps_field_is_writable(&n->offered, (int)row1 - 1)))
		return vmx_insn(n, VMX_EXIT_VMWRITE);
	vmx_set23(n, n->current, (int)row1 - 1, value);
	return OUTCOME_VMSUCCEED;
}

/* VMRESUME of a launched VMCS that no MOV SS precedes. */
static inline enum outcome vmx_insn_vmresume(struct vmx_nested *n)
{
	count_access(vmreads, 2);
	if (unlikely((vmread_uncounted(VMCS_GUEST_SS_AR) & AR_DPL_MASK) || !n->current ||
		     (vmread_uncounted(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_MOV_SS) ||
		     !n->current->launched))
		return vmx_insn(n, VMX_EXIT_VMRESUME);
	return vmx_enter_l3(n, false);
}

#endif
