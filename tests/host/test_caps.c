/*
 * What L2 is told of VMX: the whitelists, the reserved and default1 controls, which fields exist,
 * and how the offer follows the platform's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_bits.h"
#include "shadow-vmcs/vmx_caps.h"
#include "tests/host/entry.h"
#include "tests/host/fake_memory.h"

/* The MSRs of a control field and its default1 class, SDM 3D "VM-Execution Controls" (A.3),
 * "VM-Exit Controls" (A.4), "VM-Entry Controls" (A.5). */
static const struct {
	u32 msr, true_msr, default1;
} control_fields[] = {
	{ MSR_VMX_PINBASED_CTLS, MSR_VMX_TRUE_PINBASED_CTLS, 0x16 },
	{ MSR_VMX_PROCBASED_CTLS, MSR_VMX_TRUE_PROCBASED_CTLS, 0x0401e172 },
	{ MSR_VMX_EXIT_CTLS, MSR_VMX_TRUE_EXIT_CTLS, 0x36dff },
	{ MSR_VMX_ENTRY_CTLS, MSR_VMX_TRUE_ENTRY_CTLS, 0x11ff },
};

static void offer(const struct vmx_caps *platform, bool ept, struct vmx_caps *out)
{
	struct vmx_offer what = { .ept = ept };

	vmx_caps_offer(platform, &what, out);
}

static void offer_of_skylake(bool ept, struct vmx_caps *out)
{
	struct vmx_caps platform;

	entry_platform(&platform);
	offer(&platform, ept, out);
}

static void test_basic(void **state)
{
	struct vmx_caps caps;
	u64 basic;

	(void)state;
	offer_of_skylake(true, &caps);
	basic = vmx_cap(&caps, MSR_VMX_BASIC);
	assert_int_equal(basic & 0x7fffffff, VMX_CAPS_REVISION);
	assert_int_equal(basic >> 31 & 1, 0);
	assert_int_equal(basic >> 32 & 0x1fff, 4096);
	assert_int_equal(basic >> 48 & 1, 0); /* physical addresses have their full width */
	assert_int_equal(basic >> 49 & 1, 0); /* no dual-monitor treatment */
	assert_int_equal(basic >> 50 & 0xf, MEMTYPE_WB);
	assert_int_equal(basic >> 54 & 1, 1); /* as on the platform */
	assert_int_equal(basic >> 55 & 1, 1); /* the TRUE MSRs are there */
	assert_int_equal(basic >> 57, 0);
}

/* What issue 2 lists, written out: any other control is not offered. */
static void test_offered_controls(void **state)
{
	struct vmx_caps caps;

	(void)state;
	offer_of_skylake(true, &caps);
	assert_int_equal(vmx_cap(&caps, MSR_VMX_TRUE_PINBASED_CTLS), 0x0000003f00000016ULL);
	assert_int_equal(vmx_cap(&caps, MSR_VMX_TRUE_PROCBASED_CTLS), 0xf7f9fffe04006172ULL);
	assert_int_equal(vmx_cap(&caps, MSR_VMX_PROCBASED_CTLS2), 0x00111cff00000000ULL);
	assert_int_equal(vmx_cap(&caps, MSR_VMX_TRUE_EXIT_CTLS), 0x003fefff00036dfbULL);
	assert_int_equal(vmx_cap(&caps, MSR_VMX_TRUE_ENTRY_CTLS), 0x0000d3ff000011fbULL);
}

static void test_features_that_are_not_offered(void **state)
{
	static const u32 proc2[] = { PROC2_VMFUNC,        PROC2_VMCS_SHADOWING,
				     PROC2_PML,           PROC2_VE,
				     PROC2_TSC_SCALING,   PROC2_VIRTUAL_INTR,
				     PROC2_APIC_REGISTERS };
	struct vmx_caps caps;

	(void)state;
	offer_of_skylake(true, &caps);
	for (size_t i = 0; i < ARRAY_SIZE(proc2); i++)
		assert_false(vmx_cap_may(&caps, MSR_VMX_PROCBASED_CTLS2) & proc2[i]);
	assert_false(vmx_cap_may(&caps, MSR_VMX_TRUE_PINBASED_CTLS) &
		     (PIN_PREEMPTION_TIMER | PIN_POSTED_INTR));
	assert_int_equal(vmx_cap(&caps, MSR_VMX_VMFUNC), 0);
}

