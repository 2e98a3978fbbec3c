/*
 * Formatted text to COM1; see print.h.
 */
#include "guests/lib/print.h"
#include "guests/lib/serial.h"
#include "l1-hypervisor/leaf/string.h"

void guest_vprintf(const char *format, va_list args)
{
	char text[PRINT_MAX];
	size_t length = (size_t)vsnprintf(text, sizeof(text), format, args);

	serial_write(text, length < sizeof(text) ? length : sizeof(text) - 1);
}

void guest_printf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	guest_vprintf(format, args);
	va_end(args);
}
