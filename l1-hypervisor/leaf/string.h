/*
 * Freestanding memory and text helpers, for L1 and the guests; on the host the C library's own.
 */
#ifndef LEAF_STRING_H
#define LEAF_STRING_H

#include <stdarg.h>
#include <stddef.h>

#include "l1-hypervisor/leaf/types.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

/* As in C99, for the conversions d i u x c s p %, the flags 0 and -, width, precision (s), and the
 * lengths l, ll, z. Returns the length that the whole text would have. */
int vsnprintf(char *to, size_t size, const char *format, va_list args);
__attribute__((format(printf, 3, 4))) int snprintf(char *to, size_t size, const char *format, ...);

#endif
