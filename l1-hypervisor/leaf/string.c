/*
 * Freestanding versions of the C library's memory and text functions: only what L1 and the guests
 * use. Declared in string.h. The host tests use the C library's own instead of this file. Eight
 * bytes a step: an emulator counts each step of a string instruction.
 */
#include "l1-hypervisor/leaf/string.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	size_t words = n / sizeof(u64), rest = n % sizeof(u64);
	void *d = to;

	__asm__ volatile("rep movsq" : "+D"(d), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(rest) : : "memory");
	return to;
}

void *memset(void *to, int value, size_t n)
{
	size_t words = n / sizeof(u64), rest = n % sizeof(u64);
	u64 pattern = (u8)value * 0x0101010101010101ULL;
	void *d = to;

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(rest) : "a"(pattern) : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	u8 *d = to;
	const u8 *s = from;

	if (d <= s || d >= s + n)
		return memcpy(to, from, n);
	while (n--)
		d[n] = s[n];
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

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (a[i] != b[i] || !a[i])
			return (u8)a[i] - (u8)b[i];
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (!*s)
			return NULL;
	}
}

/* Where vsnprintf writes: counts everything, keeps what fits. */
struct sink {
	char *to;
	size_t size;
	size_t length;
};

struct conversion {
	bool left, zero;
	int width, precision; /* precision -1: none */
	int longs;
};

static void sink_put(struct sink *s, char c)
{
	if (s->length + 1 < s->size)
		s->to[s->length] = c;
	s->length++;
}

static void sink_text(struct sink *s, const char *text, size_t length, const struct conversion *c)
{
	size_t pad = (size_t)c->width > length ? (size_t)c->width - length : 0;

	for (size_t i = 0; !c->left && i < pad; i++)
		sink_put(s, c->zero ? '0' : ' ');
	for (size_t i = 0; i < length; i++)
		sink_put(s, text[i]);
	for (size_t i = 0; c->left && i < pad; i++)
		sink_put(s, ' ');
}

static void sink_number(struct sink *s, u64 value, unsigned int base, bool negative,
			const struct conversion *c)
{
	char digits[24];
	size_t at = sizeof(digits);
	struct conversion rest = *c;

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (negative && c->zero) {
		sink_put(s, '-');
		rest.width--;
	} else if (negative) {
		digits[--at] = '-';
	}
	sink_text(s, digits + at, sizeof(digits) - at, &rest);
}

static const char *parse_conversion(const char *f, struct conversion *c, va_list *args)
{
	*c = (struct conversion){ .precision = -1 };
	for (; *f == '-' || *f == '0'; f++) {
		c->left |= *f == '-';
		c->zero |= *f == '0';
	}
	if (*f == '*') {
		c->width = va_arg(*args, int);
		f++;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		c->width = c->width * 10 + (*f - '0');
	if (*f == '.') {
		c->precision = 0;
		f++;
		if (*f == '*') {
			c->precision = va_arg(*args, int);
			f++;
		}
		for (; *f >= '0' && *f <= '9'; f++)
			c->precision = c->precision * 10 + (*f - '0');
	}
	for (; *f == 'l' || *f == 'z'; f++)
		c->longs++;
	return f;
}

static void sink_string(struct sink *s, const char *text, const struct conversion *c)
{
	size_t length = 0;

	while ((c->precision < 0 || length < (size_t)c->precision) && text[length])
		length++;
	sink_text(s, text, length, c);
}

static void sink_signed(struct sink *s, long value, const struct conversion *c)
{
	u64 magnitude = value < 0 ? 0 - (u64)value : (u64)value;

	sink_number(s, magnitude, 10, value < 0, c);
}

int vsnprintf(char *to, size_t size, const char *format, va_list given)
{
	struct sink s = { to, size, 0 };
	struct conversion c;
	va_list args;

	va_copy(args, given);
	for (const char *f = format; *f; f++) {
		if (*f != '%') {
			sink_put(&s, *f);
			continue;
		}
		f = parse_conversion(f + 1, &c, &args);
		switch (*f) {
		case 'd':
		case 'i':
			sink_signed(&s, c.longs ? va_arg(args, long) : va_arg(args, int), &c);
			break;
		case 'u':
			sink_number(&s, c.longs ? va_arg(args, u64) : va_arg(args, u32), 10, false,
				    &c);
			break;
		case 'x':
			sink_number(&s, c.longs ? va_arg(args, u64) : va_arg(args, u32), 16, false,
				    &c);
			break;
		case 'p':
			sink_number(&s, (u64)(uintptr_t)va_arg(args, void *), 16, false, &c);
			break;
		case 'c':
			sink_put(&s, (char)va_arg(args, int));
			break;
		case 's':
			sink_string(&s, va_arg(args, const char *), &c);
			break;
		default:
			sink_put(&s, *f);
			break;
		}
	}
	va_end(args);
	if (size)
		to[s.length < size ? s.length : size - 1] = 0;
	return (int)s.length;
}

int snprintf(char *to, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int length = vsnprintf(to, size, format, args);
	va_end(args);
	return length;
}
