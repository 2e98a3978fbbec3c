/*
 * The invalidations that L1 must execute. Emulators hide a missing one, so they are looked at here,
 * on the fake hardware. SDM 3C "Caching Translation Information" (29.4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "nested-ept/ept.h"
#include "tests/host/nested_machine.h"

#define EPTP(i) (L2_EPT(i) | EPTP_WALK_4 | MEMTYPE_WB)

static const struct nested_ways by_vpid = { 0 };
static const struct nested_ways by_flush = { .flush = true };

static void enter(bool launch)
{
	assert_int_equal(l2_enter(launch), OUTCOME_RESUME);
}

static void leave(void)
{
	assert_true(l3_exits(VMX_EXIT_CPUID, 0));
}

/* L3 has touched a page, so that hardware may keep its translation, and L2 runs again. */
static void start_touched(const struct nested_ways *ways)
{
	nested_init(ways);
	l2_start(0);
	enter(true);
	assert_false(l3_misses(L3_MEMORY, EPT_VIOLATION_READ));
	leave();
	fake_forget_invalidations();
}

static void expect_one_invept(u64 eptp13)
{
	const struct fake_invalidation *executed = &fake_vmx.invalidation[0];

	assert_int_equal(fake_invepts(), 1);
	assert_true(executed->is_invept);
	assert_int_equal(executed->type, INVEPT_SINGLE);
	assert_int_equal(executed->context, eptp13);
	fake_forget_invalidations();
}

/* Whether an INVVPID executed since the last look covers the whole of one of L1's VPIDs. */
static bool is_emptied(u64 vpid)
{
	for (u32 i = 0; i < fake_vmx.invalidation_count; i++) {
		const struct fake_invalidation *executed = &fake_vmx.invalidation[i];

		if (!executed->is_invept && executed->type == INVVPID_SINGLE &&
		    executed->context == vpid)
			return true;
	}
	return false;
}

/* "Software can use the INVEPT instruction with the single-context INVEPT type to ensure that
 * updates are seen": what L2 invalidates, L1 invalidates before L3 runs again. */
static void invept_reaches_hardware(const struct nested_ways *ways, enum invept_type type)
{
	start_touched(ways);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(l2_invalidate(VMX_EXIT_INVEPT, type, EPTP(0), 0),
				 OUTCOME_VMSUCCEED);
		enter(false);
		expect_one_invept(l3_vmcs()->fields.f[F_EPTP]);
		/* Nothing of L2's table is left in the merged one. */
		assert_false(l3_misses(L3_MEMORY, EPT_VIOLATION_READ));
		leave();
		fake_forget_invalidations();
	}
}

static void test_invept_single(void **state)
{
	(void)state;
	invept_reaches_hardware(&by_vpid, INVEPT_SINGLE);
}

static void test_invept_global(void **state)
{
	(void)state;
	invept_reaches_hardware(&by_vpid, INVEPT_GLOBAL);
}

/* "VM entries and VM exits ... invalidate linear mappings and combined mappings" only: without
 * VPIDs guest-physical mappings stay, so INVEPT is due all the same. */
static void test_invept_without_vpids(void **state)
{
	(void)state;
	invept_reaches_hardware(&by_flush, INVEPT_SINGLE);
	invept_reaches_hardware(&by_flush, INVEPT_GLOBAL);
}

static void test_invept_of_another_eptp_is_not_for_this_one(void **state)
{
	(void)state;
	start_touched(&by_vpid);
	assert_int_equal(l2_invalidate(VMX_EXIT_INVEPT, INVEPT_SINGLE, EPTP(1), 0),
			 OUTCOME_VMSUCCEED);
	enter(false);
	assert_int_equal(fake_vmx.invalidation_count, 0);
}

/* A translation that is only added is not cached before, and an EPT violation invalidates its own
 * (29.4.3.1); so exits, entries and fills need nothing. */
static void test_nothing_is_executed_without_need(void **state)
{
	(void)state;
	start_touched(&by_vpid);
	for (u32 i = 1; i < 20; i++) {
		enter(false);
		assert_false(l3_misses(L3_MEMORY + i * PAGE_SIZE, EPT_VIOLATION_WRITE));
		leave();
	}
	assert_int_equal(fake_vmx.invalidation_count, 0);
}

/* A merged table that is emptied for another EPTP keeps its own EPTP, under which hardware may
 * still have the old translations. */
static void test_a_table_that_is_reused_is_invalidated(void **state)
{
	(void)state;
	start_touched(&by_vpid);
	for (u32 i = 1; i < NEPT_CACHE_SLOTS; i++) {
		l2_vmwrite(F_EPTP, EPTP(i));
		enter(false);
		assert_false(l3_misses(L3_MEMORY, EPT_VIOLATION_READ));
		leave();
	}
	assert_int_equal(fake_invepts(), 0);
	l2_vmwrite(F_EPTP, EPTP(NEPT_CACHE_SLOTS));
	enter(false);
	expect_one_invept(l3_vmcs()->fields.f[F_EPTP]);
	leave();
	l2_vmwrite(F_EPTP, EPTP(0));
	enter(false);
	expect_one_invept(l3_vmcs()->fields.f[F_EPTP]);
}

