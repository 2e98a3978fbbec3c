/*
 * The general registers of a guest, in the order in which instruction encodings number them, except
 * that RSP is last: it lives in the VMCS or VMCB, as RIP and RFLAGS do, and the entry stubs need
 * not step over it. Its slot holds REG_RSP_POISON.
 */
#ifndef LEAF_REGS_H
#define LEAF_REGS_H

#include "l1-hypervisor/leaf/types.h"

enum reg {
	REG_RAX,
	REG_RCX,
	REG_RDX,
	REG_RBX,
	REG_RBP,
	REG_RSI,
	REG_RDI,
	REG_R8,
	REG_R9,
	REG_R10,
	REG_R11,
	REG_R12,
	REG_R13,
	REG_R14,
	REG_R15,
	REG_RSP,
	REG_COUNT,
};

struct regs {
	u64 r[REG_COUNT];
};

/* Not a number that any instruction takes as an operand of its own kind: not a VMCS field. */
#define REG_RSP_POISON (~0ULL)

/* Which register a number in an instruction, or in exit information, means. */
static inline enum reg reg_of_number(u32 number)
{
	static const u8 regs[16] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};

	return regs[number & 15];
}

#endif
