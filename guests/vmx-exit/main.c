/*
 * Conformance of VM exits: what makes the guest exit and what the exit says, what the guest sees of
 * masked and offset state, what an exit saves and loads.
 */
#include "guests/vmx-exit/exit_case.h"

int main(const struct guest_args *args)
{
	static const struct suite *const suites[] = {
		&insns_suite,  &vmx_insns_suite,    &cr_suite,    &io_suite,    &msr_suite,
		&tables_suite, &time_suite,         &lists_suite, &saved_suite, &host_suite,
		&ept_suite,    &unrestricted_suite, &task_suite,  &apic_suite,  NULL,
	};

	return inner_main(args, suites);
}
