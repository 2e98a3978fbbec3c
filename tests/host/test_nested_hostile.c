/*
 * Hostile guest hypervisors: random VMX instructions with random operands, random bytes in every
 * structure of L2 that L1 reads, random exits of L3. Whatever comes of it for L2, L1 must go on (or
 * end L2 by a VMX abort), vmcs13 must be safe, and hardware must still enter L2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "nested-ept/ept.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_operand.h"
#include "tests/host/fake_memory.h"
#include "tests/host/nested_machine.h"
#include "tests/host/nested_safe.h"

#define RUNS  1500
#define STEPS 60

static struct fake_random rng;
static u32 entries;

/* Addresses and numbers at which something may be forgotten. */
static u64 evil(void)
{
	static const u64 values[] = {
		0,          L2_VMXON,     L2_VMCS(0),        L2_VMCS(1),
		L2_VMCS(2), L2_LIST,      L2_VMCS(0) + 8,    L2_MEMORY - PAGE_SIZE,
		L1_OWN,     L1_OWN + 16,  L1_OWN_END - 4096, L2_ABSENT,
		BIT(39),    BIT(40),      0x800000000000ULL, ABSENT_PAGE,
		~0ULL,      0xffffffffULL
	};
	u64 value = values[fake_below(&rng, ARRAY_SIZE(values))];

	switch (fake_below(&rng, 4)) {
	case 0:
		return fake_random(&rng);
	case 1:
		return value ^ BIT(fake_below(&rng, 64));
	default:
		return value;
	}
}

static int offered_row(void)
{
	int row;

	do {
		row = (int)fake_below(&rng, VMCS_ROWS);
	} while (!vmx_caps_field_exists(&machine.n.offered, row) ||
		 vmcs_table[row].type == VMCS_TYPE_INFO);
	return row;
}

static void random_instruction(void)
{
	static const u32 reasons[] = { VMX_EXIT_VMCALL,   VMX_EXIT_VMCLEAR, VMX_EXIT_VMLAUNCH,
				       VMX_EXIT_VMPTRLD,  VMX_EXIT_VMPTRST, VMX_EXIT_VMREAD,
				       VMX_EXIT_VMRESUME, VMX_EXIT_VMWRITE, VMX_EXIT_VMXON,
				       VMX_EXIT_INVEPT,   VMX_EXIT_INVVPID, VMX_EXIT_VMFUNC };

	for (u32 i = 0; i < REG_RSP; i++)
		if (fake_once_in(&rng, 3))
			machine.regs.r[i] = evil();
	if (fake_once_in(&rng, 2))
		machine.regs.r[REG_RAX] = fake_below(&rng, 0x8000);
	l2_executes(reasons[fake_below(&rng, ARRAY_SIZE(reasons))], (u32)fake_random(&rng), evil());
}

/* A field that L2 may write, with a value that may be anything. */
static void random_field(void)
{
	int row = offered_row();

	machine.regs.r[REG_RCX] = evil();
	if (fake_once_in(&rng, 2) && machine.n.current)
		machine.regs.r[REG_RCX] = machine.n.current->v23.f[row] ^ BIT(fake_below(&rng, 64));
	machine.regs.r[REG_RAX] = vmcs_table[row].encoding;
	l2_executes(VMX_EXIT_VMWRITE, OPERAND_IS_REGISTER | REG_RCX << 3, 0);
}

/* L2's other CPU writes to what L1 reads. */
static void scribble(void)
{
	u64 at = fake_below(&rng, L2_MEMORY / PAGE_SIZE) * PAGE_SIZE + 8 * fake_below(&rng, 512);
	u64 value = evil();

	/* But for the page tables and the operand, without which nothing more would happen. */
	if (at >= L2_VMXON && ALIGN_DOWN(at, PAGE_SIZE) != L2_OPERAND)
		memcpy(machine.memory + at, &value, sizeof(value));
}

static void act_as_l2(void)
{
	switch (fake_below(&rng, 8)) {
	case 0:
		random_instruction();
		break;
	case 1:
	case 2:
		random_field();
		break;
	case 3:
		scribble();
		break;
	case 4:
		l2_pointer(fake_once_in(&rng, 4) ? VMX_EXIT_VMCLEAR : VMX_EXIT_VMPTRLD,
			   L2_VMCS(fake_below(&rng, 2)));
		break;
	default:
		machine.nmi = fake_once_in(&rng, 20);
		l2_enter(machine.n.current && !machine.n.current->launched);
	}
}

/* Hardware refuses what L1 let pass. */
static void refuse(void)
{
	if (fake_once_in(&rng, 2)) {
		vmx_reflect_vmfail(&machine.n, VMXERR_ENTRY_CONTROLS);
	} else {
		vmcs_write(EXIT_REASON, VMX_EXIT_ENTRY_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE);
		vmx_reflect(&machine.n, VMX_EXIT_ENTRY_GUEST_STATE);
	}
}

static void act_as_l3(void)
{
	static const u32 reasons[] = { VMX_EXIT_CPUID,  VMX_EXIT_IO,           VMX_EXIT_RDMSR,
				       VMX_EXIT_WRMSR,  VMX_EXIT_CR_ACCESS,    VMX_EXIT_HLT,
				       VMX_EXIT_INVEPT, VMX_EXIT_EXCEPTION_NMI };
	u32 reason = reasons[fake_below(&rng, ARRAY_SIZE(reasons))];

	entries++;
	expect_safe_vmcs13();
	switch (fake_below(&rng, 5)) {
	case 0:
		if (machine.n.current->ept13)
			l3_misses(evil(), fake_below(&rng, 8));
		break;
	case 1:
		refuse();
		break;
	default:
		machine.regs.r[REG_RCX] = evil();
		vmcs_write(EXIT_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_NMI | EXC_NMI);
		l3_exits(reason, evil());
	}
}

static void run(const struct nested_ways *ways, u64 seed)
{
	jmp_buf end;

	rng = (struct fake_random){ seed };
	nested_init(ways);
	machine.on_abort = &end;
	if (setjmp(end))
		return;
	l2_start(0);
	for (u32 i = 0; i < STEPS; i++) {
		if (machine.level == 3)
			act_as_l3();
		else
			act_as_l2();
		fake_forget_invalidations();
		if (machine.level == 2)
			expect_enterable_vmcs12();
	}
}

static void test_hostile(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= RUNS; seed++) {
		const struct nested_ways ways = {
			.shadow = seed & 1, .full = seed & 2, .flush = seed & 4, .no_ept = seed & 8
		};

		run(&ways, seed);
	}
	/* It was worth while. */
	assert_in_range(entries, RUNS, ~0U);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
