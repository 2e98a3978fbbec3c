/*
 * VM-entry checks on the guest's segment registers: every rule is quoted and broken alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/entry.h"

#define NOT_CANONICAL 0x0000800000000000ULL
#define TYPE(NAME, type)                                  \
	{                                                 \
		F_GUEST_##NAME##_AR, AR_TYPE_MASK, (type) \
	}
#define DPL(NAME, dpl)                                                  \
	{                                                               \
		F_GUEST_##NAME##_AR, AR_DPL_MASK, (dpl) << AR_DPL_SHIFT \
	}

#define RESERVED_QUOTE "CS, or usable: bits 11:8 and 31:17 (reserved) must all be 0"
#define G_QUOTE        "CS, or usable: G is 0 if limit 11:0 are not all 1, 1 if 31:20 not all 0"
#define DPL_QUOTE                                                                                \
	"DS, ES, FS, GS, if usable, not unrestricted guest, Type 0-11: the DPL is at least the " \
	"RPL"
#define CANONICAL_QUOTE "base of TR, FS, GS, and of LDTR if usable: the address must be canonical"
#define V86_BASE_QUOTE  "virtual-8086: the base address must be the selector shifted left 4 bits"
#define V86_LIMIT_QUOTE "virtual-8086: the limit must be 0000FFFFH"
#define V86_AR_QUOTE    "virtual-8086: the access rights must be 000000F3H"

static const struct broken_rule segments[] = {
	{ "TR selector: the TI flag (bit 2) must be 0", entry_64, { OR(GUEST_TR_SELECTOR, 4) } },
	{ "LDTR selector, if usable: the TI flag (bit 2) must be 0",
	  entry_64,
	  { OR(GUEST_LDTR_SELECTOR, 4) } },
	{ "not virtual-8086, not unrestricted guest: the RPL of SS must equal the RPL of CS",
	  entry_64,
	  { OR(GUEST_CS_SELECTOR, 3) } },
	{ V86_BASE_QUOTE, entry_v86, { SET(GUEST_CS_BASE, 0x12341) } },
	{ V86_BASE_QUOTE, entry_v86, { SET(GUEST_GS_SELECTOR, 0x1233) } },
	{ V86_BASE_QUOTE, entry_32, { OR(GUEST_RFLAGS, RFLAGS_VM) } },
	{ CANONICAL_QUOTE, entry_64, { SET(GUEST_TR_BASE, NOT_CANONICAL) } },
	{ CANONICAL_QUOTE, entry_64, { SET(GUEST_FS_BASE, NOT_CANONICAL) } },
	{ CANONICAL_QUOTE,
	  entry_64,
	  { SET(GUEST_GS_BASE, NOT_CANONICAL), OR(GUEST_GS_AR, AR_UNUSABLE) } },
	{ CANONICAL_QUOTE, entry_64, { SET(GUEST_LDTR_BASE, NOT_CANONICAL) } },
	{ "CS base: bits 63:32 of the address must be zero",
	  entry_64,
	  { SET(GUEST_CS_BASE, BIT(32)) } },
	{ "base of SS, DS, ES, if usable: bits 63:32 of the address must be zero",
	  entry_64,
	  { SET(GUEST_SS_BASE, BIT(32)) } },
	{ "base of SS, DS, ES, if usable: bits 63:32 of the address must be zero",
	  entry_64,
	  { SET(GUEST_DS_BASE, BIT(32)) } },
	{ "base of SS, DS, ES, if usable: bits 63:32 of the address must be zero",
	  entry_64,
	  { SET(GUEST_ES_BASE, BIT(63)) } },
	{ V86_LIMIT_QUOTE, entry_v86, { SET(GUEST_ES_LIMIT, 0xfffff) } },
	{ V86_LIMIT_QUOTE, entry_v86, { SET(GUEST_FS_LIMIT, 0xfffe) } },
	{ V86_AR_QUOTE, entry_v86, { OR(GUEST_SS_AR, AR_UNUSABLE) } },
	{ V86_AR_QUOTE, entry_v86, { CLEAR(GUEST_DS_AR, AR_P) } },
	{ "CS: Type must be 9, 11, 13 or 15, or with unrestricted guest 3",
	  entry_64,
	  { TYPE(CS, 3) } },
	{ "CS: Type must be 9, 11, 13 or 15, or with unrestricted guest 3",
	  entry_64,
	  { TYPE(CS, 10) } },
	{ "CS: Type must be 9, 11, 13 or 15, or with unrestricted guest 3",
	  entry_unrestricted,
	  { TYPE(CS, 7) } },
	{ "CS: Type must be 9, 11, 13 or 15, or with unrestricted guest 3",
	  entry_v86,
	  { CLEAR(GUEST_RFLAGS, RFLAGS_VM) } },
	{ "SS, if usable: Type must be 3 or 7", entry_64, { TYPE(SS, 1) } },
	{ "SS, if usable: Type must be 3 or 7", entry_64, { TYPE(SS, 11) } },
	{ "DS, ES, FS, GS, if usable: bit 0 of the Type must be 1 (accessed)",
	  entry_64,
	  { TYPE(DS, 2) } },
	{ "DS, ES, FS, GS, if usable: bit 0 of the Type must be 1 (accessed)",
	  entry_64,
	  { TYPE(GS, 0) } },
	{ "DS, ES, FS, GS, if usable: a code segment's Type must be readable",
	  entry_64,
	  { TYPE(ES, 9) } },
	{ "DS, ES, FS, GS, if usable: a code segment's Type must be readable",
	  entry_64,
	  { TYPE(FS, 13) } },
	{ "CS, or usable: S (bit 4) must be 1", entry_64, { CLEAR(GUEST_CS_AR, AR_S) } },
	{ "CS, or usable: S (bit 4) must be 1", entry_64, { CLEAR(GUEST_SS_AR, AR_S) } },
	{ "CS, or usable: S (bit 4) must be 1", entry_64, { CLEAR(GUEST_FS_AR, AR_S) } },
	{ "CS: if the Type is 3, the DPL must be 0",
	  entry_unrestricted,
	  { TYPE(CS, 3), DPL(CS, 1) } },
	{ "CS: if the Type is 9 or 11, the DPL must equal the DPL of SS",
	  entry_64,
	  { DPL(CS, 3) } },
	{ "CS: if the Type is 13 or 15, the DPL cannot be greater than the DPL of SS",
	  entry_64,
	  { TYPE(CS, 15), DPL(CS, 1) } },
	{ "SS: if unrestricted guest is 0, the DPL must equal the RPL from the selector",
	  entry_64,
	  { TYPE(CS, 13), DPL(SS, 1) } },
	{ "SS: the DPL must be 0 if the Type of CS is 3 or if CR0.PE is 0",
	  entry_unrestricted,
	  { TYPE(CS, 3), DPL(SS, 1) } },
	{ "SS: the DPL must be 0 if the Type of CS is 3 or if CR0.PE is 0",
	  entry_real,
	  { TYPE(CS, 11), DPL(CS, 2), DPL(SS, 2) } },
	{ DPL_QUOTE, entry_64, { OR(GUEST_DS_SELECTOR, 1) } },
	{ DPL_QUOTE, entry_64, { OR(GUEST_ES_SELECTOR, 3), TYPE(ES, 11) } },
	{ DPL_QUOTE, entry_64, { OR(GUEST_FS_SELECTOR, 3), DPL(FS, 2) } },
	{ DPL_QUOTE, entry_64, { OR(GUEST_GS_SELECTOR, 2) } },
	{ "CS, or usable: P (bit 7) must be 1", entry_64, { CLEAR(GUEST_CS_AR, AR_P) } },
	{ "CS, or usable: P (bit 7) must be 1", entry_64, { CLEAR(GUEST_ES_AR, AR_P) } },
	{ RESERVED_QUOTE, entry_64, { OR(GUEST_CS_AR, BIT(8)) } },
	{ RESERVED_QUOTE, entry_64, { OR(GUEST_SS_AR, BIT(11)) } },
	{ RESERVED_QUOTE, entry_64, { OR(GUEST_DS_AR, BIT(17)) } },
	{ RESERVED_QUOTE, entry_64, { OR(GUEST_GS_AR, BIT(31)) } },
	{ "CS: D/B must be 0 if IA-32e mode guest and L are 1",
	  entry_64,
	  { OR(GUEST_CS_AR, AR_DB) } },
	{ G_QUOTE, entry_64, { SET(GUEST_CS_LIMIT, 0xfffffffe) } },
	{ G_QUOTE, entry_64, { CLEAR(GUEST_SS_AR, AR_G) } },
	{ G_QUOTE, entry_64, { CLEAR(GUEST_DS_AR, AR_G), SET(GUEST_DS_LIMIT, BIT(20)) } },
	{ "TR: Type must be 11, or 3 if IA-32e mode guest is 0", entry_64, { TYPE(TR, 3) } },
	{ "TR: Type must be 11, or 3 if IA-32e mode guest is 0", entry_32, { TYPE(TR, 9) } },
	{ "TR: S (bit 4) must be 0", entry_64, { OR(GUEST_TR_AR, AR_S) } },
	{ "TR: P (bit 7) must be 1", entry_64, { CLEAR(GUEST_TR_AR, AR_P) } },
	{ "TR: bits 11:8 and 31:17 (reserved) must all be 0",
	  entry_64,
	  { OR(GUEST_TR_AR, BIT(9)) } },
	{ "TR: G is 0 if limit 11:0 are not all 1, 1 if 31:20 not all 0",
	  entry_64,
	  { OR(GUEST_TR_AR, AR_G) } },
	{ "TR: the unusable bit (16) must be 0", entry_64, { OR(GUEST_TR_AR, AR_UNUSABLE) } },
	{ "LDTR, if usable: Type must be 2 (LDT)", entry_64, { TYPE(LDTR, 3) } },
	{ "LDTR, if usable: S (bit 4) must be 0", entry_64, { OR(GUEST_LDTR_AR, AR_S) } },
	{ "LDTR, if usable: P (bit 7) must be 1", entry_64, { CLEAR(GUEST_LDTR_AR, AR_P) } },
	{ "LDTR, if usable: bits 11:8 and 31:17 (reserved) must all be 0",
	  entry_64,
	  { OR(GUEST_LDTR_AR, BIT(30)) } },
	{ "LDTR, if usable: G is 0 if limit 11:0 are not all 1, 1 if 31:20 not all 0",
	  entry_64,
	  { SET(GUEST_LDTR_LIMIT, BIT(21) | 0xfff) } },
};

static void test_each_rule_broken_alone(void **state)
{
	(void)state;
	entry_expect_broken(vmx_check_guest, segments, ARRAY_SIZE(segments));
}

static void test_every_rule_is_quoted(void **state)
{
	(void)state;
	entry_expect_quoted("27.3.1.2", segments, ARRAY_SIZE(segments));
}

/* An unusable register's other bits and its limit are free; its base too, but for FS and GS. */
static void test_unusable_registers_may_hold_anything(void **state)
{
	static const int unusable[] = { F_GUEST_ES_SELECTOR, F_GUEST_DS_SELECTOR,
					F_GUEST_FS_SELECTOR, F_GUEST_GS_SELECTOR,
					F_GUEST_LDTR_SELECTOR };
	struct entry e;

	(void)state;
	entry_64(&e);
	for (size_t i = 0; i < ARRAY_SIZE(unusable); i++) {
		int segment = unusable[i] - F_GUEST_ES_SELECTOR;
		bool free_base = segment != F_GUEST_FS_SELECTOR - F_GUEST_ES_SELECTOR &&
				 segment != F_GUEST_GS_SELECTOR - F_GUEST_ES_SELECTOR;

		e.v.f[unusable[i]] = 0xffff;
		e.v.f[F_GUEST_ES_AR + segment] = 0xffffffff;
		e.v.f[F_GUEST_ES_LIMIT + segment] = 0x12345678;
		if (free_base)
			e.v.f[F_GUEST_ES_BASE + segment] = NOT_CANONICAL;
	}
	assert_string_equal(entry_run(vmx_check_guest, &e, VG_ALL), "passes");
}

