/*
 * The MSR lists of L2's VM entries and exits, SDM 3C "Loading MSRs" (27.4, 28.6), "Saving MSRs"
 * (28.4): which entries fail, what goes to the processor and what to the VMCS, and that nothing in
 * a list can reach what L1 itself runs with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/leaf/x86.h"
#include "tests/host/nested_machine.h"

#define NONCANONICAL 0x0000800000000000ULL
#define BEFORE       0x1111ULL
#define AFTER        0x2222ULL

struct entry {
	u32 index, reserved;
	u64 value;
};

static struct vmcs_fields fields;
static struct vmx_msr_state guest = { &fields, true };

static int setup(void **state)
{
	const struct nested_ways ways = { 0 };

	(void)state;
	nested_init(&ways);
	machine.msr[0] = (struct nested_msr){ MSR_LSTAR, BEFORE };
	machine.msr[1] = (struct nested_msr){ MSR_KERNEL_GS_BASE, BEFORE };
	machine.msr[2] = (struct nested_msr){ MSR_PAT, BEFORE };
	/* What L1 runs with; it must stay so. */
	machine.msr[3] = (struct nested_msr){ MSR_FS_BASE, BEFORE };
	machine.msr[4] = (struct nested_msr){ MSR_GS_BASE, BEFORE };
	machine.msr[5] = (struct nested_msr){ MSR_DEBUGCTL, BEFORE };
	machine.msr[6] = (struct nested_msr){ MSR_SYSENTER_EIP, BEFORE };
	memset(&fields, 0, sizeof(fields));
	fields.f[F_GUEST_CR0] = CR0_PE | CR0_PG;
	fields.f[F_GUEST_EFER] = EFER_LME | EFER_LMA | EFER_NXE;
	guest.has_pat = true;
	return 0;
}

static void put(u32 i, u32 index, u64 value)
{
	struct entry entry = { index, 0, value };

	memcpy(machine.memory + L2_LIST + i * sizeof(entry), &entry, sizeof(entry));
}

static struct entry get(u32 i)
{
	struct entry entry;

	memcpy(&entry, machine.memory + L2_LIST + i * sizeof(entry), sizeof(entry));
	return entry;
}

static u32 load(u32 count)
{
	return vmx_msr_load_list(&machine.n, PA2(L2_LIST), count, &guest);
}

/* The number of the entry that fails, 0 for none, in a list of one. */
static u32 load_one(u32 index, u64 value)
{
	put(0, index, value);
	return load(1);
}

static u64 of_cpu(u32 index)
{
	for (u32 i = 0; i < NESTED_MSRS; i++)
		if (machine.msr[i].index == index)
			return machine.msr[i].value;
	fail_msg("the CPU has no MSR 0x%x", index);
	return 0;
}

static void test_loads_in_order(void **state)
{
	(void)state;
	put(0, MSR_LSTAR, 1);
	put(1, MSR_KERNEL_GS_BASE, 2);
	put(2, MSR_LSTAR, 3);
	assert_int_equal(load(3), 0);
	assert_int_equal(of_cpu(MSR_LSTAR), 3);
	assert_int_equal(of_cpu(MSR_KERNEL_GS_BASE), 2);
}

/* "the exit qualification ... holds the number of the MSR-load entry that failed": the first. */
static void test_the_first_failure_is_counted_from_one(void **state)
{
	(void)state;
	put(0, MSR_LSTAR, AFTER);
	put(1, MSR_GS_BASE, 0);
	put(2, MSR_LSTAR, BEFORE);
	assert_int_equal(load(3), 2);
	assert_int_equal(of_cpu(MSR_LSTAR), AFTER);
}

static void test_entries_that_fail(void **state)
{
	(void)state;
	/* "The value of bits 31:0 is either C0000100H ... or C0000101H". */
	assert_int_equal(load_one(MSR_FS_BASE, 0), 1);
	assert_int_equal(load_one(MSR_GS_BASE, 0), 1);
	/* "The value of bits 31:8 is 000008H". */
	assert_int_equal(load_one(0x800, 0), 1);
	assert_int_equal(load_one(0x8ff, 0), 1);
	/* "... would cause a general-protection exception": no such MSR, and those that only say
	 * what there is. */
	assert_int_equal(load_one(0x12345, 0), 1);
	assert_int_equal(load_one(MSR_FEATURE_CONTROL, 5), 1);
	assert_int_equal(load_one(MSR_VMX_BASIC, 0), 1);
	assert_int_equal(load_one(MSR_VMX_VMFUNC, 0), 1);
	/* "Bits 63:32 of the entry are not all 0." */
	put(0, MSR_LSTAR, AFTER);
	machine.memory[L2_LIST + offsetof(struct entry, reserved)] = 1;
	assert_int_equal(load(1), 1);
	assert_int_equal(of_cpu(MSR_LSTAR), BEFORE);
}

