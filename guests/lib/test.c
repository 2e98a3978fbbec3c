/*
 * Named tests made of checks; see test.h.
 */
#include "guests/lib/test.h"
#include "guests/lib/tap.h"

static struct {
	const char *name, *rule;
	bool passed;
} current;

void test_begin(const char *name, const char *rule)
{
	current.name = name;
	current.rule = rule;
	current.passed = true;
}

/* The first failed check also tells what the manual says. */
static void fail(void)
{
	if (current.passed)
		tap_note("in '%s', which shows: %s", current.name, current.rule);
	current.passed = false;
}

bool test_equal(const char *what, u64 got, u64 want)
{
	if (got == want)
		return true;
	fail();
	tap_note("%s is 0x%lx, not 0x%lx", what, got, want);
	return false;
}

bool test_true(const char *what, bool value)
{
	if (value)
		return true;
	fail();
	tap_note("it is not true that %s", what);
	return false;
}

void test_quirk(const char *what, u64 got, u64 want)
{
	tap_note("in '%s' a bug of the platform: %s is 0x%lx, not 0x%lx", current.name, what, got,
		 want);
}

bool test_equal_or_quirk(const char *what, u64 got, u64 want, u64 quirk)
{
	if (got == want || got != quirk)
		return test_equal(what, got, want);
	test_quirk(what, got, want);
	return true;
}

void test_end(void)
{
	tap_ok(current.passed, "%s", current.name);
}

void tests_run(const struct test *tests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		test_begin(tests[i].name, tests[i].rule);
		tests[i].run();
		test_end();
	}
}

int suites_run(const struct suite *const *suites)
{
	u32 points = 0;

	for (const struct suite *const *s = suites; *s; s++)
		points += (*s)->count();
	tap_plan(points);
	for (const struct suite *const *s = suites; *s; s++)
		(*s)->run();
	return tap_status();
}
