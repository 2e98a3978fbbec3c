/*
 * What must hold of vmcs13 at every entry to L3, whatever L2 has done: L1 keeps its intercepts and
 * its host state, and hardware is given no pointer but to L1's own and L2's memory. And of vmcs12.
 */
#ifndef TESTS_NESTED_SAFE_H
#define TESTS_NESTED_SAFE_H

/* Checks the VMCS that L3 runs on. */
void expect_safe_vmcs13(void);

/* Checks that hardware would enter L2: L1 does not survive it when not. */
void expect_enterable_vmcs12(void);

#endif
