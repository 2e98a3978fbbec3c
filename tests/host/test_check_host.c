/*
 * VM-entry checks on the host-state area: every rule is quoted and broken alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/entry.h"

#define NOT_CANONICAL 0x0000800000000000ULL

static const struct broken_rule registers[] = {
	{ "the CR0 field must not set any bit to a value not supported in VMX operation",
	  entry_64,
	  { CLEAR(HOST_CR0, CR0_NE) } },
	{ "the CR0 field must not set any bit to a value not supported in VMX operation",
	  entry_unrestricted,
	  { CLEAR(HOST_CR0, CR0_PG) } },
	{ "the CR0 field must not set any bit to a value not supported in VMX operation",
	  entry_64,
	  { OR(HOST_CR0, BIT(32)) } },
	{ "the CR4 field must not set any bit to a value not supported in VMX operation",
	  entry_64,
	  { CLEAR(HOST_CR4, CR4_VMXE) } },
	{ "the CR4 field must not set any bit to a value not supported in VMX operation",
	  entry_64,
	  { OR(HOST_CR4, CR4_LA57) } },
	{ "if CR4.CET is 1, CR0.WP must also be 1", entry_cet, { CLEAR(HOST_CR0, CR0_WP) } },
	{ "CR3: bits 63:52 and bits beyond the physical-address width must be 0",
	  entry_64,
	  { OR(HOST_CR3, ENTRY_BEYOND_BIT) } },
	{ "CR3: bits 63:52 and bits beyond the physical-address width must be 0",
	  entry_64,
	  { OR(HOST_CR3, BIT(63)) } },
	{ "IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must each contain a canonical address",
	  entry_64,
	  { SET(HOST_SYSENTER_ESP, NOT_CANONICAL) } },
	{ "IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must each contain a canonical address",
	  entry_64,
	  { SET(HOST_SYSENTER_EIP, BIT(63)) } },
	{ "load IA32_PAT: each of the 8 bytes must be 0, 1, 4, 5, 6 or 7",
	  entry_64,
	  { SET(HOST_PAT, 0x02) } },
	{ "load IA32_PAT: each of the 8 bytes must be 0, 1, 4, 5, 6 or 7",
	  entry_64,
	  { SET(HOST_PAT, 0x08ULL << 56) } },
	{ "load IA32_EFER: bits reserved in the IA32_EFER MSR must be 0",
	  entry_64,
	  { OR(HOST_EFER, BIT(1)) } },
	{ "load IA32_EFER: LMA and LME must each be that of host address-space size",
	  entry_64,
	  { CLEAR(HOST_EFER, EFER_LMA) } },
	{ "load IA32_EFER: LMA and LME must each be that of host address-space size",
	  entry_32,
	  { OR(HOST_EFER, EFER_LME) } },
};

#define SELECTOR_QUOTE "selectors of CS, SS, DS, ES, FS, GS, TR: the RPL and the TI flag must be 0"
#define BASE_QUOTE     "base addresses of FS, GS, GDTR, IDTR and TR must be canonical"

static const struct broken_rule segments[] = {
	{ SELECTOR_QUOTE, entry_64, { OR(HOST_CS_SELECTOR, 1) } },
	{ SELECTOR_QUOTE, entry_64, { OR(HOST_SS_SELECTOR, 2) } },
	{ SELECTOR_QUOTE, entry_64, { OR(HOST_DS_SELECTOR, 4) } },
	{ SELECTOR_QUOTE, entry_64, { OR(HOST_ES_SELECTOR, 3) } },
	{ SELECTOR_QUOTE, entry_64, { OR(HOST_FS_SELECTOR, 4) } },
	{ SELECTOR_QUOTE, entry_64, { OR(HOST_GS_SELECTOR, 1) } },
	{ SELECTOR_QUOTE, entry_64, { OR(HOST_TR_SELECTOR, 4) } },
	{ "the selectors for CS and TR cannot be 0000H", entry_64, { SET(HOST_CS_SELECTOR, 0) } },
	{ "the selectors for CS and TR cannot be 0000H", entry_64, { SET(HOST_TR_SELECTOR, 0) } },
	{ "SS cannot be 0000H if host address-space size is 0",
	  entry_32,
	  { SET(HOST_SS_SELECTOR, 0) } },
	{ BASE_QUOTE, entry_64, { SET(HOST_FS_BASE, NOT_CANONICAL) } },
	{ BASE_QUOTE, entry_64, { SET(HOST_GS_BASE, NOT_CANONICAL) } },
	{ BASE_QUOTE, entry_64, { SET(HOST_GDTR_BASE, NOT_CANONICAL) } },
	{ BASE_QUOTE, entry_64, { SET(HOST_IDTR_BASE, NOT_CANONICAL) } },
	{ BASE_QUOTE, entry_64, { SET(HOST_TR_BASE, NOT_CANONICAL) } },
};

static const struct broken_rule sizes[] = {
	{ "outside IA-32e mode: IA-32e mode guest and host address-space size must be 0",
	  entry_32,
	  { OR(ENTRY_CONTROLS, ENTRY_GUEST_64) } },
	{ "outside IA-32e mode: IA-32e mode guest and host address-space size must be 0",
	  entry_32,
	  { OR(EXIT_CONTROLS, EXIT_HOST_64), OR(HOST_EFER, EFER_LMA | EFER_LME) } },
	{ "in IA-32e mode: host address-space size must be 1",
	  entry_64,
	  { CLEAR(EXIT_CONTROLS, EXIT_HOST_64), CLEAR(HOST_EFER, EFER_LMA | EFER_LME),
	    SET(HOST_SS_SELECTOR, 0x10) } },
	{ "if host address-space size is 0, CR4.PCIDE must be 0",
	  entry_32,
	  { OR(HOST_CR4, CR4_PCIDE) } },
	{ "if host address-space size is 0, RIP[63:32] must be 0",
	  entry_32,
	  { SET(HOST_RIP, BIT(32)) } },
	{ "if host address-space size is 1, CR4.PAE must be 1",
	  entry_64,
	  { CLEAR(HOST_CR4, CR4_PAE) } },
	{ "if host address-space size is 1, RIP must contain a canonical address",
	  entry_64,
	  { SET(HOST_RIP, NOT_CANONICAL) } },
};

static void test_each_rule_broken_alone(void **state)
{
	(void)state;
	entry_expect_broken(vmx_check_host, registers, ARRAY_SIZE(registers));
	entry_expect_broken(vmx_check_host, segments, ARRAY_SIZE(segments));
	entry_expect_broken(vmx_check_host, sizes, ARRAY_SIZE(sizes));
}

static void test_every_rule_is_quoted(void **state)
{
	(void)state;
	entry_expect_quoted("27.2.2", registers, ARRAY_SIZE(registers));
	entry_expect_quoted("27.2.3", segments, ARRAY_SIZE(segments));
	entry_expect_quoted("27.2.4", sizes, ARRAY_SIZE(sizes));
}

/* L2 may leave or enter IA-32e mode between two entries with nothing else changed. */
static void test_mode_of_l2_is_looked_at_every_time(void **state)
{
	struct entry e;

	(void)state;
	entry_64(&e);
	assert_string_equal(entry_run(vmx_check_host, &e, 0), "passes");
	e.env.long_mode = false;
	assert_string_equal(
		entry_run(vmx_check_host, &e, 0),
		"outside IA-32e mode: IA-32e mode guest and host address-space size must be 0");
}

