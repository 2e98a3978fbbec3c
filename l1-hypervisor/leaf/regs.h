/*
 * The general registers of a guest, in the order in which instruction encodings number them. RSP,
 * RIP and RFLAGS live in the VMCS or VMCB; the slot of RSP is unused.
 */
#ifndef LEAF_REGS_H
#define LEAF_REGS_H

#include "l1-hypervisor/leaf/types.h"

enum reg {
	REG_RAX,
	REG_RCX,
	REG_RDX,
	REG_RBX,
	REG_RSP,
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
	REG_COUNT,
};

struct regs {
	u64 r[REG_COUNT];
};

#endif
