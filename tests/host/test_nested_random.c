/*
 * Random guest hypervisors: the same sequence of VMX instructions of L2 and exits of L3 under every
 * way. What L2 and L3 see must not depend on the way; and at every entry to L3, whatever L2 wrote,
 * vmcs13 must be safe for L1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "nested-ept/ept.h"
#include "tests/host/fake_memory.h"
#include "tests/host/nested_machine.h"
#include "tests/host/nested_safe.h"

#define RUNS     150
#define STEPS    120
#define SEEN_MAX 0x8000

/* What L2 and L3 saw, in order. */
struct seen {
	u64 value[SEEN_MAX];
	u32 count;
};

static struct seen reference, other;
static struct seen *seen;
static struct fake_random rng;

/* Which VMCSs of L2 were launched, and which rows of the current one are not as they were made. */
static struct {
	bool launched[L2_VMCSS];
	u32 current;
	u64 original[VMCS_ROWS];
	bool changed[VMCS_ROWS];
} l2;

static void see(u64 value)
{
	assert_in_range(seen->count, 0, SEEN_MAX - 1);
	seen->value[seen->count++] = value;
}

static void see_guest_state(const struct vmcs_fields *v)
{
	for (int row = 0; row < VMCS_ROWS; row++)
		if (vmcs_table[row].type == VMCS_TYPE_GUEST && vmcs_table[row].group != VG_EXTRA)
			see(v->f[row]);
}

/* --- Steps. --- */

/* Rows after whose change L2 could not go on: an MSR list ends in a VMX abort, and with other page
 * tables L2's operands are elsewhere. */
static bool is_kept(int row)
{
	static const int kept[] = { F_EXIT_MSR_STORE_COUNT, F_EXIT_MSR_LOAD_COUNT,
				    F_ENTRY_MSR_LOAD_COUNT, F_HOST_CR3, F_HOST_CR4 };

	for (u32 i = 0; i < ARRAY_SIZE(kept); i++)
		if (row == kept[i])
			return true;
	return false;
}

static int random_row(void)
{
	int row;

	do {
		row = (int)fake_below(&rng, VMCS_ROWS);
	} while (!vmx_caps_field_exists(&machine.n.offered, row) ||
		 vmcs_table[row].type == VMCS_TYPE_INFO);
	return row;
}

static void use_vmcs(u32 i)
{
	if (fake_once_in(&rng, 4))
		assert_int_equal(l2_pointer(VMX_EXIT_VMCLEAR, L2_VMCS(l2.current)),
				 OUTCOME_VMSUCCEED);
	l2.current = i;
	l2.launched[i] = false;
	memset(l2.changed, 0, sizeof(l2.changed));
	l2_make_vmcs(i);
	for (int row = 0; row < VMCS_ROWS; row++)
		if (vmx_caps_field_exists(&machine.n.offered, row))
			l2.original[row] = l2_vmread(row);
}

static void write_row(void)
{
	int row = random_row();
	u64 value = l2.original[row];

	if (is_kept(row))
		return;
	if (!l2.changed[row] || fake_once_in(&rng, 2))
		value ^= BIT(fake_below(&rng, fake_once_in(&rng, 2) ? 64 : 8));
	l2.changed[row] = true;
	l2_vmwrite(row, value);
}

static void read_row(void)
{
	see(l2_vmread(random_row()));
}

static void repair(void)
{
	for (int row = 0; row < VMCS_ROWS; row++) {
		if (l2.changed[row])
			l2_vmwrite(row, l2.original[row]);
		l2.changed[row] = false;
	}
}

static void invalidate(void)
{
	u64 eptp = L2_EPT(fake_below(&rng, 3)) | EPTP_WALK_4 | MEMTYPE_WB;

	if (vmx_cap(&machine.n.offered, MSR_VMX_EPT_VPID_CAP) & EPT_CAP_INVEPT)
		see(l2_invalidate(VMX_EXIT_INVEPT, 1 + fake_below(&rng, 2), eptp, 0));
	see(l2_invalidate(VMX_EXIT_INVVPID, fake_below(&rng, 5), fake_below(&rng, 4), 0x1000));
	fake_forget_invalidations();
}

static void enter(void)
{
	enum outcome outcome = l2_enter(!l2.launched[l2.current]);
	struct fake_vmcs *vmcs13;

	fake_forget_invalidations();
	see(outcome);
	if (outcome == OUTCOME_VMFAIL_VALID)
		see(l2_vmread(F_INSTRUCTION_ERROR));
	if (outcome != OUTCOME_RESUME) {
		repair();
		return;
	}
	l2.launched[l2.current] = true;
	vmcs13 = l3_vmcs();
	expect_safe_vmcs13();
	see_guest_state(&vmcs13->fields);
	see(vmcs13->fields.f[F_ENTRY_INTR_INFO]);
	see(vmcs13->fields.f[F_EXCEPTION_BITMAP]);
	see(vmcs13->fields.f[F_PIN_CONTROLS]);
	see(vmcs13->fields.f[F_TSC_OFFSET]);
}

/* Whether L3 comes to write a debug register; else L2 sees the attempt. */
static bool write_dr(void)
{
	if (!(l3_vmcs()->fields.f[F_PROC_CONTROLS] & PROC_MOV_DR))
		return true;
	if (l3_exits(VMX_EXIT_DR_ACCESS, 7))
		return false;
	vmx_pass_dr(&machine.n);
	return true;
}

