/*
 * The memory functions that the ROM uses, for 32-bit code: leaf/string.c copies 64 bits at a time.
 */
#include "l1-hypervisor/leaf/string.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	void *d = to;
	size_t words = n / sizeof(u32);
	size_t rest = n % sizeof(u32);

	__asm__ volatile("rep movsl" : "+D"(d), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(rest) : : "memory");
	return to;
}

void *memset(void *to, int value, size_t n)
{
	void *d = to;
	size_t words = n / sizeof(u32);
	size_t rest = n % sizeof(u32);
	u32 pattern = (u8)value * 0x01010101U;

	__asm__ volatile("rep stosl" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(rest) : "a"(pattern) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a;
	const u8 *y = b;

	for (size_t i = 0; i < n; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}
