/*
 * Conformance of hardware task switches, SDM 3A chapter "Task Management": what is saved and
 * loaded, by each of the ways to switch, in each mode, and what faults where.
 */
#include "guests/tasks/task.h"
#include "guests/lib/guest.h"

int main(const struct guest_args *args)
{
	static const struct suite *const suites[] = { &switch_suite, &mode_suite, &fault_suite,
						      NULL };

	(void)args;
	return suites_run(suites);
}