static void test_ept_is_offered_on_request(void **state)
{
	struct vmx_caps with, without;

	(void)state;
	offer_of_skylake(true, &with);
	offer_of_skylake(false, &without);
	assert_int_equal(vmx_cap(&with, MSR_VMX_EPT_VPID_CAP), 0x00000f0106334141ULL);
	assert_int_equal(vmx_cap(&without, MSR_VMX_EPT_VPID_CAP), 0x00000f0100000000ULL);
	assert_int_equal(vmx_cap_may(&with, MSR_VMX_PROCBASED_CTLS2) ^
				 vmx_cap_may(&without, MSR_VMX_PROCBASED_CTLS2),
			 PROC2_EPT | PROC2_UNRESTRICTED_GUEST);
	assert_true(vmx_caps_field_exists(&with, F_EPTP));
	assert_false(vmx_caps_field_exists(&without, F_EPTP));
	assert_false(vmx_caps_field_exists(&without, F_GUEST_PHYSICAL_ADDRESS));
	assert_true(vmx_caps_field_exists(&without, F_VPID));
}

static void test_misc_and_fixed_bits(void **state)
{
	struct vmx_caps platform, caps;

	(void)state;
	entry_platform(&platform);
	platform.msr[MSR_VMX_MISC - MSR_VMX_BASIC] |= 0x1f | BIT(14) | BIT(28) | 100ULL << 16;
	offer(&platform, true, &caps);
	assert_int_equal(vmx_cap(&caps, MSR_VMX_MISC), 0x600401e0);
	for (u32 msr = MSR_VMX_CR0_FIXED0; msr <= MSR_VMX_CR4_FIXED1; msr++)
		assert_int_equal(vmx_cap(&caps, msr), vmx_cap(&platform, msr));
}

/* SDM 3D "VMCS Enumeration" (A.9): bits 9:1 are the highest index of a supported field. On this
 * offer that is the guest's IA32_SYSENTER_EIP or the XSS-exiting bitmap, both below 0x2e. */
static void test_enumeration(void **state)
{
	struct vmx_caps caps;
	u32 highest = 0;

	(void)state;
	offer_of_skylake(true, &caps);
	for (int row = 0; row < VMCS_ROWS; row++) {
		u32 index = vmcs_table[row].encoding >> 1 & 0x1ff;

		if (vmx_caps_field_exists(&caps, row) && index > highest)
			highest = index;
	}
	assert_int_equal(vmx_cap(&caps, MSR_VMX_VMCS_ENUM), highest << 1);
	assert_int_equal(vmx_cap(&caps, MSR_VMX_VMCS_ENUM), 0x2c);
}

static void test_fields_that_exist(void **state)
{
	static const int absent[] = {
		F_VMREAD_BITMAP,     F_VMWRITE_BITMAP,  F_PREEMPTION_TIMER, F_POSTED_INTR_VECTOR,
		F_EPTP_LIST,         F_VMFUNC_CONTROLS, F_VE_INFO_ADDR,     F_EOI_EXIT_BITMAP0,
		F_GUEST_INTR_STATUS, F_PML_ADDR,        F_TSC_MULTIPLIER,   F_GUEST_PERF_GLOBAL,
		F_GUEST_S_CET,       F_HOST_PKRS,       F_GUEST_BNDCFGS,
	};
	struct vmx_caps caps;

	(void)state;
	offer_of_skylake(true, &caps);
	for (int row = 0; row < VMCS_ROWS; row++) {
		if (vmcs_table[row].group != VG_EXTRA && vmcs_table[row].expose != EXPOSE_TRAP)
			assert_true(vmx_caps_field_exists(&caps, row));
		if (vmcs_table[row].need == NEED_ALWAYS)
			assert_true(vmx_caps_field_exists(&caps, row));
	}
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		assert_false(vmx_caps_field_exists(&caps, absent[i]));
}

