/*
 * The sets of fields that hardware shadowing exposes to L2, and the VMREAD and VMWRITE bitmaps made
 * from them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmcs_fields.h"
#include "shadow-vmcs/vmx_caps.h"
#include "tests/host/entry.h"

struct access {
	int row;
	enum vmcs_expose_access access;
};

#define READ(NAME)                    \
	{                             \
		F_##NAME, EXPOSE_READ \
	}
#define RW(NAME)                    \
	{                           \
		F_##NAME, EXPOSE_RW \
	}

/* What an exit handler with the access profile `kvm` of guests/hv touches: 10 reads, 3 writes. */
static const struct access minimal[] = {
	READ(EXIT_REASON),        READ(EXIT_QUALIFICATION), READ(EXIT_INTR_INFO),
	READ(IDT_VECTORING_INFO), READ(EXIT_INSN_LENGTH),   RW(GUEST_RIP),
	READ(GUEST_RSP),          READ(GUEST_RFLAGS),       RW(GUEST_INTERRUPTIBILITY),
	READ(GUEST_CS_AR),        RW(ENTRY_INTR_INFO),      READ(GUEST_PHYSICAL_ADDRESS),
};

/* What Linux KVM shadows, but for three fields of features that L2 is not offered: the guest
 * interrupt status, the PML index and the preemption timer. */
static const struct access kvm[] = {
	RW(HOST_FS_SELECTOR),
	RW(HOST_GS_SELECTOR),
	READ(EXIT_REASON),
	READ(EXIT_INTR_INFO),
	READ(EXIT_INSN_LENGTH),
	READ(IDT_VECTORING_INFO),
	READ(IDT_VECTORING_ERROR_CODE),
	READ(EXIT_INTR_ERROR_CODE),
	READ(GUEST_CS_AR),
	READ(GUEST_SS_AR),
	RW(PROC_CONTROLS),
	RW(EXCEPTION_BITMAP),
	RW(ENTRY_ERROR_CODE),
	RW(ENTRY_INTR_INFO),
	RW(ENTRY_INSN_LENGTH),
	RW(TPR_THRESHOLD),
	RW(GUEST_INTERRUPTIBILITY),
	READ(EXIT_QUALIFICATION),
	READ(GUEST_LINEAR_ADDRESS),
	RW(GUEST_RIP),
	RW(GUEST_RSP),
	RW(GUEST_CR0),
	RW(GUEST_CR3),
	RW(GUEST_CR4),
	RW(GUEST_RFLAGS),
	RW(CR0_MASK),
	RW(CR0_SHADOW),
	RW(CR4_SHADOW),
	RW(HOST_FS_BASE),
	RW(HOST_GS_BASE),
	READ(GUEST_PHYSICAL_ADDRESS),
};

static void make_set(struct vmcs_expose *set, const char *words)
{
	const char *bad = NULL;
	size_t bad_length = 0;

	assert_int_equal(vmcs_expose_set(words, strlen(words), set, &bad, &bad_length),
			 VMCS_EXPOSE_OK);
}

static u32 access_in(const struct access *list, size_t count, int row)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].row == row)
			return list[i].access;
	return EXPOSE_TRAP;
}

static void expect_set(const char *words, const struct access *list, size_t count)
{
	struct vmcs_expose set;

	make_set(&set, words);
	for (int row = 0; row < VMCS_ROWS; row++)
		assert_int_equal(set.access[row], access_in(list, count, row));
}

static void test_named_sets(void **state)
{
	struct vmcs_expose all;

	(void)state;
	expect_set("none", NULL, 0);
	expect_set("minimal", minimal, ARRAY_SIZE(minimal));
	expect_set("kvm", kvm, ARRAY_SIZE(kvm));
	make_set(&all, "all");
	for (int row = 0; row < VMCS_ROWS; row++)
		assert_int_equal(all.access[row], vmcs_table[row].expose);
}

/* The profile reads 10 fields and writes 3, one of which it does not read; an EPT violation needs
 * one field more. */
static void test_minimal_is_what_the_profile_needs(void **state)
{
	struct vmcs_expose set;

	(void)state;
	make_set(&set, "minimal");
	assert_int_equal(set.readable_count, 10 + 1 + 1);
	assert_int_equal(set.writable_count, 3);
}

static void test_each_set_contains_the_smaller_ones(void **state)
{
	static const char *const order[] = { "none", "minimal", "kvm", "all" };

	(void)state;
	for (size_t i = 1; i < ARRAY_SIZE(order); i++) {
		struct vmcs_expose small, large;

		make_set(&small, order[i - 1]);
		make_set(&large, order[i]);
		for (int row = 0; row < VMCS_ROWS; row++)
			assert_true(small.access[row] <= large.access[row]);
	}
}

static void test_lists_of_names(void **state)
{
	static const struct access two[] = { READ(EXIT_REASON), RW(GUEST_DR7) };
	struct vmcs_expose set;

	(void)state;
	expect_set("EXIT_REASON+GUEST_DR7", two, ARRAY_SIZE(two));
	expect_set("GUEST_DR7+none+EXIT_REASON+GUEST_DR7", two, ARRAY_SIZE(two));
	make_set(&set, "minimal+GUEST_CS_AR");
	assert_int_equal(set.access[F_GUEST_CS_AR], EXPOSE_RW);
	assert_int_equal(set.access[F_GUEST_RSP], EXPOSE_READ);
	make_set(&set, "GUEST_RSP+minimal");
	assert_int_equal(set.access[F_GUEST_RSP], EXPOSE_RW);
}

