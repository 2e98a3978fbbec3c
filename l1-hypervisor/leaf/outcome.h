/*
 * What the handling of an exit came to, as far as the guest can see it. Handlers decide; the core
 * applies the outcome in one place: for VMX that is vmx_finish().
 */
#ifndef LEAF_OUTCOME_H
#define LEAF_OUTCOME_H

#include "l1-hypervisor/leaf/types.h"

enum outcome {
	OUTCOME_ADVANCE,        /* the instruction was done for the guest */
	OUTCOME_VMSUCCEED,      /* a VMX instruction succeeded */
	OUTCOME_RESUME,         /* run on as it is: retry, or the state was replaced */
	OUTCOME_EXCEPTION,      /* raise the exception in struct fault */
	OUTCOME_VMFAIL_INVALID, /* it failed without a current VMCS */
	OUTCOME_VMFAIL_VALID,   /* it failed; the number is in the VMCS already */
	OUTCOME_REFLECT,        /* L3 ends here and L2 sees this exit */
};

/* An exception for the guest. `address` is CR2 of a page fault. */
struct fault {
	u8 vector;
	bool has_error_code;
	u32 error_code;
	u64 address;
};

#endif
