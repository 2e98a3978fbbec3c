/*
 * Checks on the VM-execution control fields, SDM 3C "VM-Execution Control Fields" (27.2.1.1).
 */
#include "guests/vmx-entry/entry_case.h"

#define MISALIGNED 8

static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));
#define PAGE_AT ((u64)page)

#define RULE_PIN   "Reserved bits in the pin-based VM-execution controls must be set properly"
#define RULE_PROC  "Reserved bits in the primary processor-based controls must be set properly"
#define RULE_PROC2 "Reserved bits in the secondary processor-based controls must be cleared"
#define RULE_IO                                                                                  \
	"If the \"use I/O bitmaps\" control is 1, bits 11:0 of each I/O-bitmap address must be " \
	"0, and neither may set bits beyond the processor's physical-address width"
#define RULE_MSR                                                                                   \
	"If the \"use MSR bitmaps\" control is 1, bits 11:0 of the MSR-bitmap address must be 0, " \
	"and it may not set bits beyond the processor's physical-address width"
#define RULE_TPR                                                                                 \
	"If the \"use TPR shadow\" control is 1, bits 11:0 of the virtual-APIC address must be " \
	"0, "                                                                                    \
	"and it may not set bits beyond the processor's physical-address width"
#define RULE_ACCESS                                                                               \
	"If the \"virtualize APIC-accesses\" control is 1, bits 11:0 of the APIC-access address " \
	"must be 0, and it may not set bits beyond the processor's physical-address width"

static void set_vtpr_2(void)
{
	page[0x80] = 0x20;
}

static void set_vtpr_0(void)
{
	page[0x80] = 0;
}

