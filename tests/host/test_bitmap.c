/*
 * Bitmaps of 4 KiB: the merge intercepts what either side does and nothing else; questions about
 * MSRs and ports are answered as the bytes of the page say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/bitmap.h"
#include "tests/host/fake_memory.h"

static struct bitmap_page a, b, merged;

static u32 bit_of_bytes(const struct bitmap_page *page, u32 bit)
{
	const u8 *bytes = (const u8 *)page;

	return bytes[bit / 8] >> bit % 8 & 1;
}

static void fill(struct bitmap_page *page, struct fake_random *random, bool sparse)
{
	for (size_t i = 0; i < BITMAP_WORDS; i++) {
		page->word[i] = fake_random(random);
		if (sparse)
			page->word[i] &= fake_random(random) & fake_random(random) &
					 fake_random(random);
	}
}

static void test_merge_is_what_either_intercepts(void **state)
{
	struct fake_random random = { 1 };

	(void)state;
	for (u32 round = 0; round < 20; round++) {
		fill(&a, &random, round % 2 != 0);
		fill(&b, &random, round % 3 != 0);
		memset(&merged, 0x5a, sizeof(merged));
		bitmap_merge(&merged, &a, &b);
		for (u32 bit = 0; bit < BITMAP_BITS; bit++)
			assert_int_equal(bit_of_bytes(&merged, bit),
					 bit_of_bytes(&a, bit) | bit_of_bytes(&b, bit));
	}
}

static void test_merge_into_an_operand(void **state)
{
	struct fake_random random = { 2 };
	struct bitmap_page copy;

	(void)state;
	fill(&a, &random, true);
	fill(&b, &random, true);
	bitmap_merge(&merged, &a, &b);
	copy = a;
	bitmap_merge(&copy, &copy, &b);
	assert_memory_equal(&copy, &merged, sizeof(copy));
	copy = b;
	bitmap_merge(&copy, &a, &copy);
	assert_memory_equal(&copy, &merged, sizeof(copy));
}

/* Merging is idempotent and commutative, and an empty page changes nothing. */
static void test_merge_algebra(void **state)
{
	struct fake_random random = { 3 };
	struct bitmap_page empty = { { 0 } };
	struct bitmap_page other;

	(void)state;
	fill(&a, &random, false);
	fill(&b, &random, false);
	bitmap_merge(&merged, &a, &b);
	bitmap_merge(&other, &b, &a);
	assert_memory_equal(&merged, &other, sizeof(other));
	bitmap_merge(&other, &merged, &b);
	assert_memory_equal(&merged, &other, sizeof(other));
	bitmap_merge(&other, &a, &empty);
	assert_memory_equal(&a, &other, sizeof(other));
}