static void test_read_only_fields(void **state)
{
	struct vmx_caps caps;

	(void)state;
	offer_of_skylake(true, &caps);
	assert_true(vmx_caps_field_is_writable(&caps, F_EXIT_REASON));
	caps.msr[MSR_VMX_MISC - MSR_VMX_BASIC] &= ~MISC_VMWRITE_ANY;
	for (int row = 0; row < VMCS_ROWS; row++)
		assert_int_equal(vmx_caps_field_is_writable(&caps, row),
				 (vmcs_table[row].encoding >> 10 & 3) != 1);
}

/* A platform without the TRUE MSRs: its plain ones count, and L2 is told TRUE ones all the same. */
static void test_platform_without_true_msrs(void **state)
{
	struct vmx_caps platform, caps;

	(void)state;
	entry_platform(&platform);
	platform.msr[0] &= ~BASIC_TRUE_CONTROLS;
	for (size_t i = 0; i < ARRAY_SIZE(control_fields); i++)
		platform.msr[control_fields[i].true_msr - MSR_VMX_BASIC] = 0;
	offer(&platform, true, &caps);
	for (size_t i = 0; i < ARRAY_SIZE(control_fields); i++) {
		assert_int_equal(vmx_cap_must(&caps, control_fields[i].true_msr),
				 control_fields[i].default1);
		assert_int_equal(vmx_cap(&caps, control_fields[i].true_msr),
				 vmx_cap(&caps, control_fields[i].msr));
	}
}

static void random_platform(struct vmx_caps *platform, struct fake_random *random)
{
	for (size_t i = 0; i < VMX_CAPS_MSRS; i++)
		platform->msr[i] = fake_random(random);
	for (size_t i = 0; i < ARRAY_SIZE(control_fields); i++) {
		u64 *plain = &platform->msr[control_fields[i].msr - MSR_VMX_BASIC];
		u64 *best = &platform->msr[control_fields[i].true_msr - MSR_VMX_BASIC];
		u64 must = fake_random(random) & fake_random(random) & 0xffffffff;
		u64 may = *plain >> 32 | must | control_fields[i].default1;

		*best = may << 32 | must;
		*plain = may << 32 | must | control_fields[i].default1;
	}
}

/* Whatever the platform: nothing is offered that it lacks, what must be 1 there must be 1 here, and
 * the plain MSRs relate to the TRUE ones as the manual says. */
static void test_offer_follows_the_platform(void **state)
{
	struct fake_random random = { 5 };
	struct vmx_caps platform, caps;

	(void)state;
	for (u32 round = 0; round < 2000; round++) {
		bool has_true;

		random_platform(&platform, &random);
		has_true = platform.msr[0] & BASIC_TRUE_CONTROLS;
		offer(&platform, fake_once_in(&random, 2), &caps);
		for (size_t i = 0; i < ARRAY_SIZE(control_fields); i++) {
			u32 true_msr = control_fields[i].true_msr;
			u32 best = has_true ? true_msr : control_fields[i].msr;
			u32 must = vmx_cap_must(&caps, true_msr);
			u32 may = vmx_cap_may(&caps, true_msr);

			assert_int_equal(must & ~may, 0);
			assert_int_equal(may & ~vmx_cap_may(&platform, best), 0);
			assert_int_equal(vmx_cap_must(&platform, best) & ~must, 0);
			assert_int_equal(vmx_cap_must(&caps, control_fields[i].msr),
					 must | control_fields[i].default1);
			assert_int_equal(vmx_cap_may(&caps, control_fields[i].msr), may);
		}
		assert_int_equal(vmx_cap(&caps, MSR_VMX_PROCBASED_CTLS2) &
					 ~vmx_cap(&platform, MSR_VMX_PROCBASED_CTLS2),
				 0);
		assert_int_equal(vmx_cap(&caps, MSR_VMX_EPT_VPID_CAP) &
					 ~vmx_cap(&platform, MSR_VMX_EPT_VPID_CAP),
				 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_offered_controls),
		cmocka_unit_test(test_features_that_are_not_offered),
		cmocka_unit_test(test_ept_is_offered_on_request),
		cmocka_unit_test(test_misc_and_fixed_bits),
		cmocka_unit_test(test_enumeration),
		cmocka_unit_test(test_fields_that_exist),
		cmocka_unit_test(test_read_only_fields),
		cmocka_unit_test(test_platform_without_true_msrs),
		cmocka_unit_test(test_offer_follows_the_platform),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
