/*
 * Checks on the host-state area, SDM 3C "Checks on Host Control Registers, MSRs, and SSP" (27.2.2),
 * "Checks on Host Segment and Descriptor-Table Registers" (27.2.3) and "Checks Related to
 * Address-Space Size" (27.2.4).
 */
#include "guests/vmx-entry/entry_case.h"

#define PAT_INVALID 0x0000000000000002ULL /* memory type 2 is reserved */
#define PAT_RESET   0x0007040600070406ULL
#define LOAD_PAT    .more.exit = EXIT_LOAD_PAT

#define RULE_CR0 "The CR0 field must not set any bit to a value not supported in VMX operation"
#define RULE_CR4 "The CR4 field must not set any bit to a value not supported in VMX operation"
#define RULE_CR3 "Bits of CR3 beyond the physical-address width must be 0"
#define RULE_SYSENTER \
	"The IA32_SYSENTER_ESP and IA32_SYSENTER_EIP fields must each contain a canonical address"
#define RULE_PAT                                                                             \
	"If the \"load IA32_PAT\" VM-exit control is 1, the value of the field must be one " \
	"that could be written by WRMSR without fault"
#define RULE_EFER                                                                               \
	"If the \"load IA32_EFER\" VM-exit control is 1, bits reserved in IA32_EFER must be 0 " \
	"and "                                                                                  \
	"LMA and LME must each be that of the \"host address-space size\" VM-exit control"
#define RULE_SELECTOR "In the selector field, the RPL (bits 1:0) and the TI flag (bit 2) must be 0"
#define RULE_BASE     "The base-address fields must contain canonical addresses"
#define RULE_NULL     "The selector fields for CS and TR cannot be 0000H"

