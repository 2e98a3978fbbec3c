/*
 * VM-entry checks on control fields: every rule is quoted and broken alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/entry.h"

#define INJECT(type, bits) SET(ENTRY_INTR_INFO, (u64)INTR_INFO_VALID | (type) | (bits))

static const struct broken_rule execution[] = {
	{ "reserved bits in the pin-based VM-execution controls must be set properly",
	  entry_64,
	  { CLEAR(PIN_CONTROLS, BIT(1)) } },
	{ "reserved bits in the pin-based VM-execution controls must be set properly",
	  entry_64,
	  { OR(PIN_CONTROLS, PIN_PREEMPTION_TIMER) } },
	{ "reserved bits in the primary processor-based controls must be set properly",
	  entry_64,
	  { CLEAR(PROC_CONTROLS, BIT(26)) } },
	{ "reserved bits in the primary processor-based controls must be set properly",
	  entry_64,
	  { OR(PROC_CONTROLS, PROC_MONITOR_TRAP_FLAG) } },
	{ "reserved bits in the secondary processor-based controls must be cleared",
	  entry_64,
	  { OR(PROC_CONTROLS2, PROC2_VMFUNC) } },
	{ "the CR3-target count must not be greater than 4",
	  entry_64,
	  { SET(CR3_TARGET_COUNT, 5) } },
	{ "use I/O bitmaps: bits 11:0 of each address must be 0, none beyond the physical width",
	  entry_64,
	  { OR(IO_BITMAP_A, 0x800) } },
	{ "use I/O bitmaps: bits 11:0 of each address must be 0, none beyond the physical width",
	  entry_64,
	  { OR(IO_BITMAP_B, ENTRY_BEYOND_BIT) } },
	{ "use MSR bitmaps: bits 11:0 of the address must be 0, none beyond the physical width",
	  entry_64,
	  { OR(MSR_BITMAP, 1) } },
	{ "use MSR bitmaps: bits 11:0 of the address must be 0, none beyond the physical width",
	  entry_64,
	  { OR(MSR_BITMAP, BIT(63)) } },
	{ "use TPR shadow: virtual-APIC address: bits 11:0 must be 0, none beyond the width",
	  entry_64,
	  { OR(VIRTUAL_APIC_ADDR, 0x10) } },
	{ "use TPR shadow: virtual-APIC address: bits 11:0 must be 0, none beyond the width",
	  entry_64,
	  { OR(VIRTUAL_APIC_ADDR, ENTRY_BEYOND_BIT) } },
	{ "use TPR shadow: bits 31:4 of the TPR threshold must be 0",
	  entry_64,
	  { SET(TPR_THRESHOLD, 0x10) } },
	{ "bits 3:0 of the TPR threshold should not be greater than bits 7:4 of VTPR",
	  entry_64,
	  { SET(TPR_THRESHOLD, 6) } },
	{ "if NMI exiting is 0, virtual NMIs must be 0",
	  entry_64,
	  { CLEAR(PIN_CONTROLS, PIN_NMI) } },
	{ "if virtual NMIs is 0, NMI-window exiting must be 0",
	  entry_64,
	  { CLEAR(PIN_CONTROLS, PIN_VIRTUAL_NMI), OR(PROC_CONTROLS, PROC_NMI_WINDOW) } },
	{ "virtualize APIC accesses: address: bits 11:0 must be 0, none beyond the width",
	  entry_64,
	  { OR(PROC_CONTROLS2, PROC2_APIC_ACCESSES), OR(APIC_ACCESS_ADDR, 0x20) } },
	{ "virtualize APIC accesses: address: bits 11:0 must be 0, none beyond the width",
	  entry_64,
	  { OR(PROC_CONTROLS2, PROC2_APIC_ACCESSES), OR(APIC_ACCESS_ADDR, ENTRY_BEYOND_BIT) } },
	{ "if use TPR shadow is 0, virtualize x2APIC mode must be 0",
	  entry_64,
	  { CLEAR(PROC_CONTROLS, PROC_TPR_SHADOW), OR(PROC_CONTROLS2, PROC2_X2APIC) } },
	{ "if virtualize x2APIC mode is 1, virtualize APIC accesses must be 0",
	  entry_64,
	  { OR(PROC_CONTROLS2, PROC2_X2APIC | PROC2_APIC_ACCESSES) } },
	{ "if enable VPID is 1, VPID must not be 0000H", entry_64, { SET(VPID, 0) } },
	{ "the EPT memory type (bits 2:0) must be a value supported by the processor",
	  entry_64,
	  { CLEAR(EPTP, 2) } },
	{ "EPTP bits 5:3 must be 1 less than a supported EPT page-walk length",
	  entry_64,
	  { SET(EPTP, MEMTYPE_WB | EPTP_WALK_5) } },
	{ "EPTP bit 6 must be 0 if accessed and dirty flags for EPT are not supported",
	  entry_few_offers,
	  { OR(EPTP, EPTP_AD) } },
	{ "EPTP reserved bits 11:7 and 63:N must all be 0", entry_64, { OR(EPTP, BIT(11)) } },
	{ "EPTP reserved bits 11:7 and 63:N must all be 0", entry_64, { OR(EPTP, BIT(7)) } },
	{ "EPTP reserved bits 11:7 and 63:N must all be 0",
	  entry_64,
	  { OR(EPTP, ENTRY_BEYOND_BIT) } },
	{ "if unrestricted guest is 1, enable EPT must also be 1",
	  entry_unrestricted,
	  { CLEAR(PROC_CONTROLS2, PROC2_EPT) } },
};

static const struct broken_rule exit_controls[] = {
	{ "reserved bits in the VM-exit controls must be set properly",
	  entry_64,
	  { CLEAR(EXIT_CONTROLS, BIT(0)) } },
	{ "reserved bits in the VM-exit controls must be set properly",
	  entry_64,
	  { OR(EXIT_CONTROLS, EXIT_SAVE_PREEMPTION) } },
	{ "VM-exit MSR-store: lower 4 bits must be 0, none beyond the physical width",
	  entry_msr_lists,
	  { OR(EXIT_MSR_STORE_ADDR, 8) } },
	{ "VM-exit MSR-store: the last byte should not be beyond the physical width",
	  entry_msr_lists,
	  { SET(EXIT_MSR_STORE_COUNT, 2) } },
	{ "VM-exit MSR-load: lower 4 bits must be 0, none beyond the physical width",
	  entry_msr_lists,
	  { OR(EXIT_MSR_LOAD_ADDR, ENTRY_BEYOND_BIT) } },
	{ "VM-exit MSR-load: the last byte should not be beyond the physical width",
	  entry_msr_lists,
	  { SET(EXIT_MSR_LOAD_ADDR, ENTRY_BEYOND_BIT - 255 * 16) } },
};

static const struct broken_rule entry_controls[] = {
	{ "reserved bits in the VM-entry controls must be set properly",
	  entry_64,
	  { CLEAR(ENTRY_CONTROLS, BIT(12)) } },
	{ "reserved bits in the VM-entry controls must be set properly",
	  entry_64,
	  { OR(ENTRY_CONTROLS, ENTRY_TO_SMM) } },
	{ "the interruption type (bits 10:8) is not set to a reserved value",
	  entry_64,
	  { INJECT(INTR_TYPE_RESERVED, 0) } },
	{ "the interruption type (bits 10:8) is not set to a reserved value",
	  entry_64,
	  { INJECT(INTR_TYPE_OTHER, 0) } },
	{ "if the interruption type is NMI, the vector is 2",
	  entry_64,
	  { INJECT(INTR_TYPE_NMI, 3) } },
	{ "if the interruption type is hardware exception, the vector is at most 31",
	  entry_64,
	  { INJECT(INTR_TYPE_HARDWARE_EXCEPTION, 32) } },
	{ "deliver-error-code (bit 11) is 1 exactly for hardware exceptions that push one",
	  entry_64,
	  { INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_GP) } },
	{ "deliver-error-code (bit 11) is 1 exactly for hardware exceptions that push one",
	  entry_64,
	  { INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_UD | INTR_INFO_ERROR_CODE) } },
	{ "deliver-error-code (bit 11) is 1 exactly for hardware exceptions that push one",
	  entry_64,
	  { INJECT(INTR_TYPE_EXTERNAL, EXC_PF | INTR_INFO_ERROR_CODE) } },
	{ "deliver-error-code (bit 11) is 1 exactly for hardware exceptions that push one",
	  entry_real,
	  { INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_GP | INTR_INFO_ERROR_CODE) } },
	{ "reserved bits in the field (30:12) are 0",
	  entry_64,
	  { INJECT(INTR_TYPE_EXTERNAL, BIT(12)) } },
	{ "reserved bits in the field (30:12) are 0",
	  entry_64,
	  { INJECT(INTR_TYPE_EXTERNAL, BIT(30)) } },
	{ "if deliver-error-code is 1, bits 31:16 of the exception error-code field are 0",
	  entry_64,
	  { INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_PF | INTR_INFO_ERROR_CODE),
	    SET(ENTRY_ERROR_CODE, 0x10000) } },
	{ "software interrupt or exception: the instruction length is in the range 0-15",
	  entry_64,
	  { INJECT(INTR_TYPE_SOFTWARE_INTERRUPT, 0x80), SET(ENTRY_INSN_LENGTH, 16) } },
	{ "an instruction length of 0 is allowed only if IA32_VMX_MISC[30] is read as 1",
	  entry_few_offers,
	  { INJECT(INTR_TYPE_SOFTWARE_EXCEPTION, EXC_BP) } },
	{ "VM-entry MSR-load: lower 4 bits must be 0, none beyond the physical width",
	  entry_msr_lists,
	  { OR(ENTRY_MSR_LOAD_ADDR, 4) } },
	{ "VM-entry MSR-load: the last byte should not be beyond the physical width",
	  entry_msr_lists,
	  { SET(ENTRY_MSR_LOAD_ADDR, ENTRY_BEYOND_BIT - 16) } },
};

/* Fields that no control puts into use may hold anything. */
static const struct edit unused[][3] = {
	{ CLEAR(PROC_CONTROLS, PROC_IO_BITMAPS), SET(IO_BITMAP_A, ~0ULL), SET(IO_BITMAP_B, ~0ULL) },
	{ CLEAR(PROC_CONTROLS, PROC_MSR_BITMAPS), SET(MSR_BITMAP, ~0ULL) },
	{ CLEAR(PROC_CONTROLS, PROC_TPR_SHADOW), SET(VIRTUAL_APIC_ADDR, ~0ULL),
	  SET(TPR_THRESHOLD, 0xffffffff) },
	{ SET(APIC_ACCESS_ADDR, ~0ULL) },
	{ CLEAR(PROC_CONTROLS, PROC_SECONDARY), SET(PROC_CONTROLS2, 0xffffffff), SET(VPID, 0) },
	{ CLEAR(PROC_CONTROLS2, PROC2_EPT), SET(EPTP, ~0ULL) },
	{ SET(EXIT_MSR_STORE_ADDR, ~0ULL), SET(EXIT_MSR_LOAD_ADDR, ~0ULL),
	  SET(ENTRY_MSR_LOAD_ADDR, ~0ULL) },
	{ SET(ENTRY_INTR_INFO, 0x7fffffff), SET(ENTRY_INSN_LENGTH, 99),
	  SET(ENTRY_ERROR_CODE, 0xffffffff) },
};

