/*
 * Operands of L2's VMX instructions; see vmx_operand.h.
 */
#include "shadow-vmcs/vmx_operand.h"

#include "l1-hypervisor/leaf/x86.h"
#include "nested-ept/gpt_walk.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_linear.h"

#define INFO_SCALE(info)        ((info)&3)
#define INFO_ADDRESS_SIZE(info) ((info) >> 7 & 7)
#define INFO_SEGMENT(info)      ((info) >> 15 & 7)
#define INFO_INDEX(info)        ((info) >> 18 & 15)
#define INFO_NO_INDEX           BIT32(22)
#define INFO_BASE(info)         ((info) >> 23 & 15)
#define INFO_NO_BASE            BIT32(27)

/* Segment types, SDM 3A "Code- and Data-Segment Descriptor Types". */
#define TYPE_CODE        BIT32(3)
#define TYPE_EXPAND_DOWN BIT32(2)
#define TYPE_WRITABLE    BIT32(1) /* of data; of code: readable */

u64 vmx_operand_reg(const struct vmx_nested *n, u32 number)
{
	enum reg reg = reg_of_number(number);

	return reg == REG_RSP ? vmcs_read(GUEST_RSP) : n->regs->r[reg];
}

void vmx_operand_set_reg(struct vmx_nested *n, u32 number, u64 value, bool code64)
{
	enum reg reg = reg_of_number(number);

	if (!code64)
		value &= 0xffffffff;
	if (reg == REG_RSP)
		vmcs_write(GUEST_RSP, value);
	else
		n->regs->r[reg] = value;
}

bool vmx_operand_code64(void)
{
	return vmcs_read(GUEST_CS_AR) & AR_L;
}

static bool fault(struct vmx_nested *n, u8 vector, u32 error_code, u64 address)
{
	*n->fault = (struct fault){ vector, true, error_code, address };
	return false;
}

static u64 offset_of(const struct vmx_nested *n, u32 info)
{
	static const u64 masks[] = { 0xffff, 0xffffffff, ~0ULL };
	u64 offset = vmcs_read(EXIT_QUALIFICATION);

	if (!(info & INFO_NO_BASE))
		offset += vmx_operand_reg(n, INFO_BASE(info));
	if (!(info & INFO_NO_INDEX))
		offset += vmx_operand_reg(n, INFO_INDEX(info)) << INFO_SCALE(info);
	return offset & masks[INFO_ADDRESS_SIZE(info) > 2 ? 2 : INFO_ADDRESS_SIZE(info)];
}

/* The segment registers' fields are numbered alike, two encodings a register. */
static u64 segment_field(u32 es_field, u32 segment)
{
	return vmread_raw(es_field + 2 * segment);
}

/* SDM 3A "Limit Checking", "Type Checking": protected-mode segmentation. */
bool vmx_operand_segment_allows(u32 segment, u64 offset, u32 size, bool write)
{
	u32 ar = (u32)segment_field(VMCS_GUEST_ES_AR, segment);
	u64 limit = segment_field(VMCS_GUEST_ES_LIMIT, segment);
	u64 last = offset + size - 1;

	if (ar & AR_UNUSABLE)
		return false;
	if (ar & TYPE_CODE ? write || !(ar & TYPE_WRITABLE) : write && !(ar & TYPE_WRITABLE))
		return false;
	if (!(ar & TYPE_CODE) && (ar & TYPE_EXPAND_DOWN))
		return offset > limit && last <= (ar & AR_DB ? 0xffffffffULL : 0xffffULL);
	return last <= limit;
}

/* SDM 3A "Memory Organization": the linear address, or #GP(0), for SS #SS(0). */
static bool linear_address(struct vmx_nested *n, u32 info, u32 size, bool write, u64 *linear)
{
	u32 segment = INFO_SEGMENT(info);
	u64 offset = offset_of(n, info);
	u32 width;
	bool good;

	if (vmx_operand_code64()) {
		*linear = offset;
		if (segment >= SEG_FS)
			*linear += segment_field(VMCS_GUEST_ES_BASE, segment);
		width = vmcs_read(GUEST_CR4) & CR4_LA57 ? 57 : 48;
		good = is_canonical(*linear, width) && is_canonical(*linear + size - 1, width);
	} else {
		*linear = (offset + segment_field(VMCS_GUEST_ES_BASE, segment)) & 0xffffffff;
		good = vmx_operand_segment_allows(segment, offset, size, write);
	}
	return good || fault(n, segment == SEG_SS ? EXC_SS : EXC_GP, 0, 0);
}

static bool locate(struct vmx_nested *n, u32 info, u32 size, bool write, struct vmx_linear *where)
{
	u64 linear;

	return linear_address(n, info, size, write, &linear) &&
	       vmx_linear_find(n, linear, size, write ? GPT_WRITE : 0, where);
}

bool vmx_operand_read(struct vmx_nested *n, u32 info, void *to, u32 size)
{
	struct vmx_linear where;

	if (!locate(n, info, size, false, &where))
		return false;
	vmx_linear_get(n, &where, to);
	return true;
}

bool vmx_operand_write(struct vmx_nested *n, u32 info, const void *from, u32 size)
{
	struct vmx_linear where;

	if (!locate(n, info, size, true, &where))
		return false;
	vmx_linear_put(n, &where, from);
	return true;
}

u32 vmx_operand_code(const struct vmx_nested *n, u8 *to, u32 size)
{
	u64 linear = vmcs_read(GUEST_RIP);

	if (!vmx_operand_code64())
		linear = (linear + vmcs_read(GUEST_CS_BASE)) & 0xffffffff;
	return vmx_linear_code(n, linear, to, size);
}