/* Each EPTP of L2's has its own, so that a change of EPTP finds no translation of another one. */
static void test_eptps_of_l2_are_kept_apart(void **state)
{
	u64 first;

	(void)state;
	start_touched(&by_vpid);
	enter(false);
	first = l3_vmcs()->fields.f[F_EPTP];
	leave();
	l2_vmwrite(F_EPTP, EPTP(1));
	enter(false);
	assert_int_not_equal(l3_vmcs()->fields.f[F_EPTP], first);
	leave();
	l2_vmwrite(F_EPTP, EPTP(0));
	enter(false);
	assert_int_equal(l3_vmcs()->fields.f[F_EPTP], first);
}

/* INVVPID of L2's VPID is one of the VPID that stands for it. */
static void invvpid_reaches_hardware(enum invvpid_type type, u64 address)
{
	const struct fake_invalidation *executed = &fake_vmx.invalidation[0];

	start_touched(&by_vpid);
	assert_int_equal(l2_invalidate(VMX_EXIT_INVVPID, type, 1, address), OUTCOME_VMSUCCEED);
	assert_int_equal(fake_vmx.invalidation_count, 1);
	assert_false(executed->is_invept);
	assert_int_equal(executed->type, type);
	assert_int_equal(executed->context, l3_vmcs()->fields.f[F_VPID]);
	assert_int_equal(executed->address, address);
}

static void test_invvpid(void **state)
{
	(void)state;
	invvpid_reaches_hardware(INVVPID_ADDRESS, 0xffff800000123000ULL);
	invvpid_reaches_hardware(INVVPID_SINGLE, 0);
	invvpid_reaches_hardware(INVVPID_SINGLE_KEEP_GLOBAL, 0);
}

static void test_invvpid_all(void **state)
{
	u64 vpid13;

	(void)state;
	start_touched(&by_vpid);
	vpid13 = l3_vmcs()->fields.f[F_VPID];
	assert_int_equal(l2_invalidate(VMX_EXIT_INVVPID, INVVPID_ALL, 0, 0), OUTCOME_VMSUCCEED);
	assert_true(is_emptied(vpid13));
	assert_false(is_emptied(VPID_L2));
}

/* "the logical processor ... tags" by VPID: two of L2's that share one of ours must not see each
 * other's translations. */
static void test_a_vpid_that_is_reused_is_emptied(void **state)
{
	(void)state;
	start_touched(&by_vpid);
	for (u32 i = 0; i < 4; i++) {
		l2_vmwrite(F_VPID, i % 2 ? 1 : 1 + VMX_VPIDS);
		enter(false);
		assert_true(is_emptied(l3_vmcs()->fields.f[F_VPID]));
		leave();
		fake_forget_invalidations();
		enter(false);
		assert_int_equal(fake_vmx.invalidation_count, 0);
		leave();
	}
}

/* The same with a VMCS for each, between which L2 switches. */
static void test_a_vpid_is_emptied_for_the_other_vmcs(void **state)
{
	(void)state;
	start_touched(&by_vpid);
	l2_make_vmcs(1);
	l2_vmwrite(F_VPID, 1 + VMX_VPIDS);
	enter(true);
	assert_true(is_emptied(l3_vmcs()->fields.f[F_VPID]));
	leave();
	fake_forget_invalidations();
	assert_int_equal(l2_pointer(VMX_EXIT_VMPTRLD, L2_VMCS(0)), OUTCOME_VMSUCCEED);
	enter(false);
	assert_true(is_emptied(l3_vmcs()->fields.f[F_VPID]));
}

/* "If the "enable VPID" VM-execution control is 0, VM entries and VM exits invalidate linear
 * mappings and combined mappings associated with VPID 0000H" (29.4.3.1): L2's and L3's. */
static void test_a_switch_without_vpid_empties_both(void **state)
{
	(void)state;
	start_touched(&by_vpid);
	l2_vmwrite(F_PROC_CONTROLS2, PROC2_EPT);
	for (u32 i = 0; i < 3; i++) {
		enter(false);
		assert_int_not_equal(l3_vmcs()->fields.f[F_VPID], VPID_L2);
		assert_true(is_emptied(l3_vmcs()->fields.f[F_VPID]));
		leave();
		assert_true(is_emptied(VPID_L2));
		fake_forget_invalidations();
	}
}

/* tlb=flush: hardware invalidates at every entry and exit, because vmcs13 has no VPID. */
static void test_flush_leaves_it_to_the_hardware(void **state)
{
	(void)state;
	start_touched(&by_flush);
	enter(false);
	assert_false(l3_vmcs()->fields.f[F_PROC_CONTROLS2] & PROC2_VPID);
	leave();
	assert_int_equal(l2_invalidate(VMX_EXIT_INVVPID, INVVPID_SINGLE, 1, 0), OUTCOME_VMSUCCEED);
	enter(false);
	assert_int_equal(fake_vmx.invalidation_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invept_single),
		cmocka_unit_test(test_invept_global),
		cmocka_unit_test(test_invept_without_vpids),
		cmocka_unit_test(test_invept_of_another_eptp_is_not_for_this_one),
		cmocka_unit_test(test_nothing_is_executed_without_need),
		cmocka_unit_test(test_a_table_that_is_reused_is_invalidated),
		cmocka_unit_test(test_eptps_of_l2_are_kept_apart),
		cmocka_unit_test(test_invvpid),
		cmocka_unit_test(test_invvpid_all),
		cmocka_unit_test(test_a_vpid_that_is_reused_is_emptied),
		cmocka_unit_test(test_a_vpid_is_emptied_for_the_other_vmcs),
		cmocka_unit_test(test_a_switch_without_vpid_empties_both),
		cmocka_unit_test(test_flush_leaves_it_to_the_hardware),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