/* What the VMCS switches is never put into the processor, where L1 would run with it. */
static void test_switched_msrs_go_to_the_vmcs(void **state)
{
	(void)state;
	put(0, MSR_SYSENTER_CS, 0x1234567800000008ULL);
	put(1, MSR_SYSENTER_ESP, AFTER);
	put(2, MSR_SYSENTER_EIP, 0xffff800000000000ULL);
	put(3, MSR_DEBUGCTL, DEBUGCTL_LBR | BIT(6));
	put(4, MSR_PAT, AFTER);
	put(5, MSR_EFER, EFER_LME | EFER_LMA);
	assert_int_equal(load(6), 0);
	assert_int_equal(fields.f[F_GUEST_SYSENTER_CS], 8);
	assert_int_equal(fields.f[F_GUEST_SYSENTER_ESP], AFTER);
	assert_int_equal(fields.f[F_GUEST_SYSENTER_EIP], 0xffff800000000000ULL);
	assert_int_equal(fields.f[F_GUEST_DEBUGCTL], DEBUGCTL_LBR | BIT(6));
	assert_int_equal(fields.f[F_GUEST_PAT], AFTER);
	assert_int_equal(fields.f[F_GUEST_EFER], EFER_LME | EFER_LMA);
	for (u32 i = 0; i < NESTED_MSRS; i++)
		assert_int_equal(machine.msr[i].value, machine.msr[i].index ? BEFORE : 0);
}

static void test_a_pat_that_is_not_switched_is_the_processors(void **state)
{
	(void)state;
	guest.has_pat = false;
	assert_int_equal(load_one(MSR_PAT, AFTER), 0);
	assert_int_equal(of_cpu(MSR_PAT), AFTER);
	assert_int_equal(fields.f[F_GUEST_PAT], 0);
}

static void test_switched_msrs_are_checked_as_by_wrmsr(void **state)
{
	(void)state;
	assert_int_equal(load_one(MSR_SYSENTER_ESP, NONCANONICAL), 1);
	assert_int_equal(load_one(MSR_SYSENTER_EIP, ~NONCANONICAL), 1);
	assert_int_equal(load_one(MSR_DEBUGCTL, BIT(5)), 1);
	assert_int_equal(load_one(MSR_EFER, EFER_LME | EFER_LMA | BIT(1)), 1);
	assert_int_equal(load_one(MSR_EFER, EFER_LME | EFER_LMA | EFER_SVME), 1);
	/* SDM 3A "IA-32e Mode Operation": #GP if LME changes while paging is enabled. */
	assert_int_equal(load_one(MSR_EFER, EFER_SCE), 1);
	assert_int_equal(fields.f[F_GUEST_EFER], EFER_LME | EFER_LMA | EFER_NXE);
}

/* SDM 4: IA32_EFER.LMA is read-only. */
static void test_lma_is_not_loaded(void **state)
{
	(void)state;
	assert_int_equal(load_one(MSR_EFER, EFER_LME | EFER_SCE), 0);
	assert_int_equal(fields.f[F_GUEST_EFER], EFER_LME | EFER_LMA | EFER_SCE);
	fields.f[F_GUEST_CR0] = CR0_PE;
	fields.f[F_GUEST_EFER] = 0;
	assert_int_equal(load_one(MSR_EFER, EFER_LME | EFER_LMA), 0);
	assert_int_equal(fields.f[F_GUEST_EFER], EFER_LME);
	assert_int_equal(load_one(MSR_EFER, EFER_NXE), 0);
	assert_int_equal(fields.f[F_GUEST_EFER], EFER_NXE);
}

