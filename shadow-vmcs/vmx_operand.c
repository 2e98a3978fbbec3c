/*
 * Operands of L2's VMX instructions; see vmx_operand.h.
 */
#include "shadow-vmcs/vmx_operand.h"

#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"
#include "nested-ept/gpt_walk.h"
#include "shadow-vmcs/vmcs_hw.h"

#define INFO_SCALE(info)        ((info)&3)
#define INFO_ADDRESS_SIZE(info) ((info) >> 7 & 7)
#define INFO_SEGMENT(info)      ((info) >> 15 & 7)
#define INFO_INDEX(info)        ((info) >> 18 & 15)
#define INFO_NO_INDEX           BIT32(22)
#define INFO_BASE(info)         ((info) >> 23 & 15)
#define INFO_NO_BASE            BIT32(27)

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

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
static bool segment_allows(u32 segment, u64 offset, u32 size, bool write)
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

static bool is_canonical(u64 address)
{
	u32 unused = vmcs_read(GUEST_CR4) & CR4_LA57 ? 7 : 16;

	return (u64)((int64_t)(address << unused) >> unused) == address;
}

/* SDM 3A "Memory Organization": the linear address, or #GP(0), for SS #SS(0). */
static bool linear_address(struct vmx_nested *n, u32 info, u32 size, bool write, u64 *linear)
{
	u32 segment = INFO_SEGMENT(info);
	u64 offset = offset_of(n, info);
	bool good;

	if (vmx_operand_code64()) {
		*linear = offset;
		if (segment >= SEG_FS)
			*linear += segment_field(VMCS_GUEST_ES_BASE, segment);
		good = is_canonical(*linear) && is_canonical(*linear + size - 1);
	} else {
		*linear = (offset + segment_field(VMCS_GUEST_ES_BASE, segment)) & 0xffffffff;
		good = segment_allows(segment, offset, size, write);
	}
	return good || fault(n, segment == SEG_SS ? EXC_SS : EXC_GP, 0, 0);
}

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

/* Translates every page of an operand before a byte of it is accessed. An operand of at most 16
 * bytes lies in at most two pages. */
struct pieces {
	pa2_t at[2];
	u32 size[2];
};

static bool translate(struct vmx_nested *n, u64 linear, u32 size, bool write, struct pieces *p)
{
	struct gpt_context context;
	struct gpt_walk walk = { 0 };
	u64 pdptes[4];
	u32 first = (u32)(PAGE_SIZE - (linear & PAGE_MASK));

	fill_paging(n, &context, pdptes);
	p->size[0] = size < first ? size : first;
	p->size[1] = size - p->size[0];
	for (u32 i = 0; i < 2 && p->size[i]; i++) {
		u64 at = linear + (i ? p->size[0] : 0);

		while (true) {
			enum gpt_result r = gpt_walk(&context, at, write ? GPT_WRITE : 0, &walk);

			if (r == GPT_FAULT)
				return fault(n, EXC_PF, walk.error_code, at);
			if (r == GPT_OK)
				break;
		}
		p->at[i] = walk.pa2;
	}
	return true;
}

static bool locate(struct vmx_nested *n, u32 info, u32 size, bool write, struct pieces *p)
{
	u64 linear;

	return linear_address(n, info, size, write, &linear) &&
	       translate(n, linear, size, write, p);
}

bool vmx_operand_read(struct vmx_nested *n, u32 info, void *to, u32 size)
{
	struct pieces p;

	if (!locate(n, info, size, false, &p))
		return false;
	if (!n->core->read(p.at[0], to, p.size[0]))
		memset(to, 0xff, p.size[0]);
	if (p.size[1] && !n->core->read(p.at[1], (u8 *)to + p.size[0], p.size[1]))
		memset((u8 *)to + p.size[0], 0xff, p.size[1]);
	return true;
}

bool vmx_operand_write(struct vmx_nested *n, u32 info, const void *from, u32 size)
{
	struct pieces p;

	if (!locate(n, info, size, true, &p))
		return false;
	(void)n->core->write(p.at[0], from, p.size[0]);
	if (p.size[1])
		(void)n->core->write(p.at[1], (const u8 *)from + p.size[0], p.size[1]);
	return true;
}

u32 vmx_operand_code(const struct vmx_nested *n, u8 *to, u32 size)
{
	struct gpt_context context;
	struct gpt_walk walk;
	u64 pdptes[4];
	u64 linear = vmcs_read(GUEST_RIP);
	u32 done = 0;

	if (!vmx_operand_code64())
		linear = (linear + vmcs_read(GUEST_CS_BASE)) & 0xffffffff;
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
