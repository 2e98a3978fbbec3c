/*
 * Conformance of paging: rights, flags, invalidation, events, control registers, the modes outside
 * long mode. It needs no VMX: natively, as L2 and as L3, with EPT or on the shadow page tables of
 * its hypervisor, it has to print the same. Words: tap=top|sub.
 */
#include "guests/lib/guest.h"
#include "guests/lib/tap.h"
#include "guests/lib/words.h"
#include "guests/paging/paging.h"

int main(const struct guest_args *args)
{
	static const char *const names[] = { "tap", NULL };
	static const char *const taps[] = { "top", "sub", NULL };
	static const struct suite *const suites[] = {
		&rights_suite, &flags_suite, &events_suite, &registers_suite, &modes_suite, NULL,
	};

	words_allow(args->words, names);
	if (words_choice(args->words, "tap", taps))
		tap_as_subtest();
	events_init(args->free_start);
	return suites_run(suites);
}
