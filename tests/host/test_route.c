/*
 * Which exits of L3 are L2's: for every exit reason the control by which L2 asks for it, from the
 * manual a second time, and the ones that depend on bitmaps, masks and events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "tests/host/fake_memory.h"
#include "tests/host/nested_machine.h"

static struct vmcs_fields *v23;

static int setup(void **state)
{
	const struct nested_ways ways = { 0 };

	(void)state;
	nested_init(&ways);
	l2_start(0);
	assert_int_equal(l2_enter(true), OUTCOME_RESUME);
	v23 = &machine.n.current->v23;
	return 0;
}

static bool l2_wants(u32 reason)
{
	return vmx_l2_wants(&machine.n, reason);
}

/* SDM 3C "Instructions That Cause VM Exits Unconditionally" (26.1.2), and events of "Other Causes
 * of VM Exits" (26.2) that no control governs. */
static void test_unconditional_exits(void **state)
{
	static const u32 reasons[] = {
		VMX_EXIT_TRIPLE_FAULT,
		VMX_EXIT_INIT,
		VMX_EXIT_SIPI,
		VMX_EXIT_TASK_SWITCH,
		VMX_EXIT_CPUID,
		VMX_EXIT_GETSEC,
		VMX_EXIT_INVD,
		VMX_EXIT_RSM,
		VMX_EXIT_VMCALL,
		VMX_EXIT_VMCLEAR,
		VMX_EXIT_VMLAUNCH,
		VMX_EXIT_VMPTRLD,
		VMX_EXIT_VMPTRST,
		VMX_EXIT_VMREAD,
		VMX_EXIT_VMRESUME,
		VMX_EXIT_VMWRITE,
		VMX_EXIT_VMXOFF,
		VMX_EXIT_VMXON,
		VMX_EXIT_INVEPT,
		VMX_EXIT_INVVPID,
		VMX_EXIT_XSETBV,
		VMX_EXIT_VMFUNC,
		VMX_EXIT_ENTRY_GUEST_STATE,
		VMX_EXIT_ENTRY_MSR_LOAD,
		VMX_EXIT_CR_ACCESS,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		assert_true(l2_wants(reasons[i]));
}

/* SDM 3C "Instructions That Cause VM Exits Conditionally" (26.1.3), and the execution controls of
 * events (25.6.1, 25.6.2). */
static const struct {
	u32 reason;
	int row;
	u32 control;
} by_control[] = {
	{ VMX_EXIT_EXTERNAL_INTERRUPT, F_PIN_CONTROLS, 1U << 0 },
	{ VMX_EXIT_INTERRUPT_WINDOW, F_PROC_CONTROLS, 1U << 2 },
	{ VMX_EXIT_HLT, F_PROC_CONTROLS, 1U << 7 },
	{ VMX_EXIT_INVLPG, F_PROC_CONTROLS, 1U << 9 },
	{ VMX_EXIT_INVPCID, F_PROC_CONTROLS, 1U << 9 },
	{ VMX_EXIT_MWAIT, F_PROC_CONTROLS, 1U << 10 },
	{ VMX_EXIT_RDPMC, F_PROC_CONTROLS, 1U << 11 },
	{ VMX_EXIT_RDTSC, F_PROC_CONTROLS, 1U << 12 },
	{ VMX_EXIT_RDTSCP, F_PROC_CONTROLS, 1U << 12 },
	{ VMX_EXIT_TPR_BELOW_THRESHOLD, F_PROC_CONTROLS, 1U << 21 },
	{ VMX_EXIT_NMI_WINDOW, F_PROC_CONTROLS, 1U << 22 },
	{ VMX_EXIT_DR_ACCESS, F_PROC_CONTROLS, 1U << 23 },
	{ VMX_EXIT_MONITOR_TRAP_FLAG, F_PROC_CONTROLS, 1U << 27 },
	{ VMX_EXIT_MONITOR, F_PROC_CONTROLS, 1U << 29 },
	{ VMX_EXIT_PAUSE, F_PROC_CONTROLS, 1U << 30 },
	{ VMX_EXIT_APIC_ACCESS, F_PROC_CONTROLS2, 1U << 0 },
	{ VMX_EXIT_GDTR_IDTR, F_PROC_CONTROLS2, 1U << 2 },
	{ VMX_EXIT_LDTR_TR, F_PROC_CONTROLS2, 1U << 2 },
	{ VMX_EXIT_WBINVD, F_PROC_CONTROLS2, 1U << 6 },
	{ VMX_EXIT_PAUSE, F_PROC_CONTROLS2, 1U << 10 },
	{ VMX_EXIT_RDRAND, F_PROC_CONTROLS2, 1U << 11 },
	{ VMX_EXIT_RDSEED, F_PROC_CONTROLS2, 1U << 16 },
	{ VMX_EXIT_XSAVES, F_PROC_CONTROLS2, 1U << 20 },
	{ VMX_EXIT_XRSTORS, F_PROC_CONTROLS2, 1U << 20 },
};

/* Exactly that control, among all others that may be set. */
static void test_exits_by_control(void **state)
{
	struct fake_random random = { 1 };

	(void)state;
	for (size_t i = 0; i < 50 * ARRAY_SIZE(by_control); i++) {
		size_t k = i % ARRAY_SIZE(by_control);
		u32 reason = by_control[k].reason;

		v23->f[F_PIN_CONTROLS] = (u32)fake_random(&random);
		v23->f[F_PROC_CONTROLS] = (u32)fake_random(&random) | PROC_SECONDARY;
		v23->f[F_PROC_CONTROLS2] = (u32)fake_random(&random);
		/* The other control of PAUSE. */
		if (reason == VMX_EXIT_PAUSE) {
			v23->f[F_PROC_CONTROLS] &= ~(u64)PROC_PAUSE;
			v23->f[F_PROC_CONTROLS2] &= ~(u64)PROC2_PAUSE_LOOP_EXITING;
		}
		v23->f[by_control[k].row] &= ~(u64)by_control[k].control;
		assert_false(l2_wants(reason));
		v23->f[by_control[k].row] |= by_control[k].control;
		assert_true(l2_wants(reason));
	}
}

/* "If this control is 0, the logical processor operates as if all the secondary controls were 0."
 */
static void test_secondary_controls_must_be_active(void **state)
{
	(void)state;
	v23->f[F_PROC_CONTROLS2] = 0xffffffff;
	v23->f[F_PROC_CONTROLS] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(by_control); i++)
		if (by_control[i].row == F_PROC_CONTROLS2)
			assert_false(l2_wants(by_control[i].reason));
}

