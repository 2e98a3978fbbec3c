/*
 * A walk of the guest's own page tables, as the processor would make it: rights, accessed and
 * dirty flags, the error code of the page fault that the guest has to get.
 */
#ifndef GUESTS_HV_WALK_H
#define GUESTS_HV_WALK_H

#include "guests/hv/vm.h"

struct walk {
	u64 address; /* of the byte, in the guest's memory */
	/* What a translation made for this access may allow until the next walk. */
	bool writable, user, no_execute;
	u32 error; /* with WALK_FAULT */
};

enum walk_end {
	WALK_DONE,
	WALK_FAULT,
	WALK_ABSENT, /* a table lies outside the guest's memory, at `address` */
};

/* Translates `linear` for an access as a page-fault error code describes it (PF_W, PF_U, PF_I). */
enum walk_end walk(struct vm *vm, u64 linear, u32 access, struct walk *result);

/* Reserved bits of PDPTEs with PAE paging. */
u64 walk_reserved_pdpte(void);

#endif
