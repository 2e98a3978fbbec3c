/*
 * Hypercalls of L2 (leaf/nestbed_abi.h), the same for both vendors.
 */
#ifndef L1_HYPERCALL_H
#define L1_HYPERCALL_H

#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/vcpu.h"

static inline bool hypercall_is(const struct vcpu *vcpu)
{
	return (vcpu->regs.r[REG_RAX] & ~0xffffULL) == NB_CALL_MAGIC;
}

/* Serves the call in the guest's registers and leaves its results there. The caller has checked
 * the privilege level. */
void hypercall(struct vcpu *vcpu);

#endif
