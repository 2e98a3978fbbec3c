/*
 * Instruction lengths from a guest's code. Opcodes come from svm_exits.def, where one instruction
 * makes the exit; the few that need more than a row are in opcode_is_at() and decode().
 */
#include "shadow-vmcs/svm_length.h"

#include "nested-ept/gpt_walk.h"

/* APM 3 "Instruction Encoding" (1.1). */
#define LONGEST_INSTRUCTION 15
#define ADDRESS_SIZE_PREFIX 0x67

struct opcode {
	u8 length; /* 0: no single instruction makes this exit */
	u8 byte[3];
};

#define NO_OPCODE \
	{         \
		0 \
	}
#define OPCODE1(a)        \
	{                 \
		1,        \
		{         \
			a \
		}         \
	}
#define OPCODE2(a, b)        \
	{                    \
		2,           \
		{            \
			a, b \
		}            \
	}
#define OPCODE3(a, b, c)        \
	{                       \
		3,              \
		{               \
			a, b, c \
		}               \
	}

static const struct opcode opcodes[SVM_EXITS] = {
#define SVM_EXIT(number, NAME, handler, opcode) [number] = opcode,
#include "shadow-vmcs/svm_exits.def"
};

/* A guest's code from CS:RIP on, byte by byte: no page is looked at before its first byte. */
struct code {
	const struct vmcb_save *s;
	struct gpt_context paging;
	bool is_64_bit;
	u32 taken;
	u8 byte[LONGEST_INSTRUCTION];
	pa2_t at; /* of the byte taken last */
};

static void code_begin(struct code *code, const struct vmcb_save *s,
		       const struct nept_memory *memory)
{
	code->s = s;
	code->paging = (struct gpt_context){ .cr0 = s->cr0,
					     .cr3 = s->cr3,
					     .cr4 = s->cr4,
					     .efer = s->efer,
					     .rflags = s->rflags,
					     .physical_bits = 52,
					     .has_1g_pages = true,
					     .memory = memory };
	code->is_64_bit = (s->efer & EFER_LMA) && (s->cs.attributes & SEG_L);
	code->taken = 0;
}

/* Outside 64-bit mode offsets and linear addresses have 32 bits. Nothing wraps at 64 KiB: the end
 * of a segment is a fault of the fetch. */
static u64 linear_of(const struct code *code, u32 index)
{
	if (code->is_64_bit)
		return code->s->rip + index;
	return (u32)(code->s->cs.base + (u32)(code->s->rip + index));
}

/* Takes the next byte. False when there is none, or it cannot be fetched any more. */
static bool code_next(struct code *code, u8 *byte)
{
	u64 linear = linear_of(code, code->taken);
	const u64 *word;

	if (code->taken == LONGEST_INSTRUCTION)
		return false;
	if (code->taken == 0 || (linear & PAGE_MASK) == 0) {
		struct gpt_walk walk;
		u32 user = code->s->cpl == 3 ? GPT_USER : 0;

		if (gpt_walk(&code->paging, linear, GPT_FETCH | user, &walk) != GPT_OK)
			return false;
		code->at = walk.pa2;
	} else {
		code->at.v++;
	}
	word = code->paging.memory->entry(code->paging.memory->ctx, PA2(code->at.v & ~7ULL));
	if (!word)
		return false;
	*byte = ((const u8 *)word)[code->at.v & 7];
	code->byte[code->taken++] = *byte;
	return true;
}

/* APM 3 "Instruction Prefixes" (1.2): whether `byte` is one that the instructions of svm_exits.def
 * may have. LOCK makes each of them #UD, so it cannot be there. *repeat is the last of F2 and F3.
 */
static bool is_prefix(u8 byte, bool is_64_bit, u8 *repeat)
{
	switch (byte) {
	case 0xf2:
	case 0xf3:
		*repeat = byte;
		return true;
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case ADDRESS_SIZE_PREFIX:
		return true;
	default:
		return is_64_bit && (byte & 0xf0) == 0x40;
	}
}

/* Whether the opcode is at byte `start` of the instruction. */
static bool is_at(struct code *code, u32 start, const struct opcode *opcode)
{
	u8 byte;

	for (u32 i = 0; i < opcode->length; i++)
		if ((code->taken == start + i && !code_next(code, &byte)) ||
		    code->byte[start + i] != opcode->byte[i])
			return false;
	return opcode->length != 0;
}