/* Controls that rules name, in combinations that they allow. */
static const struct edit allowed[][3] = {
	{ OR(PROC_CONTROLS, PROC_NMI_WINDOW) },
	{ CLEAR(PIN_CONTROLS, PIN_NMI | PIN_VIRTUAL_NMI) },
	{ OR(PROC_CONTROLS2, PROC2_X2APIC) },
	{ OR(PROC_CONTROLS2, PROC2_APIC_ACCESSES) },
	{ OR(PROC_CONTROLS2, PROC2_UNRESTRICTED_GUEST) },
	{ SET(EPTP, 0x5000 | MEMTYPE_UC | EPTP_WALK_4 | EPTP_AD) },
};

/* Events that may be injected. */
static const struct edit events[][2] = {
	{ INJECT(INTR_TYPE_EXTERNAL, 0xff) },
	{ INJECT(INTR_TYPE_NMI, EXC_NMI) },
	{ INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_UD), SET(ENTRY_ERROR_CODE, 0xffffffff) },
	{ INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_AC | INTR_INFO_ERROR_CODE),
	  SET(ENTRY_ERROR_CODE, 0xffff) },
	{ INJECT(INTR_TYPE_SOFTWARE_INTERRUPT, 0x80), SET(ENTRY_INSN_LENGTH, 15) },
	{ INJECT(INTR_TYPE_SOFTWARE_EXCEPTION, EXC_OF), SET(ENTRY_INSN_LENGTH, 0) },
	{ INJECT(INTR_TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, EXC_DB), SET(ENTRY_INSN_LENGTH, 1) },
};

