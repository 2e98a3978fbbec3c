/*
 * What must hold of vmcs13 whatever L2 does; see nested_safe.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/host/nested_machine.h"
#include "tests/host/nested_safe.h"

static void expect_page(const struct vmcs_fields *v, int row)
{
	u64 at = v->f[row];

	if (at != ABSENT_PAGE && at > L2_MEMORY - PAGE_SIZE)
		fail_msg("%s is 0x%lx", vmcs_field_name(row), at);
}

/* No MSR that L1 or L2 intercepts is let through. */
static void expect_msr_bitmap(const struct vmx_nested *n)
{
	const u64 *bitmap23 = (const u64 *)(const void *)(machine.memory + L2_MSR_BITMAP);
	bool used = n->current->v23.f[F_PROC_CONTROLS] & PROC_MSR_BITMAPS;

	for (u32 i = 0; i < BITMAP_WORDS; i++) {
		u64 wanted = n->msr_bitmap12->word[i] | (used ? bitmap23[i] : ~0ULL);

		assert_int_equal(wanted & ~n->msr_bitmap13->word[i], 0);
	}
}

void expect_safe_vmcs13(void)
{
	const struct vmx_nested *n = &machine.n;
	const struct vmcs_fields *v = &l3_vmcs()->fields;
	const struct vmcs_fields *v12 = &n->v12;

	assert_int_equal(v12->f[F_PIN_CONTROLS] & ~v->f[F_PIN_CONTROLS], 0);
	assert_true(v->f[F_PROC_CONTROLS] & PROC_MSR_BITMAPS);
	assert_true(v->f[F_PROC_CONTROLS] & (PROC_IO_BITMAPS | PROC_UNCONDITIONAL_IO));
	assert_true(v->f[F_PROC_CONTROLS2] & PROC2_EPT);
	assert_true(v->f[F_EXIT_CONTROLS] & EXIT_HOST_64);
	assert_int_equal(v->f[F_MSR_BITMAP], n->msr_bitmap13_at.v);
	assert_int_equal(v->f[F_IO_BITMAP_A], n->io_bitmaps13_at.v);
	assert_int_equal(v->f[F_IO_BITMAP_B], n->io_bitmaps13_at.v + PAGE_SIZE);
	assert_int_equal(v->f[F_EXIT_MSR_STORE_COUNT], 0);
	assert_int_equal(v->f[F_EXIT_MSR_LOAD_COUNT], 0);
	assert_int_equal(v->f[F_ENTRY_MSR_LOAD_COUNT], 0);
	assert_int_equal(v->f[F_LINK_POINTER], ~0ULL);
	assert_int_equal(v->f[F_EPTP], n->current->ept13
					       ? nept_root_pointer(&n->current->ept13->nept)
					       : n->core->eptp12);
	expect_page(v, F_VIRTUAL_APIC_ADDR);
	if (v->f[F_APIC_ACCESS_ADDR] >= L1_OWN && v->f[F_APIC_ACCESS_ADDR] < L1_OWN_END)
		fail_msg("the APIC-access page is L1's");
	expect_msr_bitmap(n);
	assert_true(bitmap_test(n->io_bitmaps13, 0xf4));
	for (int row = 0; row < VMCS_ROWS; row++)
		if (vmcs_table[row].group == VG_HOST && row != F_HOST_PAT)
			assert_int_equal(v->f[row], 0);
}

void expect_enterable_vmcs12(void)
{
	const struct vmx_nested *n = &machine.n;
	struct vmcs_fields v = fake_vmcs_at(n->vmcs12.region)->fields;
	struct vmx_verdict verdict;

	if (v.f[F_LINK_POINTER] != ~0ULL) {
		assert_non_null(n->current);
		assert_int_equal(v.f[F_LINK_POINTER], n->current->shadow.region.v);
		v.f[F_LINK_POINTER] = ~0ULL;
	}
	if (!vmx_check_guest(&v, n->platform, &n->env, VG_ALL, &verdict))
		fail_msg("hardware would not enter L2: %s", verdict.rule->text);
}
