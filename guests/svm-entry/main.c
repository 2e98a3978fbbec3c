/*
 * Conformance of VMRUN: each rule that makes a VMCB invalid and what that leads to, the state that
 * an entry loads and an exit saves, the modes in which a guest starts, the host's state after it.
 */
#include "guests/svm-entry/entry_case.h"

int main(const struct guest_args *args)
{
	static const struct suite *const suites[] = {
		&checks_suite, &npt_checks_suite, &modes_suite, &state_suite, &npt_state_suite,
		&clean_suite,  &events_suite,     &host_suite,  NULL,
	};

	return svm_inner_main(args, suites);
}
