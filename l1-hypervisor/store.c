/*
 * A decoder for stores of 32 bits; see store.h.
 */
#include "l1-hypervisor/store.h"

#include "l1-hypervisor/leaf/string.h"

#define MOV_TO_MEMORY  0x89 /* MOV r/m32, r32 */
#define MOV_FROM_EAX   0xa3 /* MOV moffs32, EAX */
#define MOV_IMMEDIATE  0xc7 /* MOV r/m32, imm32, with /0 */
#define PREFIX_ADDRESS 0x67
#define REX_W          8U
#define REX_R          4U

#define MODRM_MOD(m) ((m) >> 6)
#define MODRM_REG(m) ((m) >> 3 & 7)
#define MODRM_RM(m)  ((m)&7)
#define RM_SIB       4U
#define RM_DISP32    5U /* with mod 0; in a SIB byte it means no base */
#define MOD_REGISTER 3U

/* The bytes that are still to be read. */
struct reader {
	const u8 *code;
	u32 count;
	u32 at;
};

static bool take(struct reader *r, u8 *byte)
{
	if (r->at == r->count)
		return false;
	*byte = r->code[r->at++];
	return true;
}

static bool skip(struct reader *r, u32 count)
{
	if (count > r->count - r->at)
		return false;
	r->at += count;
	return true;
}

static bool is_segment_prefix(u8 byte)
{
	return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x64 ||
	       byte == 0x65;
}

/* Skips what a memory operand has behind its ModRM byte: SDM 2A "ModR/M and SIB Bytes". */
static bool skip_operand(struct reader *r, u8 modrm)
{
	u32 mod = MODRM_MOD(modrm);
	u32 base = MODRM_RM(modrm);
	u8 sib;

	if (mod == MOD_REGISTER)
		return false;
	if (base == RM_SIB) {
		if (!take(r, &sib))
			return false;
		base = sib & 7U;
	}
	if (mod == 0)
		return base != RM_DISP32 || skip(r, 4);
	return skip(r, mod == 1 ? 1 : 4);
}

/* Reads prefixes, then the opcode. 16-bit addresses of 32-bit code are refused. */
static bool take_opcode(struct reader *r, bool code64, u8 *opcode, u32 *rex, u32 *address_size)
{
	*rex = 0;
	*address_size = code64 ? 8 : 4;
	for (;;) {
		if (!take(r, opcode))
			return false;
		if (*opcode == PREFIX_ADDRESS && code64)
			*address_size = 4;
		else if (!is_segment_prefix(*opcode))
			break;
	}
	if (code64 && (*opcode & 0xf0) == 0x40) {
		*rex = *opcode & 0xfU;
		return !(*rex & REX_W) && take(r, opcode);
	}
	return true;
}

bool store_decode(const u8 *code, u32 count, bool code64, struct store *store)
{
	struct reader r = { code, count < INSN_MAX ? count : INSN_MAX, 0 };
	u32 rex, address_size;
	u8 opcode, modrm;

	*store = (struct store){ 0 };
	if (!take_opcode(&r, code64, &opcode, &rex, &address_size))
		return false;
	switch (opcode) {
	case MOV_TO_MEMORY:
		if (!take(&r, &modrm) || !skip_operand(&r, modrm))
			return false;
		store->reg = MODRM_REG(modrm) | (rex & REX_R ? 8 : 0);
		break;
	case MOV_FROM_EAX:
		if (!skip(&r, address_size))
			return false;
		break;
	case MOV_IMMEDIATE:
		if (!take(&r, &modrm) || MODRM_REG(modrm) || !skip_operand(&r, modrm) ||
		    !skip(&r, sizeof(store->immediate)))
			return false;
		store->is_immediate = true;
		memcpy(&store->immediate, code + r.at - sizeof(store->immediate),
		       sizeof(store->immediate));
		break;
	default:
		return false;
	}
	store->length = r.at;
	return true;
}
