/*
 * Tests of a conformance guest: each is a TAP point with a name and the manual's sentence that it
 * shows, and any number of checks inside. What failed is printed before the point, with the
 * sentence; a passing test prints its name only.
 */
#ifndef GUESTS_LIB_TEST_H
#define GUESTS_LIB_TEST_H

#include "l1-hypervisor/leaf/types.h"

void test_begin(const char *name, const char *rule);

/* Both return whether the check passed. */
bool test_equal(const char *what, u64 got, u64 want);
bool test_true(const char *what, bool value);

/* Notes that `what` is what a known bug of a platform makes of it: the point may pass, and the note
 * is there to be compared with another run on the same platform. */
void test_quirk(const char *what, u64 got, u64 want);

/* test_equal() that lets the platform's bug pass, as test_quirk() says. */
bool test_equal_or_quirk(const char *what, u64 got, u64 want, u64 quirk);

/* Prints the TAP point of the test begun last. */
void test_end(void);

/* A test that is a function; tables of other shapes call the functions above themselves. */
struct test {
	const char *name;
	const char *rule;
	void (*run)(void);
};

void tests_run(const struct test *tests, size_t count);

/* A file of tests: how many points it prints, and what prints them. */
struct suite {
	u32 (*count)(void);
	void (*run)(void);
};

/* The suite of a file whose tests are functions, all in one table. */
#define SUITE_OF_TESTS(name, table)                  \
	static u32 name##_count(void)                \
	{                                            \
		return ARRAY_SIZE(table);            \
	}                                            \
	static void name##_run(void)                 \
	{                                            \
		tests_run(table, ARRAY_SIZE(table)); \
	}                                            \
	const struct suite name = { name##_count, name##_run }

/* Plans for all suites of a list ended by NULL, runs them, and returns the guest's status. */
int suites_run(const struct suite *const *suites);

/*
 * Machine code of a test, at the address `name`. Code that runs as an excursion ends by faulting or
 * by END_EXCURSION.
 */
#define CODE(name, bits, text)                                                                  \
	extern const char name[];                                                               \
	__asm__(".pushsection .text\n\t.code" #bits "\n\t.globl " #name "\n" #name ":\n\t" text \
		"\n\t"                                                                          \
		".code64\n\t.popsection")

#define END_EXCURSION "\n\tint $0x81"

#endif
