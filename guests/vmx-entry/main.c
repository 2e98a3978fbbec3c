/*
 * Conformance of VM entry: a failing case for each group of checks and what it leads to, the limits
 * of what is allowed, and the state after an entry that failed.
 */
#include "guests/vmx-entry/entry_case.h"

int main(const struct guest_args *args)
{
	static const struct suite *const suites[] = {
		&controls_suite,  &ept_controls_suite, &control_lists_suite, &injection_suite,
		&host_suite,      &registers_suite,    &segments_suite,      &other_state_suite,
		&ept_state_suite, &msr_load_suite,     &after_suite,         NULL,
	};

	return inner_main(args, suites);
}