static bool wants_exception(u32 type, u32 vector)
{
	vmcs_write(EXIT_INTR_INFO, INTR_INFO_VALID | type | vector);
	return l2_wants(VMX_EXIT_EXCEPTION_NMI);
}

/* "If the bit is 1, the exception causes a VM exit"; NMIs have a control of their own. */
static void test_exceptions(void **state)
{
	(void)state;
	for (u32 vector = 0; vector < 32; vector++) {
		v23->f[F_EXCEPTION_BITMAP] = ~(1U << vector);
		if (vector != EXC_PF)
			assert_false(wants_exception(INTR_TYPE_HARDWARE_EXCEPTION, vector));
		v23->f[F_EXCEPTION_BITMAP] = 1U << vector;
		assert_true(wants_exception(INTR_TYPE_HARDWARE_EXCEPTION, vector));
		assert_true(wants_exception(INTR_TYPE_SOFTWARE_EXCEPTION, vector));
	}
	v23->f[F_EXCEPTION_BITMAP] = 0xffffffff;
	assert_false(wants_exception(INTR_TYPE_NMI, EXC_NMI));
	v23->f[F_EXCEPTION_BITMAP] = 0;
	v23->f[F_PIN_CONTROLS] |= PIN_NMI;
	assert_true(wants_exception(INTR_TYPE_NMI, EXC_NMI));
}

/* "If the mask and match differ, the exit occurs when the bit is 0": L1 itself wants no page fault,
 * so one that exits is L2's. */
static void test_page_faults_that_exit_are_l2s(void **state)
{
	(void)state;
	v23->f[F_EXCEPTION_BITMAP] = 0;
	assert_true(wants_exception(INTR_TYPE_HARDWARE_EXCEPTION, EXC_PF));
}

static bool wants_port(u32 port, u32 size)
{
	vmcs_write(EXIT_QUALIFICATION, (u64)port << IO_PORT_SHIFT | (size - 1));
	return l2_wants(VMX_EXIT_IO);
}

static void intercept_port(u32 port)
{
	machine.memory[(port < 0x8000 ? L2_IO_BITMAP_A : L2_IO_BITMAP_B) + port % 0x8000 / 8] |=
		(u8)(1 << port % 8);
}

static void test_ports_by_bitmap(void **state)
{
	(void)state;
	intercept_port(0x64);
	intercept_port(0x8000);
	v23->f[F_PROC_CONTROLS] |= PROC_UNCONDITIONAL_IO; /* is ignored */
	assert_true(wants_port(0x64, 1));
	assert_true(wants_port(0x61, 4));
	assert_true(wants_port(0x63, 2));
	assert_false(wants_port(0x60, 4));
	assert_false(wants_port(0x65, 1));
	assert_true(wants_port(0x7fff, 2));
	assert_false(wants_port(0x7fff, 1));
	/* "... or if the access wraps around the 16-bit I/O-port space". */
	assert_true(wants_port(0xffff, 2));
	assert_false(wants_port(0xffff, 1));
}

static void test_ports_without_bitmap(void **state)
{
	(void)state;
	intercept_port(0x64);
	v23->f[F_PROC_CONTROLS] &= ~(u64)(PROC_IO_BITMAPS | PROC_UNCONDITIONAL_IO);
	assert_false(wants_port(0x64, 1));
	v23->f[F_PROC_CONTROLS] |= PROC_UNCONDITIONAL_IO;
	assert_true(wants_port(0x60, 1));
}

static bool wants_msr(u32 reason, u32 msr)
{
	machine.regs.r[REG_RCX] = 0xdead00000000ULL | msr;
	return l2_wants(reason);
}