static void test_single_bits(void **state)
{
	(void)state;
	for (u32 bit = 0; bit < BITMAP_BITS; bit += 61) {
		memset(&a, 0, sizeof(a));
		bitmap_set(&a, bit);
		assert_int_equal(bit_of_bytes(&a, bit), 1);
		assert_true(bitmap_test(&a, bit));
		bitmap_clear(&a, bit);
		memset(&b, 0, sizeof(b));
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

/* SDM 3C "MSR-Bitmap Address" (25.6.9): four KiB in four parts: reads of low MSRs, reads of high
 * ones, writes of low, writes of high; a bit per MSR. */
static void test_msr_bits_are_where_the_manual_puts_them(void **state)
{
	static const struct {
		u32 msr;
		u32 byte; /* within a part's pair */
		u32 bit;
	} msrs[] = {
		{ 0, 0, 0 },
		{ 0x10, 2, 0 },
		{ 0x1fff, 1023, 7 },
		{ 0xc0000000, 1024, 0 },
		{ 0xc0000080, 1024 + 16, 0 },
		{ 0xc0001fff, 2047, 7 },
	};
	u8 *bytes = (u8 *)&a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		memset(&a, 0, sizeof(a));
		assert_false(msr_bitmap_read_exits(&a, msrs[i].msr));
		assert_false(msr_bitmap_write_exits(&a, msrs[i].msr));
		bytes[msrs[i].byte] = (u8)(1U << msrs[i].bit);
		assert_true(msr_bitmap_read_exits(&a, msrs[i].msr));
		assert_false(msr_bitmap_write_exits(&a, msrs[i].msr));
		memset(&a, 0, sizeof(a));
		bytes[2048 + msrs[i].byte] = (u8)(1U << msrs[i].bit);
		assert_false(msr_bitmap_read_exits(&a, msrs[i].msr));
		assert_true(msr_bitmap_write_exits(&a, msrs[i].msr));
	}
}

static void test_each_msr_has_its_own_bits(void **state)
{
	struct fake_random random = { 4 };

	(void)state;
	fill(&a, &random, false);
	for (u32 i = 0; i < 0x2000; i++) {
		assert_int_equal(msr_bitmap_read_exits(&a, i), bit_of_bytes(&a, i));
		assert_int_equal(msr_bitmap_read_exits(&a, 0xc0000000 + i),
				 bit_of_bytes(&a, 0x2000 + i));
		assert_int_equal(msr_bitmap_write_exits(&a, i), bit_of_bytes(&a, 0x4000 + i));
		assert_int_equal(msr_bitmap_write_exits(&a, 0xc0000000 + i),
				 bit_of_bytes(&a, 0x6000 + i));
	}
}

/* "The value of ECX is not in either range": exits whatever the bitmap says. */
static void test_msrs_outside_both_ranges_exit(void **state)
{
	static const u32 msrs[] = { 0x2000, 0x40000000, 0xbfffffff, 0xc0002000, 0xffffffff };

	(void)state;
	memset(&a, 0, sizeof(a));
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_true(msr_bitmap_read_exits(&a, msrs[i]));
		assert_true(msr_bitmap_write_exits(&a, msrs[i]));
	}
}

static void test_ports_against_a_plain_loop(void **state)
{
	static const u32 sizes[] = { 1, 2, 4 };
	struct fake_random random = { 6 };

	(void)state;
	fill(&a, &random, true);
	fill(&b, &random, true);
	for (u32 port = 0; port < 0x10000; port++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			bool exits = false;

			for (u32 p = port; p < port + sizes[i]; p++)
				exits |= p > 0xffff ||
					 bit_of_bytes(p < 0x8000 ? &a : &b, p & 0x7fff);
			assert_int_equal(io_bitmap_exits(&a, &b, (u16)port, sizes[i]), exits);
		}
	}
}

/* "If an I/O operation wraps around the 16-bit I/O-port space, the instruction causes a VM exit."
 */
static void test_wrapping_around_the_port_space_exits(void **state)
{
	(void)state;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	assert_false(io_bitmap_exits(&a, &b, 0xffff, 1));
	assert_false(io_bitmap_exits(&a, &b, 0xfffe, 2));
	assert_false(io_bitmap_exits(&a, &b, 0xfffc, 4));
	assert_true(io_bitmap_exits(&a, &b, 0xffff, 2));
	assert_true(io_bitmap_exits(&a, &b, 0xfffd, 4));
	assert_false(io_bitmap_exits(&a, &b, 0x7ffe, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge_is_what_either_intercepts),
		cmocka_unit_test(test_merge_into_an_operand),
		cmocka_unit_test(test_merge_algebra),
		cmocka_unit_test(test_single_bits),
		cmocka_unit_test(test_msr_bits_are_where_the_manual_puts_them),
		cmocka_unit_test(test_each_msr_has_its_own_bits),
		cmocka_unit_test(test_msrs_outside_both_ranges_exit),
		cmocka_unit_test(test_ports_against_a_plain_loop),
		cmocka_unit_test(test_wrapping_around_the_port_space_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