static void test_each_rule_broken_alone(void **state)
{
	(void)state;
	entry_expect_broken(vmx_check_controls, execution, ARRAY_SIZE(execution));
	entry_expect_broken(vmx_check_controls, exit_controls, ARRAY_SIZE(exit_controls));
	entry_expect_broken(vmx_check_controls, entry_controls, ARRAY_SIZE(entry_controls));
}

static void test_every_rule_is_quoted(void **state)
{
	(void)state;
	entry_expect_quoted("27.2.1.1", execution, ARRAY_SIZE(execution));
	entry_expect_quoted("27.2.1.2", exit_controls, ARRAY_SIZE(exit_controls));
	entry_expect_quoted("27.2.1.3", entry_controls, ARRAY_SIZE(entry_controls));
}

static void expect_pass(const struct edit *edits, size_t count)
{
	struct entry e;

	entry_64(&e);
	for (size_t i = 0; i < count; i++)
		entry_edit(&e, &edits[i]);
	assert_string_equal(entry_run(vmx_check_controls, &e, VG_ALL), "passes");
}

static void test_unused_fields_may_hold_anything(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unused); i++)
		expect_pass(unused[i], ARRAY_SIZE(unused[i]));
}

static void test_allowed_combinations(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		expect_pass(allowed[i], ARRAY_SIZE(allowed[i]));
}

