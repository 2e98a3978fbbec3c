/*
 * Offsets for the assembly files: each line `->NAME value` of this file's assembly becomes a
 * #define in asm_offsets.h. Never linked. A string, since clang reads the text as assembly.
 */
#include "l1-hypervisor/vcpu.h"

#define OFFSET(name, value) __asm__ volatile("\n.ascii \"->" #name " %0\"" : : "i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
	OFFSET(VCPU_STACK, offsetof(struct vcpu, stack));
	OFFSET(VCPU_ENTER, offsetof(struct vcpu, enter));
}
