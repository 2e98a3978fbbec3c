/*
 * Checks that EPT and unrestricted guest change: PDPTEs from the VMCS, guests without paging or
 * protection, segments of any privilege. SDM 3C "Checks on the Guest State Area" (27.3.1).
 */
#include "guests/vmx-entry/entry_case.h"
#include "l1-hypervisor/leaf/string.h"

#define REAL_CODE 0x50000U /* low memory that nobody uses */
#define REAL_AR   0x93

#define EPT          .more.proc2 = PROC2_EPT
#define UNRESTRICTED .more.proc2 = PROC2_EPT | PROC2_UNRESTRICTED_GUEST

extern u64 guest_pds[];

static void set_pdptes(void)
{
	for (u32 i = 0; i < 4; i++)
		vmx_set(VMCS_GUEST_PDPTE0 + 2 * i, ((u64)guest_pds + i * PAGE_SIZE) | PTE_P);
}

static void set_pdptes_with_reserved_bit(void)
{
	set_pdptes();
	inner_set_bits(VMCS_GUEST_PDPTE3, PTE_W);
}

static void set_pdptes_too_wide(void)
{
	set_pdptes();
	inner_set_bits(VMCS_GUEST_PDPTE0, TOO_WIDE);
}

/* A guest in real mode that is right; the rows spoil one thing. */
static void set_real_mode(void)
{
	memcpy((void *)(u64)REAL_CODE, entry_code, 16);
	for (u32 i = 0; i <= VMCS_GUEST_GS_SELECTOR - VMCS_GUEST_ES_SELECTOR; i += 2) {
		vmx_set(VMCS_GUEST_ES_SELECTOR + i, REAL_CODE >> 4);
		vmx_set(VMCS_GUEST_ES_BASE + i, REAL_CODE);
		vmx_set(VMCS_GUEST_ES_LIMIT + i, 0xffff);
		vmx_set(VMCS_GUEST_ES_AR + i, REAL_AR);
	}
	inner_clear_bits(VMCS_GUEST_CR0, CR0_PE | CR0_PG);
	vmx_set(VMCS_GUEST_RIP, 0);
	vmx_set(VMCS_GUEST_RSP, 0);
}

static void set_real_mode_ss_dpl(void)
{
	set_real_mode();
	vmx_set(VMCS_GUEST_SS_AR, REAL_AR | AR_DPL_MASK);
}

static void set_real_mode_error_code(void)
{
	set_real_mode();
	vmx_set(VMCS_ENTRY_INTR_INFO,
		INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_TYPE_HARDWARE_EXCEPTION | EXC_GP);
}

#define RULE_PDPTE                                                                             \
	"If the \"enable EPT\" VM-execution control is 1, the PDPTEs in the PDPTE fields are " \
	"checked, if the guest will use PAE paging"
#define RULE_UNRESTRICTED \
	"If the \"unrestricted guest\" control is 1, bits 0 and 31 (PE and PG) are not checked"

static const struct entry_case cases[] = {
	{ "guest with PAE paging and EPT", RULE_PDPTE, ENTERS, EPT, .changes = { GUEST_32 },
	  .prepare = set_pdptes },
	{ "guest with PAE paging, EPT and a reserved bit in a PDPTE", RULE_PDPTE, EXITS_33,
	  ENTRY_FAILURE_PDPTE, EPT, .changes = { GUEST_32 },
	  .prepare = set_pdptes_with_reserved_bit },
	{ "guest with PAE paging, EPT and a PDPTE too wide", RULE_PDPTE, EXITS_33,
	  ENTRY_FAILURE_PDPTE, EPT, .changes = { GUEST_32 }, .prepare = set_pdptes_too_wide },
	{ "PDPTEs do not count in IA-32e mode", RULE_PDPTE, ENTERS, EPT,
	  .prepare = set_pdptes_with_reserved_bit },
	{ "guest CR0 without PG, EPT only", RULE_UNRESTRICTED, EXITS_33, EPT,
	  .changes = { GUEST_32, CLEAR(GUEST_CR0, CR0_PG) } },
	{ "unrestricted guest without paging", RULE_UNRESTRICTED, ENTERS, UNRESTRICTED,
	  .changes = { GUEST_32, CLEAR(GUEST_CR0, CR0_PG) } },
	{ "unrestricted guest with paging and without protection",
	  "If bit 31 in the CR0 field (PG) is 1, bit 0 (PE) must also be 1", EXITS_33, UNRESTRICTED,
	  .changes = { GUEST_32, CLEAR(GUEST_CR0, CR0_PE) } },
	{ "unrestricted guest without paging in IA-32e mode",
	  "If the \"IA-32e mode guest\" VM-entry control is 1, CR0.PG must be 1", EXITS_33,
	  UNRESTRICTED, .changes = { CLEAR(GUEST_CR0, CR0_PG), CLEAR(GUEST_CR4, CR4_PAE) } },
	{ "unrestricted guest without paging and with EFER.LME",
	  "bit 8 (LME) must equal bit 10 (LMA) if CR0.PG = 1", ENTERS, UNRESTRICTED,
	  .changes = { GUEST_32, CLEAR(GUEST_CR0, CR0_PG), OR(GUEST_EFER, EFER_LME) } },
	{ "unrestricted guest CR0 without NE", "the other bits of CR0 are checked", EXITS_33,
	  UNRESTRICTED, .changes = { CLEAR(GUEST_CR0, CR0_NE) } },
	{ "unrestricted guest in real mode", RULE_UNRESTRICTED, ENTERS, UNRESTRICTED,
	  .changes = { GUEST_32 }, .prepare = set_real_mode },
	{ "unrestricted guest in real mode with SS.DPL = 3", "SS: the DPL must be 0 if CR0.PE = 0",
	  EXITS_33, UNRESTRICTED, .changes = { GUEST_32 }, .prepare = set_real_mode_ss_dpl },
	{ "injection of an error code into real mode",
	  "Deliver-error-code must be 0 if the \"unrestricted guest\" control is 1 and CR0.PE = 0",
	  FAILS_7, UNRESTRICTED, .changes = { GUEST_32 }, .prepare = set_real_mode_error_code },
	{ "unrestricted guest with a data segment in CS",
	  "CS: type must be ... or 3 if the \"unrestricted guest\" control is 1", ENTERS,
	  UNRESTRICTED,
	  .changes = { GUEST_32, SET(GUEST_CS_AR, 0xc093), CLEAR(GUEST_CR0, CR0_PG) } },
	{ "unrestricted guest with a data segment in CS and DPL 3",
	  "CS: if the type is 3, the DPL must be 0", EXITS_33, UNRESTRICTED,
	  .changes = { GUEST_32, SET(GUEST_CS_AR, 0xc0f3) } },
	{ "unrestricted guest SS with another RPL than CS",
	  "SS: ... and the \"unrestricted guest\" control is 0", ENTERS, UNRESTRICTED,
	  .changes = { OR(GUEST_SS_SELECTOR, 3) } },
	{ "unrestricted guest DS with a greater RPL than DPL",
	  "DS, ES, FS, GS: ... if the \"unrestricted guest\" control is 0", ENTERS, UNRESTRICTED,
	  .changes = { OR(GUEST_DS_SELECTOR, 3) } },
};

static u32 count(void)
{
	return inner_with_ept() ? ARRAY_SIZE(cases) : 0;
}

static void run(void)
{
	if (inner_with_ept())
		entry_cases_run(cases, ARRAY_SIZE(cases));
}

const struct suite ept_state_suite = { count, run };
