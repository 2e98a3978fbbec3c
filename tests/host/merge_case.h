/*
 * Inputs of the merge of vmcs12 and vmcs23 for the host tests: random ones, and random ones that
 * pass the VM-entry checks of the controls.
 */
#ifndef TESTS_MERGE_CASE_H
#define TESTS_MERGE_CASE_H

#include "shadow-vmcs/vmx_nested.h"
#include "tests/host/fake_memory.h"

struct merge_case {
	struct vmcs_fields v12, v23, before; /* before: what vmcs13 held */
	struct vmx_merge_in in;
	struct vmcs_fields v13;
};

/* Everything random; v13 is as before. */
void merge_make(struct fake_random *random, struct merge_case *m);

/* The same with control words of v23 that L2 is offered, and with the controls of v12 that L1 uses:
 * no interrupt or exception is L1's, MSRs and ports exit by bitmaps. */
void merge_make_allowed(struct fake_random *random, struct merge_case *m);

/* Whether L2 asks for exits by accesses to ports. */
bool merge_l2_wants_ports(const struct merge_case *m);

#endif