static const struct entry_case cases[] = {
	{ "an ordinary VMCS enters", "VM entry", .outcome = ENTERS },
	{ "pin-based controls without a bit that must be 1", RULE_PIN, FAILS_7,
	  .changes = { CLEAR(PIN_CONTROLS, BIT(1)) } },
	{ "pin-based controls with a bit that must be 0", RULE_PIN, FAILS_7,
	  .changes = { OR(PIN_CONTROLS, BIT(31)) } },
	{ "primary controls without a bit that must be 1", RULE_PROC, FAILS_7,
	  .changes = { CLEAR(PROC_CONTROLS, BIT(1)) } },
	{ "primary controls with a bit that must be 0", RULE_PROC, FAILS_7,
	  .changes = { OR(PROC_CONTROLS, BIT(0)) } },
	{ "secondary controls with a bit that must be 0", RULE_PROC2, FAILS_7,
	  .changes = { OR(PROC_CONTROLS2, BIT(31)) } },
	{ "secondary controls do not count when they are not activated",
	  "If the \"activate secondary controls\" control is 0, the processor operates as if all "
	  "the secondary controls were 0",
	  ENTERS,
	  .changes = { CLEAR(PROC_CONTROLS, PROC_SECONDARY), OR(PROC_CONTROLS2, BIT(31)) } },
	{ "4 CR3-target values", "The CR3-target count must not be greater than 4", ENTERS,
	  .changes = { SET(CR3_TARGET_COUNT, 4) } },
	{ "5 CR3-target values", "The CR3-target count must not be greater than 4", FAILS_7,
	  .changes = { SET(CR3_TARGET_COUNT, 5) } },
	{ "I/O bitmap A misaligned", RULE_IO, FAILS_7, .more.proc = PROC_IO_BITMAPS,
	  .changes = { OR(IO_BITMAP_A, MISALIGNED) } },
	{ "I/O bitmap A too wide", RULE_IO, FAILS_7, .more.proc = PROC_IO_BITMAPS,
	  .changes = { OR(IO_BITMAP_A, TOO_WIDE) } },
	{ "I/O bitmap B misaligned", RULE_IO, FAILS_7, .more.proc = PROC_IO_BITMAPS,
	  .changes = { OR(IO_BITMAP_B, MISALIGNED) } },
	{ "I/O bitmap B too wide", RULE_IO, FAILS_7, .more.proc = PROC_IO_BITMAPS,
	  .changes = { OR(IO_BITMAP_B, TOO_WIDE) } },
	{ "I/O bitmaps misaligned and not used", RULE_IO, ENTERS,
	  .changes = { OR(IO_BITMAP_A, MISALIGNED), OR(IO_BITMAP_B, MISALIGNED) } },
	{ "I/O bitmaps", RULE_IO, ENTERS, .more.proc = PROC_IO_BITMAPS },
	{ "MSR bitmap misaligned", RULE_MSR, FAILS_7, .changes = { OR(MSR_BITMAP, MISALIGNED) } },
	{ "MSR bitmap too wide", RULE_MSR, FAILS_7, .changes = { OR(MSR_BITMAP, TOO_WIDE) } },
	{ "MSR bitmap misaligned and not used", RULE_MSR, ENTERS,
	  .changes = { OR(MSR_BITMAP, MISALIGNED), CLEAR(PROC_CONTROLS, PROC_MSR_BITMAPS) } },
	{ "virtual NMIs without NMI exiting",
	  "If the \"NMI exiting\" control is 0, the \"virtual NMIs\" control must be 0", FAILS_7,
	  .changes = { OR(PIN_CONTROLS, PIN_VIRTUAL_NMI) } },
	{ "virtual NMIs with NMI exiting",
	  "If the \"NMI exiting\" control is 0, the \"virtual NMIs\" control must be 0", ENTERS,
	  .more.pin = PIN_VIRTUAL_NMI | PIN_NMI },
	{ "NMI-window exiting without virtual NMIs",
	  "If the \"virtual NMIs\" control is 0, the \"NMI-window exiting\" control must be 0",
	  FAILS_7, .more.pin = PIN_NMI, .changes = { OR(PROC_CONTROLS, PROC_NMI_WINDOW) } },
	{ "VPID 0", "If the \"enable VPID\" control is 1, the VPID must not be 0000H", FAILS_7,
	  .more.proc2 = PROC2_VPID, .changes = { SET(VPID, 0) } },
	{ "VPID FFFFH", "If the \"enable VPID\" control is 1, the VPID must not be 0000H", ENTERS,
	  .more.proc2 = PROC2_VPID, .changes = { SET(VPID, 0xffff) } },
	{ "VPID 0 and not used", "If the \"enable VPID\" control is 1, the VPID must not be 0000H",
	  ENTERS, .changes = { SET(VPID, 0) } },
	{ "unrestricted guest without EPT",
	  "If the \"unrestricted guest\" control is 1, the \"enable EPT\" control must also be 1",
	  FAILS_7, .changes = { OR(PROC_CONTROLS2, PROC2_UNRESTRICTED_GUEST) } },
};

#define TPR_PAGE SET(VIRTUAL_APIC_ADDR, PAGE_AT), SET(TPR_THRESHOLD, 0)

