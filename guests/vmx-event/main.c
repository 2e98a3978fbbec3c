/*
 * Conformance of events across VM entries and exits: injection, exception bitmap, IDT vectoring,
 * windows, interrupts and NMIs, activity states, debug exceptions.
 */
#include "guests/vmx-event/event.h"

int main(const struct guest_args *args)
{
	static const struct suite *const suites[] = {
		&injection_suite, &bitmap_suite,  &page_fault_suite,
		&vectoring_suite, &windows_suite, &interrupts_suite,
		&nmi_suite,       &state_suite,   NULL,
	};

	return inner_main(args, suites);
}
