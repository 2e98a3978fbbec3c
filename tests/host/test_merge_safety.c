/*
 * What must hold of vmcs13 whatever L2 writes into its VMCS: no intercept of either level is lost,
 * no control is set that neither L1 uses nor L2 is offered, no pointer of L2 reaches hardware, and
 * L1's own state is what an exit loads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/merge_case.h"

#define ROUNDS 2000

/* Merges everything of a vmcs23 whose controls pass the checks. */
static void merge(struct fake_random *random, struct merge_case *m)
{
	merge_make_allowed(random, m);
	vmx_merge(&m->in, VG_ALL, &m->v13);
}

static u64 of_either(const struct merge_case *m, int row)
{
	return m->v12.f[row] | m->v23.f[row];
}

/* Ports: all of them exit, or those that a bitmap of L1's own has. */
static void expect_ports(const struct merge_case *m)
{
	u64 proc = m->v13.f[F_PROC_CONTROLS];

	if (proc & PROC_IO_BITMAPS) {
		assert_false(merge_l2_wants_ports(m));
		assert_int_equal(m->v13.f[F_IO_BITMAP_A], m->in.io_bitmap_a13);
		assert_int_equal(m->v13.f[F_IO_BITMAP_B], m->in.io_bitmap_b13);
	} else {
		assert_true(proc & PROC_UNCONDITIONAL_IO);
	}
}

static void test_no_intercept_is_lost(void **state)
{
	const u64 ports = PROC_IO_BITMAPS | PROC_UNCONDITIONAL_IO;
	struct fake_random random = { 1 };
	struct merge_case m;

	(void)state;
	for (u32 i = 0; i < ROUNDS; i++) {
		merge(&random, &m);
		assert_int_equal(of_either(&m, F_PIN_CONTROLS) & ~m.v13.f[F_PIN_CONTROLS], 0);
		assert_int_equal(
			of_either(&m, F_PROC_CONTROLS) & ~ports & ~m.v13.f[F_PROC_CONTROLS], 0);
		assert_int_equal(of_either(&m, F_EXCEPTION_BITMAP) & ~m.v13.f[F_EXCEPTION_BITMAP],
				 0);
		assert_true(m.v13.f[F_PROC_CONTROLS] & PROC_MSR_BITMAPS);
		assert_int_equal(m.v13.f[F_MSR_BITMAP], m.in.msr_bitmap13);
		expect_ports(&m);
	}
}

/* L3's memory is always translated by tables of L1's making. */
static void test_translation_is_l1s(void **state)
{
	struct fake_random random = { 2 };
	struct merge_case m;

	(void)state;
	for (u32 i = 0; i < ROUNDS; i++) {
		merge(&random, &m);
		assert_true(m.v13.f[F_PROC_CONTROLS] & PROC_SECONDARY);
		assert_true(m.v13.f[F_PROC_CONTROLS2] & PROC2_EPT);
		assert_int_equal(m.v13.f[F_EPTP], m.in.eptp13);
		assert_int_equal(m.v13.f[F_VPID], m.in.vpid13);
	}
}

/* A bit of a control word is L1's, or one that L2 set and was offered; all ports may exit in the
 * place of some, and L1 watches the debug registers. */
static void test_no_control_is_smuggled_in(void **state)
{
	static const int words[] = { F_PIN_CONTROLS, F_PROC_CONTROLS, F_PROC_CONTROLS2,
				     F_EXIT_CONTROLS, F_ENTRY_CONTROLS };
	struct fake_random random = { 3 };
	struct merge_case m;

	(void)state;
	for (u32 i = 0; i < ROUNDS; i++) {
		merge(&random, &m);
		m.v23.f[F_PROC_CONTROLS] |= PROC_UNCONDITIONAL_IO | PROC_MOV_DR;
		for (size_t k = 0; k < ARRAY_SIZE(words); k++)
			assert_int_equal(m.v13.f[words[k]] & ~of_either(&m, words[k]), 0);
		assert_false(m.v13.f[F_PROC_CONTROLS2] & PROC2_VMCS_SHADOWING);
	}
}

/* Whether hardware follows the field's value into memory by itself. */
static bool is_pointer(int row)
{
	u32 shape = vmcs_table[row].shape;

	return shape == CHECK_PAGE || shape == CHECK_AREA || row == F_EPTP ||
	       row == F_EXECUTIVE_VMCS || row == F_POSTED_INTR_DESC;
}

static void test_no_pointer_reaches_hardware(void **state)
{
	struct fake_random random = { 4 };
	struct merge_case m;

	(void)state;
	for (u32 i = 0; i < ROUNDS; i++) {
		merge(&random, &m);
		for (int row = 0; row < VMCS_ROWS; row++) {
			if (is_pointer(row) && m.v13.f[row] == m.v23.f[row])
				fail_msg("%s is L2's", vmcs_field_name(row));
		}
		assert_int_equal(m.v13.f[F_EXIT_MSR_STORE_COUNT], 0);
		assert_int_equal(m.v13.f[F_EXIT_MSR_LOAD_COUNT], 0);
		assert_int_equal(m.v13.f[F_ENTRY_MSR_LOAD_COUNT], 0);
	}
}

/* An exit of L3 lands in L1, in 64-bit mode, with L1's EFER and debug state. */
static void test_an_exit_is_l1s(void **state)
{
	const u64 exit = EXIT_HOST_64 | EXIT_SAVE_DEBUG | EXIT_SAVE_EFER | EXIT_LOAD_EFER;
	struct fake_random random = { 5 };
	struct merge_case m;

	(void)state;
	for (u32 i = 0; i < ROUNDS; i++) {
		merge(&random, &m);
		assert_int_equal(m.v13.f[F_EXIT_CONTROLS] & exit, exit);
		for (int row = 0; row < VMCS_ROWS; row++) {
			if (vmcs_table[row].type == VMCS_TYPE_HOST && row != F_HOST_PAT)
				assert_int_equal(m.v13.f[row], m.before.f[row]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_intercept_is_lost),
		cmocka_unit_test(test_translation_is_l1s),
		cmocka_unit_test(test_no_control_is_smuggled_in),
		cmocka_unit_test(test_no_pointer_reaches_hardware),
		cmocka_unit_test(test_an_exit_is_l1s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