static void test_events_that_may_be_injected(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		expect_pass(events[i], ARRAY_SIZE(events[i]));
}

/* IA32_VMX_BASIC[56]: with it, a hardware exception may come with an error code or without. */
static void test_error_codes_are_free_where_basic_says_so(void **state)
{
	static const struct edit odd = INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_GP);
	struct entry e;

	(void)state;
	entry_64(&e);
	entry_edit(&e, &odd);
	e.offered.msr[0] |= BASIC_NO_ERROR_CODE_CHECK;
	assert_string_equal(entry_run(vmx_check_controls, &e, VG_ALL), "passes");
}

/* VTPR is memory: it is looked at also when no group is stale. */
static void test_vtpr_is_read_at_every_entry(void **state)
{
	struct entry e;

	(void)state;
	entry_64(&e);
	assert_string_equal(entry_run(vmx_check_controls, &e, 0), "passes");
	e.memory[ENTRY_VIRTUAL_APIC + 0x80] = 0x4f;
	assert_string_equal(
		entry_run(vmx_check_controls, &e, 0),
		"bits 3:0 of the TPR threshold should not be greater than bits 7:4 of VTPR");
	e.v.f[F_PROC_CONTROLS2] |= PROC2_APIC_ACCESSES;
	assert_string_equal(entry_run(vmx_check_controls, &e, 0), "passes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rule_broken_alone),
		cmocka_unit_test(test_every_rule_is_quoted),
		cmocka_unit_test(test_unused_fields_may_hold_anything),
		cmocka_unit_test(test_allowed_combinations),
		cmocka_unit_test(test_events_that_may_be_injected),
		cmocka_unit_test(test_error_codes_are_free_where_basic_says_so),
		cmocka_unit_test(test_vtpr_is_read_at_every_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
