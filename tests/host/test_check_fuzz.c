/*
 * Random vmcs23s against the VM-entry checks: they never crash, always say the same, change
 * nothing, and skipping the rules of unchanged groups never changes whether an entry passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/entry.h"
#include "tests/host/fake_memory.h"

static entry_check *const checks[] = { vmx_check_controls, vmx_check_host, vmx_check_guest };

/* A value that a rule may care about. */
static u64 odd_value(struct fake_random *random, u64 old)
{
	switch (fake_below(random, 6)) {
	case 0:
		return fake_random(random);
	case 1:
		return old ^ BIT(fake_below(random, 64));
	case 2:
		return old ^ BIT(fake_below(random, 18));
	case 3:
		return BIT(fake_below(random, 64)) - 1;
	case 4:
		return fake_below(random, 16);
	default:
		return 0;
	}
}

static int random_row(struct fake_random *random)
{
	return (int)fake_below(random, VMCS_ROWS);
}

/* Changes one field as an access of L2 would; returns the bit of its group. */
static u32 mutate(struct entry *e, struct fake_random *random)
{
	int row = random_row(random);

	e->v.f[row] = odd_value(random, e->v.f[row]) & vmcs_value_mask(row);
	return 1U << vmcs_table[row].group;
}

static void random_variant(struct entry *e, struct fake_random *random)
{
	entry_variants[fake_below(random, (u32)entry_variant_count)](e);
}

/* All three, in order; the text of the first rule that fails. */
static const char *run_all(const struct entry *e, u32 groups)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		const char *text = entry_run(checks[i], e, groups);

		if (strcmp(text, "passes") != 0)
			return text;
	}
	return "passes";
}

static void test_any_bits_are_judged_alike_twice(void **state)
{
	struct fake_random random = { 1 };
	struct vmcs_fields before;
	struct entry e;

	(void)state;
	for (u32 round = 0; round < 20000; round++) {
		u32 changes = fake_below(&random, 60);

		random_variant(&e, &random);
		e.env.long_mode ^= fake_once_in(&random, 4);
		while (changes-- > 0)
			mutate(&e, &random);
		before = e.v;
		for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
			assert_ptr_equal(entry_run(checks[i], &e, VG_ALL),
					 entry_run(checks[i], &e, VG_ALL));
		assert_memory_equal(&before, &e.v, sizeof(before));
	}
}

static void test_noise_is_judged(void **state)
{
	struct fake_random random = { 2 };
	struct entry e;

	(void)state;
	entry_64(&e);
	for (u32 round = 0; round < 20000; round++) {
		for (int row = 0; row < VMCS_ROWS; row++)
			e.v.f[row] = fake_random(&random) & vmcs_value_mask(row);
		for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
			entry_run(checks[i], &e, (u32)fake_random(&random) & VG_ALL);
	}
}

/*
 * A walk through vmcs23s as L2 makes them: change some fields, try to enter. The groups that went
 * stale since the last entry that passed must decide as the whole does.
 */
static void test_stale_groups_decide_as_all_do(void **state)
{
	struct fake_random random = { 3 };
	struct entry e;
	u32 passed = 0;

	(void)state;
	for (u32 walk = 0; walk < 1500; walk++) {
		struct vmcs_fields last;
		u32 stale = 0;

		random_variant(&e, &random);
		last = e.v;
		for (u32 step = 0; step < 20; step++) {
			const char *whole;

			stale |= mutate(&e, &random);
			whole = run_all(&e, VG_ALL);
			assert_ptr_equal(run_all(&e, stale), whole);
			if (strcmp(whole, "passes") == 0) {
				last = e.v;
				stale = 0;
				passed++;
			} else if (fake_once_in(&random, 2)) {
				e.v = last;
				stale = 0;
			}
		}
	}
	assert_true(passed > 1000);
}

/* With RIP and an event new and nothing else, the checks look at no more than the header says. */
static void test_run_rules_look_at_few_fields(void **state)
{
	static const u8 looked_at[] = {
		F_GUEST_CR0,     F_GUEST_CR3,         F_GUEST_CR4,     F_GUEST_DEBUGCTL,
		F_GUEST_CS_AR,   F_GUEST_SS_AR,       F_LINK_POINTER,  F_PIN_CONTROLS,
		F_PROC_CONTROLS, F_PROC_CONTROLS2,    F_EXIT_CONTROLS, F_ENTRY_CONTROLS,
		F_TPR_THRESHOLD, F_VIRTUAL_APIC_ADDR, F_GUEST_PDPTE0,  F_GUEST_PDPTE1,
		F_GUEST_PDPTE2,  F_GUEST_PDPTE3,
	};
	const u32 groups = 1U << VG_IP | 1U << VG_EVENT;
	struct fake_random random = { 7 };
	struct entry clean, noisy;

	(void)state;
	for (u32 round = 0; round < 5000; round++) {
		random_variant(&clean, &random);
		if (clean.v.f[F_GUEST_RFLAGS] & RFLAGS_VM)
			continue;
		for (int row = F_GUEST_RIP; row <= F_ENTRY_INSN_LENGTH; row++)
			if (fake_once_in(&random, 4))
				clean.v.f[row] = odd_value(&random, clean.v.f[row]) &
						 vmcs_value_mask(row) & ~RFLAGS_VM;
		noisy = clean;
		noisy.env.ctx = &noisy;
		for (int row = F_ENTRY_INSN_LENGTH + 1; row < VMCS_ROWS; row++)
			if (memchr(looked_at, row, sizeof(looked_at)) == NULL)
				noisy.v.f[row] = fake_random(&random) & vmcs_value_mask(row);
		assert_ptr_equal(run_all(&noisy, groups), run_all(&clean, groups));
	}
}

/* Into virtual-8086 mode and out of it, by RFLAGS alone, with segments that fit either. */
static void test_v86_by_rflags_alone(void **state)
{
	struct entry e;
	u32 only_ip = 1U << VG_IP;

	(void)state;
	entry_32(&e);
	e.v.f[F_GUEST_RFLAGS] |= RFLAGS_VM;
	assert_ptr_equal(run_all(&e, only_ip), run_all(&e, VG_ALL));
	assert_string_not_equal(run_all(&e, only_ip), "passes");
	entry_v86(&e);
	e.v.f[F_GUEST_RFLAGS] &= ~RFLAGS_VM;
	assert_ptr_equal(run_all(&e, only_ip), run_all(&e, VG_ALL));
	assert_string_not_equal(run_all(&e, only_ip), "passes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_bits_are_judged_alike_twice),
		cmocka_unit_test(test_noise_is_judged),
		cmocka_unit_test(test_stale_groups_decide_as_all_do),
		cmocka_unit_test(test_run_rules_look_at_few_fields),
		cmocka_unit_test(test_v86_by_rflags_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
