/*
 * Conformance of #VMEXIT: what makes the guest exit and what the exit says, what an exit saves and
 * loads, permission maps, nested paging.
 */
#include "guests/svm-exit/exit_case.h"

int main(const struct guest_args *args)
{
	static const struct suite *const suites[] = {
		&insns_suite, &svm_insns_suite, &cr_suite,   &dr_suite,        &tables_suite,
		&io_suite,    &msr_suite,       &maps_suite, &time_suite,      &saved_suite,
		&host_suite,  &paging_suite,    &npt_suite,  &npt_fault_suite, NULL,
	};

	return svm_inner_main(args, suites);
}
