/*
 * Exit reasons: numbers and names against the manual's appendix, typed in here a second time on
 * purpose, and the columns that L1 builds its dispatch from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_exits.h"

/* SDM 3D "VMX Basic Exit Reasons" (Appendix C); NULL where no reason is, or none that can come. */
/* clang-format off */
static const char *const appendix_c[] = {
	/*  0 */ "EXCEPTION_NMI", "EXTERNAL_INTERRUPT", "TRIPLE_FAULT", "INIT", "SIPI", "IO_SMI",
	/*  6 */ "OTHER_SMI", "INTERRUPT_WINDOW", "NMI_WINDOW", "TASK_SWITCH", "CPUID", "GETSEC",
	/* 12 */ "HLT", "INVD", "INVLPG", "RDPMC", "RDTSC", "RSM", "VMCALL", "VMCLEAR", "VMLAUNCH",
	/* 21 */ "VMPTRLD", "VMPTRST", "VMREAD", "VMRESUME", "VMWRITE", "VMXOFF", "VMXON",
	/* 28 */ "CR_ACCESS", "DR_ACCESS", "IO", "RDMSR", "WRMSR", "ENTRY_GUEST_STATE",
	/* 34 */ "ENTRY_MSR_LOAD", NULL, "MWAIT", "MONITOR_TRAP_FLAG", NULL, "MONITOR", "PAUSE",
	/* 41 */ "ENTRY_MACHINE_CHECK", NULL, "TPR_BELOW_THRESHOLD", "APIC_ACCESS",
	/* 45 */ "VIRTUALIZED_EOI", "GDTR_IDTR", "LDTR_TR", "EPT_VIOLATION", "EPT_MISCONFIG",
	/* 50 */ "INVEPT", "RDTSCP", "PREEMPTION_TIMER", "INVVPID", "WBINVD", "XSETBV",
	/* 56 */ "APIC_WRITE", "RDRAND", "INVPCID", "VMFUNC", "ENCLS", "RDSEED", "PML_FULL",
	/* 63 */ "XSAVES", "XRSTORS", NULL, "SUB_PAGE", "UMWAIT", "TPAUSE", NULL, NULL, NULL,
	/* 72 */ NULL, NULL, NULL, NULL, "SEAMCALL", "TDCALL",
};
/* clang-format on */

static void test_numbers_and_names(void **state)
{
	(void)state;
	for (u32 reason = 0; reason < 200; reason++) {
		const char *expected = reason < ARRAY_SIZE(appendix_c) ? appendix_c[reason] : NULL;

		if (expected == NULL)
			assert_null(vmx_exit_name(reason));
		else
			assert_string_equal(vmx_exit_name(reason), expected);
	}
	assert_null(vmx_exit_name(0xffffffff));
	assert_int_equal(VMX_EXIT_EPT_VIOLATION, 48);
}

/* Each reason of the appendix has one row. */
static void test_rows_are_complete(void **state)
{
	u32 rows = 0;

	(void)state;
#define VMX_EXIT(number, NAME, handler, wanted, kind) rows++;
#include "shadow-vmcs/vmx_exits.def"
	for (size_t i = 0; i < ARRAY_SIZE(appendix_c); i++)
		rows -= appendix_c[i] != NULL;
	assert_int_equal(rows, 0);
}

/* SDM 3C "Basic VM-Exit Information" (28.2.1): these have no instruction behind them, or one (a
 * task switch, an access that faults) that the handler does not simply step over. */
static void test_events_are_not_instructions(void **state)
{
	static const u8 events[] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  33, 34,
				     37, 41, 43, 44, 45, 48, 49, 52, 56, 62, 66 };
	enum { EVENT, INSN };

	(void)state;
#define VMX_EXIT(number, NAME, handler, wanted, kind) \
	assert_int_equal((kind) == EVENT, memchr(events, (number), sizeof(events)) != NULL);
#include "shadow-vmcs/vmx_exits.def"
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_and_names),
		cmocka_unit_test(test_rows_are_complete),
		cmocka_unit_test(test_events_are_not_instructions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