/* Of an unusable SS the DPL still counts: it is the CPL. */
static void test_unusable_ss_keeps_its_dpl(void **state)
{
	struct entry e;

	(void)state;
	entry_64(&e);
	e.v.f[F_GUEST_SS_AR] = AR_UNUSABLE;
	e.v.f[F_GUEST_SS_SELECTOR] = 0;
	assert_string_equal(entry_run(vmx_check_guest, &e, VG_ALL), "passes");
	e.v.f[F_GUEST_SS_AR] = AR_UNUSABLE | 1U << AR_DPL_SHIFT;
	assert_string_equal(entry_run(vmx_check_guest, &e, VG_ALL),
			    "CS: if the Type is 9 or 11, the DPL must equal the DPL of SS");
}

/* With unrestricted guest, data segments may have an RPL above their DPL. */
static void test_unrestricted_guest_frees_the_rpl(void **state)
{
	struct entry e;

	(void)state;
	entry_unrestricted(&e);
	e.v.f[F_GUEST_DS_SELECTOR] = 3;
	e.v.f[F_GUEST_SS_SELECTOR] = 2;
	e.v.f[F_GUEST_CS_SELECTOR] = 1;
	assert_string_equal(entry_run(vmx_check_guest, &e, VG_ALL), "passes");
}

/* A 64-bit guest in compatibility mode runs 32-bit code. */
static void test_compatibility_mode_code(void **state)
{
	struct entry e;

	(void)state;
	entry_64(&e);
	e.v.f[F_GUEST_CS_AR] = (e.v.f[F_GUEST_CS_AR] & ~AR_L) | AR_DB;
	e.v.f[F_GUEST_RIP] = 0x1000;
	assert_string_equal(entry_run(vmx_check_guest, &e, VG_ALL), "passes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rule_broken_alone),
		cmocka_unit_test(test_every_rule_is_quoted),
		cmocka_unit_test(test_unusable_registers_may_hold_anything),
		cmocka_unit_test(test_unusable_ss_keeps_its_dpl),
		cmocka_unit_test(test_compatibility_mode_code),
		cmocka_unit_test(test_unrestricted_guest_frees_the_rpl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
