/*
 * The VMX instructions of L2: permission, operands, effect, and how each fails. Every function
 * follows the operation section of its instruction in SDM 3C "VMX Instruction Reference"; modes in
 * which an instruction is #UD for the processor itself never exit.
 */
#include "l1-hypervisor/leaf/x86.h"
#include "nested-ept/ept.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_exits.h"
#include "shadow-vmcs/vmx_nested.h"
#include "shadow-vmcs/vmx_operand.h"

/* Kept out of the way of VMRESUME, which is executed most. */
#define RARE __attribute__((noinline))

static enum outcome raise(struct vmx_nested *n, u8 vector)
{
	*n->fault = (struct fault){ .vector = vector, .has_error_code = vector == EXC_GP };
	return OUTCOME_EXCEPTION;
}

/* SDM 3C "Conventions" (31.2): VMfail(n) needs a current VMCS to leave its number in. */
static enum outcome fail(struct vmx_nested *n, enum vmxerr error)
{
	if (!n->current)
		return OUTCOME_VMFAIL_INVALID;
	n->current->v23.f[F_INSTRUCTION_ERROR] = error;
	return OUTCOME_VMFAIL_VALID;
}

static bool is_bad_pointer(const struct vmx_nested *n, u64 pointer)
{
	return (pointer & PAGE_MASK) || pointer >> n->core->physical_bits;
}

/* The revision that the region begins with; all ones where L2 has no memory. */
static u32 revision_at(struct vmx_nested *n, u64 pointer)
{
	u32 revision;

	if (!n->core->read(PA2(pointer), &revision, sizeof(revision)))
		return ~0U;
	return revision;
}

/* Reads the 64-bit pointer that VMXON, VMCLEAR and VMPTRLD take. */
static bool read_pointer(struct vmx_nested *n, u64 *pointer)
{
	return vmx_operand_read(n, vmcs_read(EXIT_INSN_INFO), pointer, sizeof(*pointer));
}

static bool cr_bits_allow_vmx(const struct vmx_nested *n)
{
	u64 mask0 = vmcs_read(CR0_MASK);
	u64 cr0 = (vmcs_read(GUEST_CR0) & ~mask0) | (vmcs_read(CR0_SHADOW) & mask0);
	u64 cr4 = vmcs_read(GUEST_CR4);
	u64 must0 = vmx_cap(&n->offered, MSR_VMX_CR0_FIXED0);
	u64 must4 = vmx_cap(&n->offered, MSR_VMX_CR4_FIXED0);

	return (cr0 & must0) == must0 && !(cr0 & ~vmx_cap(&n->offered, MSR_VMX_CR0_FIXED1)) &&
	       (cr4 & must4) == must4 && !(cr4 & ~vmx_cap(&n->offered, MSR_VMX_CR4_FIXED1));
}

static RARE enum outcome vmxon(struct vmx_nested *n)
{
	u64 pointer;

	if (n->on)
		return fail(n, VMXERR_VMXON_IN_ROOT);
	if (!cr_bits_allow_vmx(n))
		return raise(n, EXC_GP);
	if (!read_pointer(n, &pointer))
		return OUTCOME_EXCEPTION;
	if (is_bad_pointer(n, pointer) || revision_at(n, pointer) != VMX_CAPS_REVISION)
		return OUTCOME_VMFAIL_INVALID;
	n->on = true;
	n->vmxon_region = PA2(pointer);
	vmx_set_current(n, NULL);
	/* SDM 3C "Restrictions on VMX Operation": PE and PG stay set. */
	vmcs_write(CR0_MASK, CR0_NE | CR0_PE | CR0_PG);
	vmcs_write(CR0_SHADOW, vmcs_read(GUEST_CR0));
	return OUTCOME_VMSUCCEED;
}

static RARE enum outcome vmxoff(struct vmx_nested *n)
{
	vmx_slot_clear_all(n);
	vmx_set_current(n, NULL);
	n->on = false;
	vmcs_write(CR0_MASK, CR0_NE);
	return OUTCOME_VMSUCCEED;
}

static RARE enum outcome vmclear(struct vmx_nested *n)
{
	u64 pointer;

	if (!read_pointer(n, &pointer))
		return OUTCOME_EXCEPTION;
	if (is_bad_pointer(n, pointer))
		return fail(n, VMXERR_VMCLEAR_ADDRESS);
	if (pointer == n->vmxon_region.v)
		return fail(n, VMXERR_VMCLEAR_VMXON_POINTER);
	bool was_current = n->current && n->current->at.v == pointer;

	vmx_slot_clear(n, PA2(pointer));
	if (was_current)
		vmx_set_current(n, NULL);
	return OUTCOME_VMSUCCEED;
}

