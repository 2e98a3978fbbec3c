/*
 * Checks on guest control registers, debug registers, MSRs, RIP and RFLAGS, SDM 3C "Checks on Guest
 * Control Registers, Debug Registers, and MSRs" (27.3.1.1) and "Checks on Guest RIP, RFLAGS, and
 * SSP" (27.3.1.4).
 *
 * QUIRK(bochs-2.7): reserved bits of IA32_DEBUGCTL and a RIP that is not canonical are accepted.
 */
#include "guests/vmx-entry/entry_case.h"

#define PAT_INVALID 0x0000000000000002ULL /* memory type 2 is reserved */
#define LOAD_PAT    .more.entry = ENTRY_LOAD_PAT
#define LOAD_DEBUG  .more.entry = ENTRY_LOAD_DEBUG

#define EXTERNAL_32 SET(ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 32)

#define RULE_CR0 "The CR0 field must not set any bit to a value not supported in VMX operation"
#define RULE_CR4 "The CR4 field must not set any bit to a value not supported in VMX operation"
#define RULE_EFER                                                                                 \
	"If the \"load IA32_EFER\" VM-entry control is 1: reserved bits must be 0, bit 10 (LMA) " \
	"must equal the \"IA-32e mode guest\" VM-entry control, and bit 8 (LME) if CR0.PG = 1"
#define RULE_SYSENTER \
	"The IA32_SYSENTER_ESP field and the IA32_SYSENTER_EIP field must be canonical"
#define RULE_PAT \
	"If the \"load IA32_PAT\" VM-entry control is 1, WRMSR must accept the field's value"
#define RULE_DR7                                                                                  \
	"If the \"load debug controls\" VM-entry control is 1, bits 63:32 in the DR7 field must " \
	"be 0"
#define RULE_RFLAGS "Reserved bits 63:22, 15, 5 and 3 must be 0, and reserved bit 1 must be 1"

