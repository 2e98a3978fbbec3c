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
	OFFSET(VCPU_VMCB, offsetof(struct vcpu, run.vmcb));
	OFFSET(VCPU_VMCB_AT, offsetof(struct vcpu, run.vmcb_at));
	OFFSET(VCPU_GS_GUEST, offsetof(struct vcpu, run.gs_guest));
	OFFSET(VCPU_GS_HOST, offsetof(struct vcpu, run.gs_host));
	OFFSET(VMCB_RAX, offsetof(struct vmcb, s.rax));
}
