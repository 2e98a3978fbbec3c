/*
 * Conformance of the VMX instructions: where each is allowed, how each fails, what each does, every
 * form of its operands.
 */
#include "guests/vmx-insn/insn_case.h"

int main(const struct guest_args *args)
{
	static const struct suite *const suites[] = {
		&modes_suite,    &failures_suite, &effects_suite, &fields_suite,
		&operands_suite, &faults_suite,   &legacy_suite,  NULL,
	};

	return inner_main(args, suites);
}