static const struct entry_case cases[] = {
	{ "guest CR0 without NE", RULE_CR0, EXITS_33, .changes = { CLEAR(GUEST_CR0, CR0_NE) } },
	{ "guest CR0 without PG", RULE_CR0, EXITS_33, .changes = { CLEAR(GUEST_CR0, CR0_PG) } },
	{ "guest CR0 without PE", RULE_CR0, EXITS_33, .changes = { CLEAR(GUEST_CR0, CR0_PE) } },
	{ "guest CR0 with a reserved bit", RULE_CR0, EXITS_33,
	  .changes = { OR(GUEST_CR0, BIT(40)) } },
	{ "guest CR0 with NW and without CD", "Bits 30:29 (CD and NW) are never checked", ENTERS,
	  .changes = { OR(GUEST_CR0, CR0_NW), CLEAR(GUEST_CR0, CR0_CD) } },
	{ "guest CR4 without VMXE", RULE_CR4, EXITS_33, .changes = { CLEAR(GUEST_CR4, CR4_VMXE) } },
	{ "guest CR4 with a reserved bit", RULE_CR4, EXITS_33,
	  .changes = { OR(GUEST_CR4, BIT(40)) } },
	{ "guest CR4 without PAE in IA-32e mode",
	  "If the \"IA-32e mode guest\" VM-entry control is 1, CR4.PAE must be 1", EXITS_33,
	  .changes = { CLEAR(GUEST_CR4, CR4_PAE) } },
	{ "guest CR4 with PCIDE outside IA-32e mode",
	  "If the \"IA-32e mode guest\" VM-entry control is 0, CR4.PCIDE must be 0", EXITS_33,
	  .changes = { GUEST_32, OR(GUEST_CR4, CR4_PCIDE) } },
	{ "guest CR3 too wide", "Bits of CR3 beyond the physical-address width must be 0", EXITS_33,
	  .changes = { OR(GUEST_CR3, TOO_WIDE) } },
	{ "guest DR7 wider than 32 bits", RULE_DR7, EXITS_33, LOAD_DEBUG,
	  .changes = { OR(GUEST_DR7, BIT(32)) } },
	{ "guest DR7 wider than 32 bits and not loaded", RULE_DR7, ENTERS,
	  .changes = { OR(GUEST_DR7, BIT(32)) } },
	{ "guest SYSENTER_ESP not canonical", RULE_SYSENTER, EXITS_33,
	  .changes = { SET(GUEST_SYSENTER_ESP, NONCANONICAL) } },
	{ "guest SYSENTER_EIP not canonical", RULE_SYSENTER, EXITS_33,
	  .changes = { SET(GUEST_SYSENTER_EIP, NONCANONICAL) } },
	{ "guest PAT with a reserved type", RULE_PAT, EXITS_33, LOAD_PAT,
	  .changes = { SET(GUEST_PAT, PAT_INVALID) } },
	{ "guest PAT with a reserved type and not loaded", RULE_PAT, ENTERS,
	  .changes = { SET(GUEST_PAT, PAT_INVALID) } },
	{ "guest EFER with a reserved bit", RULE_EFER, EXITS_33,
	  .changes = { OR(GUEST_EFER, BIT(1)) } },
	{ "guest EFER without LMA in IA-32e mode", RULE_EFER, EXITS_33,
	  .changes = { CLEAR(GUEST_EFER, EFER_LMA) } },
	{ "guest EFER without LME in IA-32e mode", RULE_EFER, EXITS_33,
	  .changes = { CLEAR(GUEST_EFER, EFER_LME) } },
	{ "guest EFER with LMA outside IA-32e mode", RULE_EFER, EXITS_33,
	  .changes = { GUEST_32, OR(GUEST_EFER, EFER_LMA) } },
	{ "guest EFER with a reserved bit and not loaded", RULE_EFER, ENTERS,
	  .changes = { OR(GUEST_EFER, BIT(1)), CLEAR(ENTRY_CONTROLS, ENTRY_LOAD_EFER) } },
	{ "guest RIP wider than 32 bits in compatibility mode",
	  "Bits 63:32 of RIP must be 0 if the \"IA-32e mode guest\" VM-entry control is 0 or if "
	  "the L bit in the access-rights field for CS is 0",
	  EXITS_33, .changes = { SET(GUEST_CS_AR, AR_CODE32), OR(GUEST_RIP, BIT(32)) } },
	{ "guest RIP wider than 32 bits outside IA-32e mode",
	  "Bits 63:32 of RIP must be 0 if the \"IA-32e mode guest\" VM-entry control is 0",
	  EXITS_33, .changes = { GUEST_32, OR(GUEST_RIP, BIT(32)) } },
	{ "guest RFLAGS without bit 1", RULE_RFLAGS, EXITS_33,
	  .changes = { CLEAR(GUEST_RFLAGS, BIT(1)) } },
	{ "guest RFLAGS with bit 3", RULE_RFLAGS, EXITS_33,
	  .changes = { OR(GUEST_RFLAGS, BIT(3)) } },
	{ "guest RFLAGS with bit 5", RULE_RFLAGS, EXITS_33,
	  .changes = { OR(GUEST_RFLAGS, BIT(5)) } },
	{ "guest RFLAGS with bit 15", RULE_RFLAGS, EXITS_33,
	  .changes = { OR(GUEST_RFLAGS, BIT(15)) } },
	{ "guest RFLAGS with bit 22", RULE_RFLAGS, EXITS_33,
	  .changes = { OR(GUEST_RFLAGS, BIT(22)) } },
	{ "guest RFLAGS with bit 63", RULE_RFLAGS, EXITS_33,
	  .changes = { OR(GUEST_RFLAGS, BIT(63)) } },
	{ "guest RFLAGS with VM in IA-32e mode",
	  "The VM flag (bit 17) must be 0 if the \"IA-32e mode guest\" VM-entry control is 1",
	  EXITS_33, .changes = { OR(GUEST_RFLAGS, RFLAGS_VM) } },
	{ "injection of an external interrupt with guest RFLAGS.IF = 0",
	  "The IF flag must be 1 if the valid bit is 1 and the interruption type is external "
	  "interrupt",
	  EXITS_33, .changes = { EXTERNAL_32 } },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases);
}

static void run(void)
{
	entry_cases_run(cases, ARRAY_SIZE(cases));
}

const struct suite registers_suite = { count, run };