static void expect_refused(const char *words, enum vmcs_expose_result why, const char *word)
{
	struct vmcs_expose set;
	const char *bad = NULL;
	size_t bad_length = 0;

	assert_int_equal(vmcs_expose_set(words, strlen(words), &set, &bad, &bad_length), why);
	assert_int_equal(bad_length, strlen(word));
	assert_memory_equal(bad, word, bad_length);
}

/* Every field can be named, and is exposed as far as it may be. */
static void test_every_name(void **state)
{
	(void)state;
	for (int row = 0; row < VMCS_ROWS; row++) {
		const char *name = vmcs_field_name(row);
		struct access alone = { row, vmcs_table[row].expose };

		if (vmcs_table[row].expose == EXPOSE_TRAP)
			expect_refused(name, VMCS_EXPOSE_REFUSED, name);
		else
			expect_set(name, &alone, 1);
	}
}

static void test_bad_words_are_named(void **state)
{
	(void)state;
	expect_refused("", VMCS_EXPOSE_EMPTY, "");
	expect_refused("kvm+", VMCS_EXPOSE_EMPTY, "");
	expect_refused("+kvm", VMCS_EXPOSE_EMPTY, "");
	expect_refused("minimal++kvm", VMCS_EXPOSE_EMPTY, "");
	expect_refused("kvm+GUEST_RIPP+all", VMCS_EXPOSE_UNKNOWN, "GUEST_RIPP");
	expect_refused("KVM", VMCS_EXPOSE_UNKNOWN, "KVM");
	expect_refused("guest_rip", VMCS_EXPOSE_UNKNOWN, "guest_rip");
	expect_refused("GUEST_RI", VMCS_EXPOSE_UNKNOWN, "GUEST_RI");
	expect_refused("GUEST_RIP+INSTRUCTION_ERROR", VMCS_EXPOSE_REFUSED, "INSTRUCTION_ERROR");
	expect_refused("VMREAD_BITMAP", VMCS_EXPOSE_REFUSED, "VMREAD_BITMAP");
}

/* No text past the given length is looked at. */
static void test_length_counts(void **state)
{
	char *words = malloc(7);
	struct vmcs_expose set;
	const char *bad;
	size_t bad_length;

	(void)state;
	memcpy(words, "minimal", 7);
	assert_int_equal(vmcs_expose_set(words, 7, &set, &bad, &bad_length), VMCS_EXPOSE_OK);
	assert_int_equal(set.writable_count, 3);
	free(words);
}

/* A field of a feature that L2 is not offered does not exist for it, so its access must exit. */
static void test_fields_that_do_not_exist_trap(void **state)
{
	static const struct vmx_offer without_ept = { .ept = false };
	struct vmx_caps platform, offered;
	struct vmcs_expose set;

	(void)state;
	entry_platform(&platform);
	vmx_caps_offer(&platform, &without_ept, &offered);
	make_set(&set, "all");
	assert_int_equal(set.access[F_EPTP], EXPOSE_RW);
	vmx_caps_limit_expose(&offered, &set);
	for (int row = 0; row < VMCS_ROWS; row++)
		assert_int_equal(set.access[row], vmx_caps_field_exists(&offered, row)
							  ? vmcs_table[row].expose
							  : EXPOSE_TRAP);
	assert_int_equal(set.access[F_EPTP], EXPOSE_TRAP);
	for (u32 i = 0; i < set.writable_count; i++)
		assert_int_not_equal(set.writable[i], F_EPTP);
}

static void test_row_lists_match(void **state)
{
	struct vmcs_expose set;
	u32 readable = 0, writable = 0;

	(void)state;
	make_set(&set, "kvm");
	for (int row = 0; row < VMCS_ROWS; row++) {
		if (set.access[row] != EXPOSE_TRAP)
			assert_int_equal(set.readable[readable++], row);
		if (set.access[row] == EXPOSE_RW)
			assert_int_equal(set.writable[writable++], row);
	}
	assert_int_equal(set.readable_count, readable);
	assert_int_equal(set.writable_count, writable);
}

/* Bit n is clear exactly when the encoding n, either half, names an exposed field. */
static void test_bitmaps(void **state)
{
	static const char *const sets[] = { "none", "minimal", "kvm", "all", "EPTP+GUEST_CS_AR" };
	struct bitmap_page read, write;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		struct vmcs_expose set;

		make_set(&set, sets[i]);
		vmcs_expose_bitmaps(&set, &read, &write);
		for (u32 encoding = 0; encoding < VMCS_ENCODINGS; encoding++) {
			const u8 *read_bytes = (const u8 *)&read;
			const u8 *write_bytes = (const u8 *)&write;
			int row = vmcs_row_of(encoding);
			u32 access = row < 0 ? EXPOSE_TRAP : set.access[row];

			assert_int_equal(read_bytes[encoding / 8] >> encoding % 8 & 1,
					 access < EXPOSE_READ);
			assert_int_equal(write_bytes[encoding / 8] >> encoding % 8 & 1,
					 access < EXPOSE_RW);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named_sets),
		cmocka_unit_test(test_minimal_is_what_the_profile_needs),
		cmocka_unit_test(test_each_set_contains_the_smaller_ones),
		cmocka_unit_test(test_lists_of_names),
		cmocka_unit_test(test_every_name),
		cmocka_unit_test(test_bad_words_are_named),
		cmocka_unit_test(test_length_counts),
		cmocka_unit_test(test_fields_that_do_not_exist_trap),
		cmocka_unit_test(test_row_lists_match),
		cmocka_unit_test(test_bitmaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
