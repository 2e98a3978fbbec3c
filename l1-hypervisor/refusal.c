/*
 * Writes a refusal.
 */
#include "l1-hypervisor/refusal.h"

#include "l1-hypervisor/leaf/string.h"

bool refuse(struct refusal *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return false;
}