/* SDM 3C "MSR-Bitmap Address" (25.6.9): four quarters of 1 KByte. */
static void test_msrs_by_bitmap(void **state)
{
	(void)state;
	machine.memory[L2_MSR_BITMAP + 0x277 / 8] = 1 << 0x277 % 8;
	machine.memory[L2_MSR_BITMAP + 3072 + 0x82 / 8] = 1 << 0x82 % 8;
	assert_true(wants_msr(VMX_EXIT_RDMSR, 0x277));
	assert_false(wants_msr(VMX_EXIT_WRMSR, 0x277));
	assert_false(wants_msr(VMX_EXIT_RDMSR, 0x276));
	assert_true(wants_msr(VMX_EXIT_WRMSR, 0xc0000082));
	assert_false(wants_msr(VMX_EXIT_RDMSR, 0xc0000082));
	/* "The value of ECX is not in the ranges". */
	assert_true(wants_msr(VMX_EXIT_RDMSR, 0x2000));
	assert_true(wants_msr(VMX_EXIT_WRMSR, 0xbfffffff));
	assert_true(wants_msr(VMX_EXIT_RDMSR, 0xc0002000));
	assert_false(wants_msr(VMX_EXIT_RDMSR, 0xc0001fff));
	v23->f[F_PROC_CONTROLS] &= ~(u64)PROC_MSR_BITMAPS;
	assert_true(wants_msr(VMX_EXIT_RDMSR, 0x10));
	assert_true(wants_msr(VMX_EXIT_WRMSR, 0x10));
}

/* A bitmap where L2 has no memory, or in L1's, intercepts everything, as memory that is not there
 * reads. */
static void test_bitmaps_that_are_not_l2s(void **state)
{
	static const u64 places[] = { L1_OWN, L2_ABSENT, L1_OWN - PAGE_SIZE / 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		v23->f[F_MSR_BITMAP] = places[i];
		v23->f[F_IO_BITMAP_A] = places[i];
		assert_true(wants_msr(VMX_EXIT_RDMSR, 0x10));
		assert_true(wants_port(0x60, 1));
		assert_false(wants_port(0x8001, 1));
	}
}

static void test_misses_are_l1s_first(void **state)
{
	(void)state;
	assert_false(l2_wants(VMX_EXIT_EPT_VIOLATION));
	assert_false(l2_wants(VMX_EXIT_EPT_MISCONFIG));
}

/* After an access that L2 does not want: both levels' ports exit, the others no more. */
static void test_ports_are_merged_when_they_are_used(void **state)
{
	(void)state;
	intercept_port(0x64);
	assert_true(vmcs_read(PROC_CONTROLS) & PROC_UNCONDITIONAL_IO);
	vmx_merge_io_bitmaps(&machine.n);
	assert_true(vmcs_read(PROC_CONTROLS) & PROC_IO_BITMAPS);
	assert_false(vmcs_read(PROC_CONTROLS) & PROC_UNCONDITIONAL_IO);
	assert_true(bitmap_test(machine.n.io_bitmaps13, 0x64));
	assert_true(bitmap_test(machine.n.io_bitmaps13, 0xf4));
	assert_false(bitmap_test(machine.n.io_bitmaps13, 0x60));
	/* The next entry asks L2's bitmaps again, which may have changed without notice. */
	assert_true(l3_exits(VMX_EXIT_CPUID, 0));
	assert_int_equal(l2_enter(false), OUTCOME_RESUME);
	assert_true(vmcs_read(PROC_CONTROLS) & PROC_UNCONDITIONAL_IO);
}

static void test_ports_that_nobody_wants(void **state)
{
	(void)state;
	assert_true(l3_exits(VMX_EXIT_CPUID, 0));
	l2_vmwrite(F_PROC_CONTROLS, l2_vmread(F_PROC_CONTROLS) & ~(u64)PROC_IO_BITMAPS);
	assert_int_equal(l2_enter(false), OUTCOME_RESUME);
	assert_true(vmcs_read(PROC_CONTROLS) & PROC_IO_BITMAPS);
	assert_true(bitmap_test(machine.n.io_bitmaps13, 0xf4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_unconditional_exits, setup),
		cmocka_unit_test_setup(test_exits_by_control, setup),
		cmocka_unit_test_setup(test_secondary_controls_must_be_active, setup),
		cmocka_unit_test_setup(test_exceptions, setup),
		cmocka_unit_test_setup(test_page_faults_that_exit_are_l2s, setup),
		cmocka_unit_test_setup(test_ports_by_bitmap, setup),
		cmocka_unit_test_setup(test_ports_without_bitmap, setup),
		cmocka_unit_test_setup(test_msrs_by_bitmap, setup),
		cmocka_unit_test_setup(test_bitmaps_that_are_not_l2s, setup),
		cmocka_unit_test_setup(test_misses_are_l1s_first, setup),
		cmocka_unit_test_setup(test_ports_are_merged_when_they_are_used, setup),
		cmocka_unit_test_setup(test_ports_that_nobody_wants, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