static void test_unloaded_msrs_may_hold_anything(void **state)
{
	struct entry e;

	(void)state;
	entry_64(&e);
	e.v.f[F_EXIT_CONTROLS] &= ~(u64)(EXIT_LOAD_PAT | EXIT_LOAD_EFER);
	e.v.f[F_HOST_PAT] = ~0ULL;
	e.v.f[F_HOST_EFER] = ~0ULL;
	assert_string_equal(entry_run(vmx_check_host, &e, VG_ALL), "passes");
}

/* Every byte value in every position, against the list in the manual. */
static void test_pat_bytes(void **state)
{
	struct entry e;

	(void)state;
	entry_64(&e);
	for (u32 position = 0; position < 8; position++) {
		for (u64 type = 0; type < 256; type++) {
			bool good = type == 0 || type == 1 || (type >= 4 && type <= 7);

			e.v.f[F_HOST_PAT] = 0x0606060606060606ULL;
			e.v.f[F_HOST_PAT] &= ~(0xffULL << position * 8);
			e.v.f[F_HOST_PAT] |= type << position * 8;
			assert_int_equal(
				strcmp(entry_run(vmx_check_host, &e, VG_ALL), "passes") == 0, good);
		}
	}
}

/* The addresses on both sides of each end of the canonical ranges, for both widths. */
static void test_canonical_addresses(void **state)
{
	static const u8 widths[] = { 48, 57 };
	struct entry e;

	(void)state;
	entry_64(&e);
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		u64 half = BIT(widths[i] - 1);
		const struct {
			u64 address;
			bool canonical;
		} cases[] = {
			{ 0, true },      { half - 1, true },   { half, false }, { -half, true },
			{ ~half, false }, { -half - 1, false }, { ~0ULL, true }, { BIT(63), false },
		};

		e.env.linear_width = widths[i];
		for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
			e.v.f[F_HOST_GDTR_BASE] = cases[k].address;
			assert_string_equal(entry_run(vmx_check_host, &e, VG_ALL),
					    cases[k].canonical ? "passes" : BASE_QUOTE);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rule_broken_alone),
		cmocka_unit_test(test_every_rule_is_quoted),
		cmocka_unit_test(test_mode_of_l2_is_looked_at_every_time),
		cmocka_unit_test(test_unloaded_msrs_may_hold_anything),
		cmocka_unit_test(test_pat_bytes),
		cmocka_unit_test(test_canonical_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
