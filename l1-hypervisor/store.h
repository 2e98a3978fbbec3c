/*
 * Decodes the few forms of MOV by which software writes a 32-bit register of a memory-mapped device
 * (SDM 2B "MOV"). Pure. Refuses everything else.
 */
#ifndef L1_STORE_H
#define L1_STORE_H

#include "l1-hypervisor/leaf/types.h"

#define INSN_MAX 15

struct store {
	u32 length; /* of the instruction */
	bool is_immediate;
	u32 immediate;
	u32 reg; /* else the value is the lower half of this register */
};

/* Decodes the `count` bytes at `code`, of 64-bit code or of 32-bit code. */
bool store_decode(const u8 *code, u32 count, bool code64, struct store *store);

#endif