/* A list of more than what L2 is told of, or where L2 has no memory. */
static void test_lists_that_end_early(void **state)
{
	(void)state;
	for (u32 i = 0; i < 1000; i++)
		put(i, MSR_LSTAR, i);
	assert_int_equal(load(512), 0);
	assert_int_equal(load(~0U), 513);
	assert_int_equal(of_cpu(MSR_LSTAR), 511);
	assert_int_equal(vmx_msr_load_list(&machine.n, PA2(L2_ABSENT), 1, &guest), 1);
	assert_int_equal(vmx_msr_load_list(&machine.n, PA2(L1_OWN), 1, &guest), 1);
	put((L1_OWN - L2_LIST) / 16 - 1, MSR_LSTAR, AFTER);
	assert_int_equal(vmx_msr_load_list(&machine.n, PA2(L1_OWN - 16), 2, &guest), 2);
	assert_int_equal(of_cpu(MSR_LSTAR), AFTER);
}

static bool store(u64 at, u32 count)
{
	return vmx_msr_store_list(&machine.n, PA2(at), count, &guest);
}

static void test_stores(void **state)
{
	static const struct {
		u32 msr;
		int row;
	} switched[] = {
		{ MSR_EFER, F_GUEST_EFER },
		{ MSR_SYSENTER_CS, F_GUEST_SYSENTER_CS },
		{ MSR_SYSENTER_EIP, F_GUEST_SYSENTER_EIP },
		{ MSR_DEBUGCTL, F_GUEST_DEBUGCTL },
		{ MSR_PAT, F_GUEST_PAT },
		{ MSR_FS_BASE, F_GUEST_FS_BASE },
		{ MSR_GS_BASE, F_GUEST_GS_BASE },
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(switched); i++) {
		fields.f[switched[i].row] = AFTER + i;
		put(i, switched[i].msr, 0);
	}
	put(ARRAY_SIZE(switched), MSR_LSTAR, 0);
	assert_true(store(L2_LIST, ARRAY_SIZE(switched) + 1));
	for (u32 i = 0; i < ARRAY_SIZE(switched); i++)
		assert_int_equal(get(i).value, AFTER + i);
	assert_int_equal(get(ARRAY_SIZE(switched)).value, BEFORE);
	assert_int_equal(get(0).index, MSR_EFER);
}

/* What L2 reads of VMX by RDMSR it finds in the list too. */
static void test_stores_what_l2_is_told(void **state)
{
	(void)state;
	put(0, MSR_VMX_BASIC, 0);
	put(1, MSR_FEATURE_CONTROL, 0);
	assert_true(store(L2_LIST, 2));
	assert_int_equal(get(0).value, vmx_cap(&machine.n.offered, MSR_VMX_BASIC));
	assert_int_equal(get(1).value, 5);
}

static void test_stores_that_fail(void **state)
{
	(void)state;
	put(0, 0x802, 0);
	assert_false(store(L2_LIST, 1));
	put(0, 0x12345, 0);
	assert_false(store(L2_LIST, 1));
	put(0, MSR_LSTAR, 0);
	machine.memory[L2_LIST + offsetof(struct entry, reserved)] = 1;
	assert_false(store(L2_LIST, 1));
	for (u32 i = 0; i < 513; i++)
		put(i, MSR_LSTAR, 0);
	assert_true(store(L2_LIST, 512));
	assert_false(store(L2_LIST, 513));
	assert_false(store(L1_OWN, 1));
	assert_false(store(L2_ABSENT, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_loads_in_order, setup),
		cmocka_unit_test_setup(test_the_first_failure_is_counted_from_one, setup),
		cmocka_unit_test_setup(test_entries_that_fail, setup),
		cmocka_unit_test_setup(test_switched_msrs_go_to_the_vmcs, setup),
		cmocka_unit_test_setup(test_a_pat_that_is_not_switched_is_the_processors, setup),
		cmocka_unit_test_setup(test_switched_msrs_are_checked_as_by_wrmsr, setup),
		cmocka_unit_test_setup(test_lma_is_not_loaded, setup),
		cmocka_unit_test_setup(test_lists_that_end_early, setup),
		cmocka_unit_test_setup(test_stores, setup),
		cmocka_unit_test_setup(test_stores_what_l2_is_told, setup),
		cmocka_unit_test_setup(test_stores_that_fail, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