static RARE enum outcome vmptrld(struct vmx_nested *n)
{
	struct vmx_slot *slot;
	u64 pointer;

	if (!read_pointer(n, &pointer))
		return OUTCOME_EXCEPTION;
	if (is_bad_pointer(n, pointer))
		return fail(n, VMXERR_VMPTRLD_ADDRESS);
	if (pointer == n->vmxon_region.v)
		return fail(n, VMXERR_VMPTRLD_VMXON_POINTER);
	if (n->current && n->current->at.v == pointer)
		return OUTCOME_VMSUCCEED;
	if (revision_at(n, pointer) != VMX_CAPS_REVISION)
		return fail(n, VMXERR_VMPTRLD_REVISION);
	slot = vmx_slot_get(n, PA2(pointer));
	if (!slot)
		return fail(n, VMXERR_VMPTRLD_REVISION);
	vmx_set_current(n, slot);
	return OUTCOME_VMSUCCEED;
}

static RARE enum outcome vmptrst(struct vmx_nested *n)
{
	u64 pointer = n->current ? n->current->at.v : NO_VMCS.v;

	if (!vmx_operand_write(n, vmcs_read(EXIT_INSN_INFO), &pointer, sizeof(pointer)))
		return OUTCOME_EXCEPTION;
	return OUTCOME_VMSUCCEED;
}

/* The row that VMREAD or VMWRITE names, or -1. SDM 3C "VMREAD": an encoding beyond 32 bits is no
 * field; 32-bit code has no more. */
static int named_row(const struct vmx_nested *n, u64 encoding)
{
	int row = vmcs_row_of(encoding);

	return row >= 0 && vmx_caps_field_exists(&n->offered, row) ? row : -1;
}

static RARE enum outcome vmread(struct vmx_nested *n)
{
	u32 info = vmcs_read(EXIT_INSN_INFO);
	bool code64 = vmx_operand_code64();
	u64 encoding = vmx_operand_reg(n, OPERAND_REG2(info));
	u64 value;
	int row;

	if (!n->current)
		return OUTCOME_VMFAIL_INVALID;
	row = named_row(n, code64 ? encoding : (u32)encoding);
	if (row < 0)
		return fail(n, VMXERR_FIELD_UNSUPPORTED);
	value = vmx_read23(n, n->current, row);
	if (encoding & VMCS_HIGH)
		value >>= 32;
	if (info & OPERAND_IS_REGISTER)
		vmx_operand_set_reg(n, OPERAND_REG1(info), value, code64);
	else if (!vmx_operand_write(n, info, &value, code64 ? 8 : 4))
		return OUTCOME_EXCEPTION;
	return OUTCOME_VMSUCCEED;
}

static RARE enum outcome vmwrite(struct vmx_nested *n)
{
	u32 info = vmcs_read(EXIT_INSN_INFO);
	bool code64 = vmx_operand_code64();
	u64 encoding = vmx_operand_reg(n, OPERAND_REG2(info));
	u64 value = 0;
	int row;

	if (!n->current)
		return OUTCOME_VMFAIL_INVALID;
	if (info & OPERAND_IS_REGISTER)
		value = vmx_operand_reg(n, OPERAND_REG1(info));
	else if (!vmx_operand_read(n, info, &value, code64 ? 8 : 4))
		return OUTCOME_EXCEPTION;
	if (!code64)
		value = (u32)value;
	row = named_row(n, code64 ? encoding : (u32)encoding);
	if (row < 0)
		return fail(n, VMXERR_FIELD_UNSUPPORTED);
	if (!vmx_caps_field_is_writable(&n->offered, row))
		return fail(n, VMXERR_FIELD_READ_ONLY);
	if (encoding & VMCS_HIGH)
		value = (u32)vmx_read23(n, n->current, row) | value << 32;
	vmx_write23(n, n->current, row, value);
	return OUTCOME_VMSUCCEED;
}