static const struct entry_case cases[] = {
	{ "host CR0 without NE", RULE_CR0, FAILS_8, .changes = { CLEAR(HOST_CR0, CR0_NE) } },
	{ "host CR0 without PG", RULE_CR0, FAILS_8, .changes = { CLEAR(HOST_CR0, CR0_PG) } },
	{ "host CR0 without PE", RULE_CR0, FAILS_8, .changes = { CLEAR(HOST_CR0, CR0_PE) } },
	{ "host CR0 with a reserved bit", RULE_CR0, FAILS_8, .changes = { OR(HOST_CR0, BIT(40)) } },
	{ "host CR4 without VMXE", RULE_CR4, FAILS_8, .changes = { CLEAR(HOST_CR4, CR4_VMXE) } },
	{ "host CR4 with a reserved bit", RULE_CR4, FAILS_8, .changes = { OR(HOST_CR4, BIT(40)) } },
	{ "host CR4 without PAE and a 64-bit host",
	  "If the \"host address-space size\" VM-exit control is 1, bit 5 of the CR4 field is 1",
	  FAILS_8, .changes = { CLEAR(HOST_CR4, CR4_PAE) } },
	{ "host CR3 too wide", RULE_CR3, FAILS_8, .changes = { OR(HOST_CR3, TOO_WIDE) } },
	{ "host SYSENTER_ESP not canonical", RULE_SYSENTER, FAILS_8,
	  .changes = { SET(HOST_SYSENTER_ESP, NONCANONICAL) } },
	{ "host SYSENTER_EIP not canonical", RULE_SYSENTER, FAILS_8,
	  .changes = { SET(HOST_SYSENTER_EIP, NONCANONICAL) } },
	{ "host PAT with a reserved type", RULE_PAT, FAILS_8, LOAD_PAT,
	  .changes = { SET(HOST_PAT, PAT_INVALID) } },
	{ "host PAT with a reserved type in entry 7", RULE_PAT, FAILS_8, LOAD_PAT,
	  .changes = { SET(HOST_PAT, PAT_RESET | BIT(57)) } },
	{ "host PAT with a reserved bit", RULE_PAT, FAILS_8, LOAD_PAT,
	  .changes = { SET(HOST_PAT, PAT_RESET | BIT(63)) } },
	{ "host PAT", RULE_PAT, ENTERS, LOAD_PAT, .changes = { SET(HOST_PAT, PAT_RESET) } },
	{ "host PAT with a reserved type and not loaded", RULE_PAT, ENTERS,
	  .changes = { SET(HOST_PAT, PAT_INVALID) } },
	{ "host EFER with a reserved bit", RULE_EFER, FAILS_8,
	  .changes = { OR(HOST_EFER, BIT(1)) } },
	{ "host EFER without LMA", RULE_EFER, FAILS_8, .changes = { CLEAR(HOST_EFER, EFER_LMA) } },
	{ "host EFER without LME", RULE_EFER, FAILS_8, .changes = { CLEAR(HOST_EFER, EFER_LME) } },
	{ "host EFER without LMA and not loaded", RULE_EFER, ENTERS,
	  .changes = { CLEAR(HOST_EFER, EFER_LMA), CLEAR(EXIT_CONTROLS, EXIT_LOAD_EFER) } },
	{ "a 32-bit host in IA-32e mode",
	  "If the logical processor is in IA-32e mode at the time of VM entry, the \"host "
	  "address-space size\" VM-exit control must be 1",
	  FAILS_8,
	  .changes = { CLEAR(EXIT_CONTROLS, EXIT_HOST_64),
		       CLEAR(HOST_EFER, EFER_LMA | EFER_LME) } },
	{ "host RIP not canonical",
	  "If the \"host address-space size\" VM-exit control is 1, the RIP field contains a "
	  "canonical address",
	  FAILS_8, .changes = { SET(HOST_RIP, NONCANONICAL) } },
	{ "host ES with RPL", RULE_SELECTOR, FAILS_8, .changes = { OR(HOST_ES_SELECTOR, 1) } },
	{ "host CS with RPL", RULE_SELECTOR, FAILS_8, .changes = { OR(HOST_CS_SELECTOR, 3) } },
	{ "host SS with RPL", RULE_SELECTOR, FAILS_8, .changes = { OR(HOST_SS_SELECTOR, 2) } },
	{ "host DS with TI", RULE_SELECTOR, FAILS_8, .changes = { OR(HOST_DS_SELECTOR, 4) } },
	{ "host FS with TI", RULE_SELECTOR, FAILS_8, .changes = { OR(HOST_FS_SELECTOR, 4) } },
	{ "host GS with RPL", RULE_SELECTOR, FAILS_8, .changes = { OR(HOST_GS_SELECTOR, 1) } },
	{ "host TR with RPL", RULE_SELECTOR, FAILS_8, .changes = { OR(HOST_TR_SELECTOR, 3) } },
	{ "host TR with TI", RULE_SELECTOR, FAILS_8, .changes = { OR(HOST_TR_SELECTOR, 4) } },
	{ "host CS null", RULE_NULL, FAILS_8, .changes = { SET(HOST_CS_SELECTOR, 0) } },
	{ "host TR null", RULE_NULL, FAILS_8, .changes = { SET(HOST_TR_SELECTOR, 0) } },
	{ "host SS, DS, ES, FS and GS null",
	  "The selector field for SS cannot be 0000H if the \"host address-space size\" VM-exit "
	  "control is 0",
	  ENTERS,
	  .changes = { SET(HOST_SS_SELECTOR, 0), SET(HOST_DS_SELECTOR, 0), SET(HOST_ES_SELECTOR, 0),
		       SET(HOST_FS_SELECTOR, 0), SET(HOST_GS_SELECTOR, 0) } },
	{ "host FS base not canonical", RULE_BASE, FAILS_8,
	  .changes = { SET(HOST_FS_BASE, NONCANONICAL) } },
	{ "host GS base not canonical", RULE_BASE, FAILS_8,
	  .changes = { SET(HOST_GS_BASE, NONCANONICAL) } },
	{ "host TR base not canonical", RULE_BASE, FAILS_8,
	  .changes = { SET(HOST_TR_BASE, NONCANONICAL) } },
	{ "host GDTR base not canonical", RULE_BASE, FAILS_8,
	  .changes = { SET(HOST_GDTR_BASE, NONCANONICAL) } },
	{ "host IDTR base not canonical", RULE_BASE, FAILS_8,
	  .changes = { SET(HOST_IDTR_BASE, NONCANONICAL) } },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases);
}

static void run(void)
{
	entry_cases_run(cases, ARRAY_SIZE(cases));
}

const struct suite host_suite = { count, run };