static const struct entry_case apic_cases[] = {
	{ "virtual-APIC page misaligned", RULE_TPR, FAILS_7, .more.proc = PROC_TPR_SHADOW,
	  .changes = { TPR_PAGE, OR(VIRTUAL_APIC_ADDR, MISALIGNED) } },
	{ "virtual-APIC page too wide", RULE_TPR, FAILS_7, .more.proc = PROC_TPR_SHADOW,
	  .changes = { TPR_PAGE, OR(VIRTUAL_APIC_ADDR, TOO_WIDE) } },
	{ "TPR shadow", RULE_TPR, ENTERS, .more.proc = PROC_TPR_SHADOW, .changes = { TPR_PAGE } },
	{ "TPR threshold with bits above 3:0",
	  "If the \"use TPR shadow\" control is 1 and virtual-interrupt delivery is 0, bits 31:4 "
	  "of the TPR threshold must be 0",
	  FAILS_7, .more.proc = PROC_TPR_SHADOW,
	  .changes = { TPR_PAGE, SET(TPR_THRESHOLD, 0x10) } },
	{ "TPR threshold above VTPR",
	  "... the value of bits 3:0 of the TPR threshold should not be greater than the value of "
	  "bits 7:4 of VTPR",
	  FAILS_7, .more.proc = PROC_TPR_SHADOW, .changes = { TPR_PAGE, SET(TPR_THRESHOLD, 1) },
	  .prepare = set_vtpr_0 },
	{ "TPR threshold equal to VTPR",
	  "... the value of bits 3:0 of the TPR threshold should not be greater than the value of "
	  "bits 7:4 of VTPR",
	  ENTERS, .more.proc = PROC_TPR_SHADOW, .changes = { TPR_PAGE, SET(TPR_THRESHOLD, 2) },
	  .prepare = set_vtpr_2 },
	{ "x2APIC virtualization without TPR shadow",
	  "If the \"use TPR shadow\" control is 0, \"virtualize x2APIC mode\" must be 0", FAILS_7,
	  .changes = { OR(PROC_CONTROLS2, PROC2_X2APIC) } },
	{ "APIC-access page misaligned", RULE_ACCESS, FAILS_7, .more.proc2 = PROC2_APIC_ACCESSES,
	  .changes = { SET(APIC_ACCESS_ADDR, PAGE_AT + MISALIGNED) } },
	{ "APIC-access page too wide", RULE_ACCESS, FAILS_7, .more.proc2 = PROC2_APIC_ACCESSES,
	  .changes = { SET(APIC_ACCESS_ADDR, PAGE_AT + TOO_WIDE) } },
	{ "x2APIC virtualization with APIC-access virtualization",
	  "If the \"virtualize x2APIC mode\" control is 1, the \"virtualize APIC accesses\" "
	  "control "
	  "must be 0",
	  FAILS_7, .more.proc = PROC_TPR_SHADOW,
	  .changes = { TPR_PAGE, SET(APIC_ACCESS_ADDR, PAGE_AT),
		       OR(PROC_CONTROLS2, PROC2_X2APIC | PROC2_APIC_ACCESSES) } },
};

static u32 controls_count(void)
{
	return ARRAY_SIZE(cases) + ARRAY_SIZE(apic_cases);
}

static void controls_run(void)
{
	entry_cases_run(cases, ARRAY_SIZE(cases));
	entry_cases_run(apic_cases, ARRAY_SIZE(apic_cases));
}

const struct suite controls_suite = { controls_count, controls_run };

#define RULE_EPTP                                                                                 \
	"If the \"enable EPT\" control is 1, the EPTP must have a supported memory type, a page-" \
	"walk length of 4, no reserved bit and no bit beyond the physical-address width"

static const struct entry_case ept_cases[] = {
	{ "EPT", RULE_EPTP, ENTERS, .more.proc2 = PROC2_EPT },
	{ "EPT with accessed and dirty flags", RULE_EPTP, ENTERS, .more.proc2 = PROC2_EPT,
	  .changes = { OR(EPTP, EPTP_AD) } },
	{ "EPT structures uncacheable", RULE_EPTP, ENTERS, .more.proc2 = PROC2_EPT,
	  .changes = { CLEAR(EPTP, EPTP_TYPE_MASK) } },
	{ "EPTP with a wrong memory type", RULE_EPTP, FAILS_7, .more.proc2 = PROC2_EPT,
	  .changes = { OR(EPTP, EPTP_TYPE_MASK) } },
	{ "EPTP with a wrong page-walk length", RULE_EPTP, FAILS_7, .more.proc2 = PROC2_EPT,
	  .changes = { CLEAR(EPTP, BIT(3)) } },
	{ "EPTP with a reserved bit", RULE_EPTP, FAILS_7, .more.proc2 = PROC2_EPT,
	  .changes = { OR(EPTP, BIT(11)) } },
	{ "EPTP too wide", RULE_EPTP, FAILS_7, .more.proc2 = PROC2_EPT,
	  .changes = { OR(EPTP, TOO_WIDE) } },
	{ "unrestricted guest with EPT",
	  "If the \"unrestricted guest\" control is 1, the \"enable EPT\" control must also be 1",
	  ENTERS, .more.proc2 = PROC2_EPT | PROC2_UNRESTRICTED_GUEST },
};

static u32 ept_count(void)
{
	return inner_with_ept() ? ARRAY_SIZE(ept_cases) : 0;
}

static void ept_run(void)
{
	if (inner_with_ept())
		entry_cases_run(ept_cases, ARRAY_SIZE(ept_cases));
}

const struct suite ept_controls_suite = { ept_count, ept_run };
