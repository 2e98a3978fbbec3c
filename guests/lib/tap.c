/*
 * TAP output; see tap.h. Counts points, so that a missing one is noticed.
 */
#include "guests/lib/tap.h"
#include "guests/lib/print.h"

static struct {
	const char *indent;
	u32 planned, done, failed;
} tap = { .indent = "" };

void tap_as_subtest(void)
{
	tap.indent = "    ";
}

void tap_plan(u32 points)
{
	tap.planned = points;
	guest_printf("%s1..%u\n", tap.indent, points);
}

bool tap_ok(bool passed, const char *format, ...)
{
	va_list args;

	tap.done++;
	tap.failed += !passed;
	va_start(args, format);
	guest_printf("%s%s %u - ", tap.indent, passed ? "ok" : "not ok", tap.done);
	guest_vprintf(format, args);
	guest_printf("\n");
	va_end(args);
	return passed;
}

void tap_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	guest_printf("%s# ", tap.indent);
	guest_vprintf(format, args);
	guest_printf("\n");
	va_end(args);
}

int tap_status(void)
{
	if (tap.done != tap.planned)
		tap_note("%u points planned, %u seen", tap.planned, tap.done);
	return tap.failed || tap.done != tap.planned;
}
