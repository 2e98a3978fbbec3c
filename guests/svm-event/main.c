/*
 * Conformance of events across VMRUN and #VMEXIT: injection, exception intercepts, EXITINTINFO,
 * virtual and physical interrupts, GIF, NMIs, debug exceptions.
 */
#include "guests/svm-event/event.h"

int main(const struct guest_args *args)
{
	static const struct suite *const suites[] = {
		&injection_suite,  &exceptions_suite, &vectoring_suite,
		&interrupts_suite, &virtual_suite,    &gif_suite,
		&nmi_suite,        &state_suite,      NULL,
	};

	return svm_inner_main(args, suites);
}