/* L3 changes its own state, to something that can be entered again. */
static void run_l3(void)
{
	static const struct {
		int row;
		u64 bits;
	} free[] = {
		{ F_GUEST_RIP, 0xffff0 },        { F_GUEST_RSP, ~0ULL },
		{ F_GUEST_RFLAGS, RFLAGS_CF },   { F_GUEST_CR0, CR0_TS | CR0_MP },
		{ F_GUEST_CR3, 0x7f000 },        { F_GUEST_CR4, CR4_PGE | CR4_TSD },
		{ F_GUEST_FS_BASE, 0xffffffff }, { F_GUEST_GDTR_LIMIT, 0xffff },
		{ F_GUEST_IDTR_BASE, 0xfff000 }, { F_GUEST_SYSENTER_EIP, 0xffffff },
		{ F_GUEST_EFER, EFER_SCE },      { F_GUEST_DR7, 0xff },
		{ F_GUEST_DS_SELECTOR, 0xf8 },   { F_GUEST_LDTR_LIMIT, 0xff },
	};
	struct vmcs_fields *v = &l3_vmcs()->fields;

	for (u32 i = fake_below(&rng, 4); i > 0; i--) {
		u32 k = fake_below(&rng, ARRAY_SIZE(free));

		if (free[k].row == F_GUEST_DR7 && !write_dr())
			return;
		v->f[free[k].row] ^= fake_random(&rng) & free[k].bits &
				     vmcs_value_mask(free[k].row);
	}
}

static void see_exit(void)
{
	static const int rows[] = { F_EXIT_REASON, F_EXIT_QUALIFICATION, F_GUEST_RIP,
				    F_GUEST_CS_AR, F_ENTRY_INTR_INFO,    F_IDT_VECTORING_INFO };

	see_guest_state(&fake_vmcs_at(machine.n.vmcs12.region)->fields);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		see(l2_vmread(rows[i]));
}

static void leave(void)
{
	static const u32 reasons[] = { VMX_EXIT_CPUID, VMX_EXIT_VMCALL, VMX_EXIT_TASK_SWITCH,
				       VMX_EXIT_XSETBV, VMX_EXIT_TRIPLE_FAULT };

	run_l3();
	switch (machine.level == 3 ? fake_below(&rng, 4) : 3) {
	case 0:
		if (machine.n.current->ept13 &&
		    !l3_misses(fake_below(&rng, L1_OWN_END), EPT_VIOLATION_READ))
			return;
		break;
	case 1:
		/* Whether L2 wants it or not, what L3 sees of it is nothing. */
		if (!l3_exits(VMX_EXIT_IO, (u64)fake_below(&rng, 0x10000) << IO_PORT_SHIFT)) {
			if (!(machine.n.current->passes & PASSES_PORTS))
				vmx_merge_io_bitmaps(&machine.n);
			return;
		}
		break;
	default:
		break;
	}
	if (machine.level == 3)
		assert_true(l3_exits(reasons[fake_below(&rng, ARRAY_SIZE(reasons))],
				     fake_below(&rng, 8)));
	see_exit();
}

static void step(void)
{
	if (machine.level == 3) {
		leave();
		return;
	}
	switch (fake_below(&rng, 12)) {
	case 0:
		use_vmcs(fake_below(&rng, L2_VMCSS));
		break;
	case 1:
		invalidate();
		break;
	case 2:
	case 3:
		write_row();
		break;
	case 4:
	case 5:
		read_row();
		break;
	default:
		enter();
	}
}

static void run(const struct nested_ways *ways, u64 seed, struct seen *to)
{
	rng = (struct fake_random){ seed };
	seen = to;
	seen->count = 0;
	memset(&l2, 0, sizeof(l2));
	nested_init(ways);
	for (u32 i = 0; i < 64; i++)
		machine.memory[L2_IO_BITMAP_A + fake_below(&rng, 2 * PAGE_SIZE)] = 0xff;
	l2_start(0);
	use_vmcs(0);
	for (u32 i = 0; i < STEPS; i++)
		step();
}

static void expect_same(u64 seed, const char *what)
{
	u32 i = 0;

	while (i < reference.count && i < other.count && reference.value[i] == other.value[i])
		i++;
	if (i != reference.count || i != other.count)
		fail_msg("%s, seed %lu: number %u is 0x%lx, not 0x%lx", what, seed, i,
			 other.value[i], reference.value[i]);
}

static void compare(bool no_ept)
{
	const struct nested_ways full = { .full = true, .no_ept = no_ept };
	const struct nested_ways dirty = { .no_ept = no_ept };
	const struct nested_ways shadow = { .shadow = true, .no_ept = no_ept };
	const struct nested_ways shadow_full = { .shadow = true, .full = true, .no_ept = no_ept };
	const struct nested_ways flush = { .flush = true, .no_ept = no_ept };

	for (u64 seed = 1; seed <= RUNS; seed++) {
		run(&full, seed, &reference);
		run(&dirty, seed, &other);
		expect_same(seed, "merge=dirty");
		run(&shadow, seed, &other);
		expect_same(seed, "vmcs=shadow,merge=dirty");
		run(&shadow_full, seed, &other);
		expect_same(seed, "vmcs=shadow,merge=full");
		run(&flush, seed, &other);
		expect_same(seed, "tlb=flush");
	}
}

static void test_with_ept(void **state)
{
	(void)state;
	compare(false);
}

static void test_without_ept(void **state)
{
	(void)state;
	compare(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_with_ept),
		cmocka_unit_test(test_without_ept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
