/*
 * The decoder of stores to device registers: every form it knows with its length and value, forms
 * that it must refuse, and bytes at random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/store.h"
#include "tests/host/machine.h"

#define CODE64 true
#define CODE32 false

struct sample {
	bool mode;
	u8 bytes[INSN_MAX + 1];
	u32 length;
	u32 reg; /* or IMMEDIATE */
};

#define IMMEDIATE 99U
#define VALUE     0x000c4500U

static const struct sample good[] = {
	{ CODE64, { 0x89, 0x03 }, 2, 0 },                              /* mov %eax,(%rbx) */
	{ CODE64, { 0x89, 0x4b, 0x10 }, 3, 1 },                        /* mov %ecx,0x10(%rbx) */
	{ CODE64, { 0x44, 0x89, 0x80, 0x00, 0x03, 0, 0 }, 7, 8 },      /* mov %r8d,0x300(%rax) */
	{ CODE64, { 0x41, 0x89, 0x95, 0x00, 0x03, 0, 0 }, 7, 2 },      /* mov %edx,0x300(%r13) */
	{ CODE64, { 0x89, 0x04, 0x24 }, 3, 0 },                        /* mov %eax,(%rsp) */
	{ CODE64, { 0x89, 0x44, 0x24, 0x08 }, 4, 0 },                  /* mov %eax,8(%rsp) */
	{ CODE64, { 0x89, 0x04, 0x25, 0, 0xc3, 0x5f, 0xff }, 7, 0 },   /* mov %eax,0xff5fc300 */
	{ CODE64, { 0x65, 0x89, 0x3c, 0x25, 0, 0, 0, 0 }, 8, 7 },      /* mov %edi,%gs:0 */
	{ CODE64, { 0x89, 0x35, 1, 2, 3, 4 }, 6, 6 },                  /* mov %esi,x(%rip) */
	{ CODE64, { 0xa3, 0, 3, 0xe0, 0xfe, 0, 0, 0, 0 }, 9, 0 },      /* movabs %eax,x */
	{ CODE64, { 0x67, 0xa3, 0, 3, 0xe0, 0xfe }, 6, 0 },            /* addr32 mov %eax,x */
	{ CODE64, { 0xc7, 0x00, 0x00, 0x45, 0x0c, 0 }, 6, IMMEDIATE }, /* movl $VALUE,(%rax) */
	{ CODE64, { 0xc7, 0x80, 0, 3, 0, 0, 0x00, 0x45, 0x0c, 0 }, 10, IMMEDIATE },
	{ CODE64, { 0xc7, 0x05, 0, 3, 0, 0, 0x00, 0x45, 0x0c, 0 }, 10, IMMEDIATE },
	{ CODE32, { 0xa3, 0, 3, 0xe0, 0xfe }, 5, 0 },       /* mov %eax,0xfee00300 */
	{ CODE32, { 0x89, 0x15, 0, 3, 0xe0, 0xfe }, 6, 2 }, /* mov %edx,0xfee00300 */
	{ CODE32, { 0x3e, 0x89, 0x2b }, 3, 5 },             /* mov %ebp,%ds:(%ebx) */
};

static const struct sample bad[] = {
	{ CODE64, { 0x48, 0x89, 0x03 }, 3, 0 },       /* 8 bytes */
	{ CODE64, { 0x66, 0x89, 0x03 }, 3, 0 },       /* 2 bytes */
	{ CODE64, { 0x88, 0x03 }, 2, 0 },             /* 1 byte */
	{ CODE64, { 0x89, 0xc0 }, 2, 0 },             /* to a register */
	{ CODE64, { 0x87, 0x03 }, 2, 0 },             /* xchg */
	{ CODE64, { 0xf0, 0x01, 0x03 }, 3, 0 },       /* lock add */
	{ CODE64, { 0xc7, 0x08, 0, 0, 0, 0 }, 6, 0 }, /* undefined */
	{ CODE64, { 0x8b, 0x03 }, 2, 0 },             /* a load */
	{ CODE32, { 0x67, 0x89, 0x07 }, 3, 0 },       /* 16-bit address */
	{ CODE32, { 0x44, 0x89, 0x03 }, 3, 0 },       /* inc %esp: REX is of 64-bit code only */
};

/* Decodes from a copy of exact size, so that reading beyond it is caught. */
static bool decode(const u8 *bytes, u32 count, bool code64, struct store *store)
{
	u8 *copy = malloc(count ? count : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, count);
	bool ok = store_decode(copy, count, code64, store);

	free(copy);
	return ok;
}

static void test_known_forms(void **state)
{
	struct store store;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct sample *s = &good[i];

		assert_true(decode(s->bytes, INSN_MAX, s->mode, &store));
		assert_int_equal(store.length, s->length);
		assert_int_equal(store.is_immediate, s->reg == IMMEDIATE);
		if (store.is_immediate)
			assert_int_equal(store.immediate, VALUE);
		else
			assert_int_equal(store.reg, s->reg);
	}
}

static void test_code_that_ends_early(void **state)
{
	struct store store;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		for (u32 count = 0; count < good[i].length; count++)
			assert_false(decode(good[i].bytes, count, good[i].mode, &store));
		assert_true(decode(good[i].bytes, good[i].length, good[i].mode, &store));
	}
}

static void test_other_instructions(void **state)
{
	struct store store;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(decode(bad[i].bytes, INSN_MAX, bad[i].mode, &store));
}

/* SDM 2A "Instruction Format": no instruction is longer than 15 bytes. */
static void test_too_many_prefixes(void **state)
{
	u8 bytes[2 * INSN_MAX];
	struct store store;

	(void)state;
	memset(bytes, 0x2e, sizeof(bytes));
	bytes[14] = 0x89;
	assert_false(decode(bytes, sizeof(bytes), CODE64, &store));
}

static void test_random_bytes(void **state)
{
	u64 seed = 17;

	(void)state;
	for (int round = 0; round < 50000; round++) {
		u64 random[2] = { machine_random(&seed), machine_random(&seed) };
		u32 count = (u32)(machine_random(&seed) % (sizeof(random) + 1));
		struct store store;

		if (decode((const u8 *)random, count, round & 1, &store))
			assert_in_range(store.length, 2, count < INSN_MAX ? count : INSN_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_forms),
		cmocka_unit_test(test_code_that_ends_early),
		cmocka_unit_test(test_other_instructions),
		cmocka_unit_test(test_too_many_prefixes),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
