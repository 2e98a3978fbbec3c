/*
 * Checks on the VM-exit and VM-entry control fields, SDM 3C "VM-Exit Control Fields" (27.2.1.2) and
 * "VM-Entry Control Fields" (27.2.1.3), less event injection.
 */
#include "guests/vmx-entry/entry_case.h"
#include "l1-hypervisor/leaf/insn.h"

#define ENTRY_SIZE      16 /* of an MSR list */
#define CPUID_ADDRESSES 0x80000008U

static u8 list[PAGE_SIZE] __attribute__((aligned(4096)));
#define LIST ((u64)list)

/* One past the highest physical address, less one entry: two entries do not fit. */
static u64 last_entry(void)
{
	return BIT(cpuid(CPUID_ADDRESSES, 0).eax & 0xff) - ENTRY_SIZE;
}

static void store_list_at_end(void)
{
	vmx_set(VMCS_EXIT_MSR_STORE_ADDR, last_entry());
}

static void exit_list_at_end(void)
{
	vmx_set(VMCS_EXIT_MSR_LOAD_ADDR, last_entry());
}

static void entry_list_at_end(void)
{
	vmx_set(VMCS_ENTRY_MSR_LOAD_ADDR, last_entry());
}

#define RULE_EXIT  "Reserved bits in the VM-exit controls must be set properly"
#define RULE_ENTRY "Reserved bits in the VM-entry controls must be set properly"
#define RULE_LOW   "If the count is not zero, the lower 4 bits of the address must be 0"
#define RULE_WIDE  "The address should not set any bits beyond the physical-address width"
#define RULE_LAST                                                                            \
	"The address of the last byte, address + (count * 16) - 1, should not set any bits " \
	"beyond the processor's physical-address width"
#define RULE_NONE "The address is checked only if the count field is not zero"

static const struct entry_case cases[] = {
	{ "VM-exit controls without a bit that must be 1", RULE_EXIT, FAILS_7,
	  .changes = { CLEAR(EXIT_CONTROLS, BIT(0)) } },
	{ "VM-exit controls with a bit that must be 0", RULE_EXIT, FAILS_7,
	  .changes = { OR(EXIT_CONTROLS, BIT(31)) } },
	{ "VM-entry controls without a bit that must be 1", RULE_ENTRY, FAILS_7,
	  .changes = { CLEAR(ENTRY_CONTROLS, BIT(0)) } },
	{ "VM-entry controls with a bit that must be 0", RULE_ENTRY, FAILS_7,
	  .changes = { OR(ENTRY_CONTROLS, BIT(31)) } },
	{ "VM entry that deactivates dual-monitor treatment outside SMM",
	  "The \"deactivate dual-monitor treatment\" control must be 0 outside SMM", FAILS_7,
	  .changes = { OR(ENTRY_CONTROLS, ENTRY_NO_DUAL_MONITOR) } },
	{ "VM-exit MSR-store list misaligned", RULE_LOW, FAILS_7,
	  .changes = { SET(EXIT_MSR_STORE_COUNT, 1), SET(EXIT_MSR_STORE_ADDR, LIST + 8) } },
	{ "VM-exit MSR-store list too wide", RULE_WIDE, FAILS_7,
	  .changes = { SET(EXIT_MSR_STORE_COUNT, 1), SET(EXIT_MSR_STORE_ADDR, LIST + TOO_WIDE) } },
	{ "VM-exit MSR-store list with its end too wide", RULE_LAST, FAILS_7,
	  .changes = { SET(EXIT_MSR_STORE_COUNT, 2) }, .prepare = store_list_at_end },
	{ "VM-exit MSR-store list misaligned and empty", RULE_NONE, ENTERS,
	  .changes = { SET(EXIT_MSR_STORE_ADDR, LIST + 8) } },
	{ "VM-exit MSR-load list misaligned", RULE_LOW, FAILS_7,
	  .changes = { SET(EXIT_MSR_LOAD_COUNT, 1), SET(EXIT_MSR_LOAD_ADDR, LIST + 8) } },
	{ "VM-exit MSR-load list too wide", RULE_WIDE, FAILS_7,
	  .changes = { SET(EXIT_MSR_LOAD_COUNT, 1), SET(EXIT_MSR_LOAD_ADDR, LIST + TOO_WIDE) } },
	{ "VM-exit MSR-load list with its end too wide", RULE_LAST, FAILS_7,
	  .changes = { SET(EXIT_MSR_LOAD_COUNT, 2) }, .prepare = exit_list_at_end },
	{ "VM-exit MSR-load list misaligned and empty", RULE_NONE, ENTERS,
	  .changes = { SET(EXIT_MSR_LOAD_ADDR, LIST + 8) } },
	{ "VM-entry MSR-load list misaligned", RULE_LOW, FAILS_7,
	  .changes = { SET(ENTRY_MSR_LOAD_COUNT, 1), SET(ENTRY_MSR_LOAD_ADDR, LIST + 8) } },
	{ "VM-entry MSR-load list too wide", RULE_WIDE, FAILS_7,
	  .changes = { SET(ENTRY_MSR_LOAD_COUNT, 1), SET(ENTRY_MSR_LOAD_ADDR, LIST + TOO_WIDE) } },
	{ "VM-entry MSR-load list with its end too wide", RULE_LAST, FAILS_7,
	  .changes = { SET(ENTRY_MSR_LOAD_COUNT, 2) }, .prepare = entry_list_at_end },
	{ "VM-entry MSR-load list misaligned and empty", RULE_NONE, ENTERS,
	  .changes = { SET(ENTRY_MSR_LOAD_ADDR, LIST + 8) } },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases);
}

static void run(void)
{
	entry_cases_run(cases, ARRAY_SIZE(cases));
}

const struct suite control_lists_suite = { count, run };
