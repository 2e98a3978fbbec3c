/*
 * Formatted text to COM1, with the conversions that leaf/string.h offers.
 */
#ifndef GUESTS_LIB_PRINT_H
#define GUESTS_LIB_PRINT_H

#include <stdarg.h>

/* Longer texts are cut. */
#define PRINT_MAX 512

__attribute__((format(printf, 1, 2))) void guest_printf(const char *format, ...);
__attribute__((format(printf, 1, 0))) void guest_vprintf(const char *format, va_list args);

#endif