static bool opcode_is_at(struct code *code, u32 start, u32 exit, u64 exit_info1, u32 *length)
{
	static const struct opcode rdmsr = OPCODE2(0x0f, 0x32), wrmsr = OPCODE2(0x0f, 0x30);
	const struct opcode *opcode = &opcodes[exit];

	if (exit == SVM_EXIT_MSR)
		opcode = exit_info1 ? &wrmsr : &rdmsr;
	/* QUIRK(qemu-7.2): RDTSCP exits as RDTSC does. */
	if (exit == SVM_EXIT_RDTSC && is_at(code, start, &opcodes[SVM_EXIT_RDTSCP]))
		opcode = &opcodes[SVM_EXIT_RDTSCP];
	*length = start + opcode->length;
	return is_at(code, start, opcode);
}

/* The length of the instruction, or 0. */
static u32 decode(struct code *code, u32 exit, u64 exit_info1)
{
	u8 repeat = 0;
	u32 length;
	u8 byte;

	do {
		if (!code_next(code, &byte))
			return 0;
	} while (is_prefix(byte, code->is_64_bit, &repeat));
	/* Without F3 the opcode of PAUSE is NOP. Other rows are what they are with any prefix. */
	if ((exit == SVM_EXIT_PAUSE && repeat != 0xf3) ||
	    !opcode_is_at(code, code->taken - 1, exit, exit_info1, &length))
		return 0;
	return length;
}

/* Follows the guest's tables, as they are now, to the first byte of the instruction. False: there
 * is no way that a site can describe. */
static bool trace_site(struct svm_site *site, const struct nept_memory *memory)
{
	u64 table = site->cr3;
	u32 level;

	for (level = SVM_SITE_LEVELS; level > 0; level--) {
		u32 shift = 3 + 9 * level;
		u64 *where = memory->entry(memory->ctx, PA2((table & BITS(51, 12)) +
							    8 * ((site->rip >> shift) & 511)));

		if (!where)
			return false;
		table = __atomic_load_n(where, __ATOMIC_ACQUIRE);
		for (u32 i = 0; i < level; i++) {
			site->entry[i] = where;
			site->value[i] = table;
		}
		if (!(table & PTE_P))
			return false;
		if (level == 1 || (level < 4 && (table & PTE_PS))) {
			u64 in_page = site->rip & (BIT(shift) - 1);
			u64 at = (table & BITS(51, 12) & ~(BIT(shift) - 1)) | in_page;
			u64 *word = memory->entry(memory->ctx, PA2(at & ~7ULL));

			site->code = (const u8 *)word + (at & 7);
			return word != NULL;
		}
	}
	return false;
}

/* Remembers the instruction that `code` holds, if it is one that a site can describe. */
static void remember(struct svm_sites *sites, const struct vmcb *vmcb, u32 exit,
		     const struct code *code, u32 length)
{
	struct svm_site site = { .rip = vmcb->s.rip,
				 .cr3 = vmcb->s.cr3,
				 .next = vmcb->s.rip + length,
				 .what = svm_site_what(exit, vmcb) };
	struct svm_site *set = sites->site[exit % SVM_SITE_SETS];

	if (!code->is_64_bit || length > sizeof(site.bytes) ||
	    (site.rip & PAGE_MASK) > PAGE_SIZE - sizeof(site.bytes))
		return;
	site.mask = (u32)(BIT(8 * length) - 1);
	for (u32 i = 0; i < length; i++)
		site.bytes |= (u32)code->byte[i] << (8 * i);
	if (!trace_site(&site, code->paging.memory) || !svm_site_holds(&site, vmcb))
		return;
	/* The newest is asked first. */
	set[1] = set[0];
	set[0] = site;
}

u32 svm_code(const struct vmcb *vmcb, const struct nept_memory *memory, u8 *to, u32 size)
{
	struct code code;
	u32 count = 0;

	code_begin(&code, &vmcb->s, memory);
	while (count < size && code_next(&code, &to[count]))
		count++;
	return count;
}

bool svm_decode_next_rip(struct svm_sites *sites, const struct vmcb *vmcb, u32 exit,
			 const struct nept_memory *memory, u64 *next)
{
	struct code code;
	u32 length;

	if (exit == SVM_EXIT_IOIO) {
		*next = vmcb->c.exit_info2;
		return true;
	}
	code_begin(&code, &vmcb->s, memory);
	length = decode(&code, exit, vmcb->c.exit_info1);
	if (length == 0)
		return false;
	*next = code.is_64_bit ? vmcb->s.rip + length : (u32)(vmcb->s.rip + length);
	if (sites)
		remember(sites, vmcb, exit, &code, length);
	return true;
}

bool svm_has_address_prefix(const struct vmcb *vmcb, const struct nept_memory *memory, u32 count)
{
	struct code code;
	u8 byte;

	code_begin(&code, &vmcb->s, memory);
	while (code.taken < count && code_next(&code, &byte))
		if (byte == ADDRESS_SIZE_PREFIX)
			return true;
	return false;
}