/* SDM 3C "VMLAUNCH/VMRESUME". */
static enum outcome launch(struct vmx_nested *n, bool is_launch)
{
	if (!n->current)
		return OUTCOME_VMFAIL_INVALID;
	if (vmcs_read(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_MOV_SS)
		return fail(n, VMXERR_ENTRY_MOV_SS);
	if (is_launch && n->current->launched)
		return fail(n, VMXERR_VMLAUNCH_NOT_CLEAR);
	if (!is_launch && !n->current->launched)
		return fail(n, VMXERR_VMRESUME_NOT_LAUNCHED);
	return vmx_enter_l3(n, is_launch);
}

/* The type is a register operand, the descriptor 128 bits of memory. */
static bool read_invalidation(struct vmx_nested *n, u64 *type, u64 descriptor[2])
{
	u32 info = vmcs_read(EXIT_INSN_INFO);

	*type = vmx_operand_reg(n, OPERAND_REG2(info));
	if (!vmx_operand_code64())
		*type = (u32)*type;
	return vmx_operand_read(n, info, descriptor, 16);
}

static bool type_is_offered(u64 caps, u64 first_bit, u64 type)
{
	return type < 4 && (caps >> (first_bit + type) & 1);
}

/* SDM 3C "INVEPT": bits of IA32_VMX_EPT_VPID_CAP from 24 on say which types there are. */
static RARE enum outcome invept(struct vmx_nested *n)
{
	u64 caps = vmx_cap(&n->offered, MSR_VMX_EPT_VPID_CAP);
	u64 descriptor[2];
	u64 type;

	if (!(caps & EPT_CAP_INVEPT))
		return raise(n, EXC_UD);
	if (!read_invalidation(n, &type, descriptor))
		return OUTCOME_EXCEPTION;
	if (!type_is_offered(caps, 24, type))
		return fail(n, VMXERR_INVALIDATE_OPERAND);
	if (type == INVEPT_GLOBAL) {
		vmx_drop_ept13(n, NULL);
		return OUTCOME_VMSUCCEED;
	}
	if (!vmx_eptp_is_valid(descriptor[0], &n->offered, &n->env))
		return fail(n, VMXERR_INVALIDATE_OPERAND);
	vmx_drop_ept13(n, &descriptor[0]);
	return OUTCOME_VMSUCCEED;
}

/* SDM 3C "INVVPID": bits 40 to 43 of IA32_VMX_EPT_VPID_CAP say which types there are. */
static RARE enum outcome invvpid(struct vmx_nested *n)
{
	u64 caps = vmx_cap(&n->offered, MSR_VMX_EPT_VPID_CAP);
	u64 descriptor[2];
	u64 type;

	if (!(caps & VPID_CAP_INVVPID))
		return raise(n, EXC_UD);
	if (!read_invalidation(n, &type, descriptor))
		return OUTCOME_EXCEPTION;
	if (!type_is_offered(caps, 40, type) || descriptor[0] >> 16)
		return fail(n, VMXERR_INVALIDATE_OPERAND);
	if (type != INVVPID_ALL && !descriptor[0])
		return fail(n, VMXERR_INVALIDATE_OPERAND);
	if (type == INVVPID_ADDRESS && !is_canonical(descriptor[1], n->env.linear_width))
		return fail(n, VMXERR_INVALIDATE_OPERAND);
	vmx_drop_vpid(n, (enum invvpid_type)type, (u16)descriptor[0], descriptor[1]);
	return OUTCOME_VMSUCCEED;
}

/* VMCALL exits in every mode; in VMX root operation without a dual-monitor it fails. */
static RARE enum outcome vmcall(struct vmx_nested *n)
{
	if ((vmcs_read(GUEST_RFLAGS) & RFLAGS_VM) ||
	    ((vmcs_read(GUEST_EFER) & EFER_LMA) && !vmx_operand_code64()))
		return raise(n, EXC_UD);
	if (vmcs_read(GUEST_SS_AR) & AR_DPL_MASK)
		return raise(n, EXC_GP);
	return fail(n, VMXERR_VMCALL_IN_ROOT);
}

static enum outcome execute(struct vmx_nested *n, u32 reason)
{
	switch (reason) {
	case VMX_EXIT_VMREAD:
		return vmread(n);
	case VMX_EXIT_VMWRITE:
		return vmwrite(n);
	case VMX_EXIT_VMRESUME:
		return launch(n, false);
	case VMX_EXIT_VMLAUNCH:
		return launch(n, true);
	case VMX_EXIT_VMPTRLD:
		return vmptrld(n);
	case VMX_EXIT_VMPTRST:
		return vmptrst(n);
	case VMX_EXIT_VMCLEAR:
		return vmclear(n);
	case VMX_EXIT_VMXON:
		return vmxon(n);
	case VMX_EXIT_VMXOFF:
		return vmxoff(n);
	case VMX_EXIT_INVEPT:
		return invept(n);
	case VMX_EXIT_INVVPID:
		return invvpid(n);
	case VMX_EXIT_VMCALL:
		return vmcall(n);
	default:
		return raise(n, EXC_UD);
	}
}

enum outcome vmx_insn(struct vmx_nested *n, u32 reason)
{
	bool allowed = n->on || (reason == VMX_EXIT_VMXON && n->enabled &&
				 (vmcs_read(CR4_SHADOW) & CR4_VMXE));

	if (unlikely(!allowed))
		return raise(n, EXC_UD);
	if (unlikely(vmcs_read(GUEST_SS_AR) & AR_DPL_MASK) && reason != VMX_EXIT_VMCALL)
		return raise(n, EXC_GP);
	return execute(n, reason);
}
