/*
 * Conformance of the VMX instructions: where each is allowed, how each fails, what each does, every
 * form of its operands.
 */
#include "guests/lib/guest.h"
#include "guests/lib/words.h"
#include "guests/vmx-insn/insn_case.h"

static const struct suite *const suites[] = { &modes_suite, NULL };
static const char *const known_words[] = { NULL };

int main(const struct guest_args *args)
{
	words_allow(args->words, known_words);
	inner_init();
	return suites_run(suites);
}
