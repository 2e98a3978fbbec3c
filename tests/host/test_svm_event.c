/*
 * Events whose delivery an exit interrupted: what is made of the platforms' ways to tell them, and
 * which are delivered again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shadow-vmcs/svm_event.h"

#define EXCEPTION(vector) (EVENT_VALID | EVENT_TYPE_EXCEPTION | (vector))
#define SOFTWARE(vector)  (EVENT_VALID | EVENT_TYPE_SOFTWARE | (vector))
#define INTR(vector)      (EVENT_VALID | EVENT_TYPE_INTR | (vector))
#define NMI               (EVENT_VALID | EVENT_TYPE_NMI | EXC_NMI)
#define ERROR_CODE(code)  (EVENT_ERROR_CODE | (u64)(code) << EVENT_ERROR_SHIFT)

/* APM 2 "EXITINTINFO" (15.7.2): vector, type, EV, V, error code as in EVENTINJ; without V nothing
 * of it means anything. */
static void events_are_what_the_processor_means(void **state)
{
	(void)state;
	assert_int_equal(svm_interrupted_event(0x20), 0x20);
	assert_int_equal(svm_interrupted_event(INTR(0x50)), INTR(0x50));
	assert_int_equal(svm_interrupted_event(EXCEPTION(EXC_GP) | ERROR_CODE(0x18)),
			 EXCEPTION(EXC_GP) | ERROR_CODE(0x18));
	/* QUIRK(qemu-7.2): interrupts and NMIs told as exceptions. */
	assert_int_equal(svm_interrupted_event(EXCEPTION(0x50)), INTR(0x50));
	assert_int_equal(svm_interrupted_event(EXCEPTION(EXC_NMI)), NMI);
	/* QUIRK(linux-6.1): an error code left from before. */
	for (u32 i = 0; i < 2; i++) {
		u64 event = i ? SOFTWARE(0x50) : INTR(0x50);

		assert_int_equal(svm_interrupted_event(event | 0x18ULL << EVENT_ERROR_SHIFT),
				 event);
	}
}

/* An event that an instruction makes comes again when that runs again; an injected one has none. */
static void events_are_delivered_again(void **state)
{
	static const u64 by_insn[] = { SOFTWARE(0x50), EXCEPTION(EXC_BP), EXCEPTION(EXC_OF) };
	static const u64 others[] = { INTR(0x50), NMI, EXCEPTION(EXC_PF) | ERROR_CODE(2) };

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(by_insn); i++) {
		assert_int_equal(svm_event_again(by_insn[i], 0), 0);
		assert_int_equal(svm_event_again(by_insn[i], by_insn[i]), by_insn[i]);
		assert_int_equal(svm_event_again(by_insn[i], INTR(0x51)), 0);
	}
	for (u32 i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(svm_event_again(others[i], 0), others[i]);
		assert_int_equal(svm_event_again(others[i], others[i]), others[i]);
	}
	assert_int_equal(svm_event_again(0, INTR(0x50)), 0);
}

/* APM 2 "Event Injection" (15.20): what would have been raised by an instruction. */
static void events_of_instructions_have_a_next_rip(void **state)
{
	(void)state;
	assert_true(svm_event_has_next_rip(SOFTWARE(0x50)));
	assert_true(svm_event_has_next_rip(EXCEPTION(EXC_BP)));
	assert_true(svm_event_has_next_rip(EXCEPTION(EXC_OF)));
	assert_false(svm_event_has_next_rip(SOFTWARE(0x50) & ~EVENT_VALID));
	assert_false(svm_event_has_next_rip(EXCEPTION(EXC_GP)));
	assert_false(svm_event_has_next_rip(INTR(EXC_BP)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_what_the_processor_means),
		cmocka_unit_test(events_are_delivered_again),
		cmocka_unit_test(events_of_instructions_have_a_next_rip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
