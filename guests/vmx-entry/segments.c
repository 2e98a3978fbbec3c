/*
 * Checks on guest segment and descriptor-table registers, SDM 3C "Checks on Guest Segment
 * Registers" (27.3.1.2) and "Checks on Guest Descriptor-Table Registers" (27.3.1.3). DS stands for
 * ES, FS and GS too where the rules are the same for all.
 *
 * QUIRK(bochs-2.7): with CS.L = 1 and an SS whose RPL is 0, SS is not checked; those rows have a
 * compatibility-mode CS.
 */
#include "guests/vmx-entry/entry_case.h"

#define AR_LDT      0x0082
#define AR_NONE     BIT(16)    /* unusable */
#define LIMIT_BAD_G 0xfffffffe /* G = 1, but the low 12 bits are not all 1 */
#define COMPAT_CS   SET(GUEST_CS_AR, AR_CODE32)

#define LDT                                                                               \
	SET(GUEST_LDTR_SELECTOR, 8), SET(GUEST_LDTR_AR, AR_LDT), SET(GUEST_LDTR_BASE, 0), \
		SET(GUEST_LDTR_LIMIT, 0xff)

#define RULE_CS_TYPE                                                                             \
	"CS: type must be 9, 11, 13, or 15 (accessed code segment), or 3 if the \"unrestricted " \
	"guest\" control is 1"
#define RULE_SS_TYPE "SS: if usable, type must be 3 or 7 (read/write, accessed data segment)"
#define RULE_DS_TYPE                                                                              \
	"DS, ES, FS, GS: if usable, bit 0 of the type must be 1 (accessed); if bit 3 is 1 (code " \
	"segment), then bit 1 must be 1 (readable)"
#define RULE_S        "Bit 4 (S): must be 1 for CS, and for the others if usable"
#define RULE_P        "Bit 7 (P): must be 1 for CS, and for the others if usable"
#define RULE_RESERVED "Bits 11:8 and 31:17 (reserved): must be 0, if usable"
#define RULE_G                                                                                     \
	"Bit 15 (G): must be 0 if any bit in the limit field in the range 11:0 is 0, and must be " \
	"1 if any bit in the limit field in the range 31:20 is 1"
#define RULE_DPL_CS                                                                              \
	"CS: if the type is 9 or 11 (non-conforming), the DPL must equal the DPL for SS; if it " \
	"is 13 or 15 (conforming), the DPL cannot be greater than the DPL for SS"
#define RULE_BASE_HIGH "CS, and SS, DS and ES if usable: bits 63:32 of the address must be 0"
#define RULE_BASE      "TR, FS, GS, and LDTR if usable: the address must be canonical"
#define RULE_TABLE     "On processors that support Intel 64, the base must be canonical"

static const struct entry_case code_cases[] = {
	{ "guest CS a data segment", RULE_CS_TYPE, EXITS_33,
	  .changes = { SET(GUEST_CS_AR, 0xa093) } },
	{ "guest CS not accessed", RULE_CS_TYPE, EXITS_33,
	  .changes = { SET(GUEST_CS_AR, 0xa09a) } },
	{ "guest CS execute-only", RULE_CS_TYPE, ENTERS, .changes = { SET(GUEST_CS_AR, 0xa099) } },
	{ "guest CS a system segment", RULE_S, EXITS_33, .changes = { SET(GUEST_CS_AR, 0xa08b) } },
	{ "guest CS not present", RULE_P, EXITS_33, .changes = { SET(GUEST_CS_AR, 0xa01b) } },
	{ "guest CS with DPL 3 and SS with DPL 0", RULE_DPL_CS, EXITS_33,
	  .changes = { SET(GUEST_CS_AR, 0xa0fb) } },
	{ "guest CS conforming with DPL 3 and SS with DPL 0", RULE_DPL_CS, EXITS_33,
	  .changes = { SET(GUEST_CS_AR, 0xa0ff) } },
	{ "guest CS conforming with DPL 0", RULE_DPL_CS, ENTERS,
	  .changes = { SET(GUEST_CS_AR, 0xa09f) } },
	{ "guest CS with reserved bit 8", RULE_RESERVED, EXITS_33,
	  .changes = { OR(GUEST_CS_AR, BIT(8)) } },
	{ "guest CS with reserved bit 17", RULE_RESERVED, EXITS_33,
	  .changes = { OR(GUEST_CS_AR, BIT(17)) } },
	{ "guest CS with L and D/B in IA-32e mode",
	  "CS: D/B must be 0 if the guest will be in IA-32e mode and the L bit is 1", EXITS_33,
	  .changes = { OR(GUEST_CS_AR, AR_DB) } },
	{ "guest CS with G and a limit not ending in FFFH", RULE_G, EXITS_33,
	  .changes = { SET(GUEST_CS_LIMIT, LIMIT_BAD_G) } },
	{ "guest CS without G and a limit of 4 GiB", RULE_G, EXITS_33,
	  .changes = { CLEAR(GUEST_CS_AR, AR_G) } },
	{ "guest CS base wider than 32 bits", RULE_BASE_HIGH, EXITS_33,
	  .changes = { SET(GUEST_CS_BASE, BIT(32)) } },
};

static const struct entry_case stack_cases[] = {
	{ "guest SS read-only", RULE_SS_TYPE, EXITS_33,
	  .changes = { COMPAT_CS, SET(GUEST_SS_AR, 0xc091) } },
	{ "guest SS a code segment", RULE_SS_TYPE, EXITS_33,
	  .changes = { COMPAT_CS, SET(GUEST_SS_AR, 0xc09b) } },
	{ "guest SS expand-down", RULE_SS_TYPE, ENTERS,
	  .changes = { COMPAT_CS, SET(GUEST_SS_AR, 0xc097) } },
	{ "guest SS a system segment", RULE_S, EXITS_33,
	  .changes = { COMPAT_CS, SET(GUEST_SS_AR, 0xc083) } },
	{ "guest SS not present", RULE_P, EXITS_33,
	  .changes = { COMPAT_CS, SET(GUEST_SS_AR, 0xc013) } },
	{ "guest SS with reserved bit 9", RULE_RESERVED, EXITS_33,
	  .changes = { COMPAT_CS, OR(GUEST_SS_AR, BIT(9)) } },
	{ "guest SS with G and a limit not ending in FFFH", RULE_G, EXITS_33,
	  .changes = { COMPAT_CS, SET(GUEST_SS_LIMIT, LIMIT_BAD_G) } },
	{ "guest SS without G and a limit of 4 GiB", RULE_G, EXITS_33,
	  .changes = { COMPAT_CS, CLEAR(GUEST_SS_AR, AR_G) } },
	{ "guest SS base wider than 32 bits", RULE_BASE_HIGH, EXITS_33,
	  .changes = { COMPAT_CS, SET(GUEST_SS_BASE, BIT(32)) } },
	{ "guest SS with another RPL than CS",
	  "SS: if the guest will not be virtual-8086 and the \"unrestricted guest\" control is 0, "
	  "the RPL must equal the RPL of the selector field for CS",
	  EXITS_33, .changes = { OR(GUEST_SS_SELECTOR, 3) } },
	{ "guest SS with another DPL than RPL",
	  "SS: if the \"unrestricted guest\" control is 0, the DPL must equal the RPL from the "
	  "selector field",
	  EXITS_33, .changes = { SET(GUEST_SS_AR, 0xc0f3) } },
	{ "guest SS unusable in 64-bit mode", "the checks count if the segment is usable", ENTERS,
	  .changes = { SET(GUEST_SS_AR, AR_NONE), SET(GUEST_SS_SELECTOR, 0) } },
};

static const struct entry_case data_cases[] = {
	{ "guest DS not accessed", RULE_DS_TYPE, EXITS_33,
	  .changes = { SET(GUEST_DS_AR, 0xc092) } },
	{ "guest ES code that cannot be read", RULE_DS_TYPE, EXITS_33,
	  .changes = { SET(GUEST_ES_AR, 0xc099) } },
	{ "guest DS code that can be read", RULE_DS_TYPE, ENTERS,
	  .changes = { SET(GUEST_DS_AR, 0xc09b) } },
	{ "guest FS a system segment", RULE_S, EXITS_33, .changes = { SET(GUEST_FS_AR, 0xc083) } },
	{ "guest GS not present", RULE_P, EXITS_33, .changes = { SET(GUEST_GS_AR, 0xc013) } },
	{ "guest DS with a greater RPL than DPL",
	  "DS, ES, FS, GS: the DPL cannot be less than the RPL in the selector field if the "
	  "\"unrestricted guest\" control is 0, the segment is usable and the type is 0 - 11",
	  EXITS_33, .changes = { OR(GUEST_DS_SELECTOR, 3) } },
	{ "guest DS conforming code with a greater RPL than DPL", "... and the type is 0 - 11",
	  ENTERS, .changes = { OR(GUEST_DS_SELECTOR, 3), SET(GUEST_DS_AR, 0xc09f) } },
	{ "guest ES with reserved bit 10", RULE_RESERVED, EXITS_33,
	  .changes = { OR(GUEST_ES_AR, BIT(10)) } },
	{ "guest FS with reserved bit 31", RULE_RESERVED, EXITS_33,
	  .changes = { OR(GUEST_FS_AR, BIT(31)) } },
	{ "guest GS with G and a limit not ending in FFFH", RULE_G, EXITS_33,
	  .changes = { SET(GUEST_GS_LIMIT, LIMIT_BAD_G) } },
	{ "guest DS without G and a limit of 4 GiB", RULE_G, EXITS_33,
	  .changes = { CLEAR(GUEST_DS_AR, AR_G) } },
	{ "guest DS base wider than 32 bits", RULE_BASE_HIGH, EXITS_33,
	  .changes = { SET(GUEST_DS_BASE, BIT(32)) } },
	{ "guest ES base wider than 32 bits", RULE_BASE_HIGH, EXITS_33,
	  .changes = { SET(GUEST_ES_BASE, BIT(32)) } },
	{ "guest FS base not canonical", RULE_BASE, EXITS_33,
	  .changes = { SET(GUEST_FS_BASE, NONCANONICAL) } },
	{ "guest GS base not canonical", RULE_BASE, EXITS_33,
	  .changes = { SET(GUEST_GS_BASE, NONCANONICAL) } },
	{ "guest FS base not canonical and FS unusable", RULE_BASE, EXITS_33,
	  .changes = { SET(GUEST_FS_BASE, NONCANONICAL), SET(GUEST_FS_AR, AR_NONE) } },
	{ "guest FS and GS bases wider than 32 bits", RULE_BASE, ENTERS,
	  .changes = { SET(GUEST_FS_BASE, BIT(40)), SET(GUEST_GS_BASE, ~0ULL) } },
	{ "guest DS, ES, FS and GS unusable and odd", "the checks count if the segment is usable",
	  ENTERS,
	  .changes = { SET(GUEST_DS_AR, AR_NONE), SET(GUEST_ES_AR, AR_NONE | 0x2),
		       SET(GUEST_FS_AR, AR_NONE | 0x80), SET(GUEST_GS_AR, AR_NONE | 0x8000),
		       SET(GUEST_GS_LIMIT, 5), SET(GUEST_DS_BASE, BIT(40)) } },
};

static const struct entry_case system_cases[] = {
	{ "guest TR unusable", "TR: bit 16 (Unusable) must be 0", EXITS_33,
	  .changes = { OR(GUEST_TR_AR, AR_NONE) } },
	{ "guest TR in the LDT", "TR: the TI flag (bit 2) must be 0", EXITS_33,
	  .changes = { OR(GUEST_TR_SELECTOR, 4) } },
	{ "guest TR an available TSS", "TR: the type must be 11 in IA-32e mode", EXITS_33,
	  .changes = { SET(GUEST_TR_AR, 0x89) } },
	{ "guest TR a 16-bit TSS in IA-32e mode", "TR: the type must be 11 in IA-32e mode",
	  EXITS_33, .changes = { SET(GUEST_TR_AR, 0x83) } },
	{ "guest TR with S", "TR: S must be 0", EXITS_33, .changes = { SET(GUEST_TR_AR, 0x9b) } },
	{ "guest TR not present", "TR: P must be 1", EXITS_33,
	  .changes = { SET(GUEST_TR_AR, 0x0b) } },
	{ "guest TR with reserved bit 11", RULE_RESERVED, EXITS_33,
	  .changes = { OR(GUEST_TR_AR, BIT(11)) } },
	{ "guest TR with G and a limit not ending in FFFH", RULE_G, EXITS_33,
	  .changes = { OR(GUEST_TR_AR, AR_G) } },
	{ "guest TR base not canonical", RULE_BASE, EXITS_33,
	  .changes = { SET(GUEST_TR_BASE, NONCANONICAL) } },
	{ "guest LDTR", "LDTR: type must be 2 (LDT)", ENTERS, .changes = { LDT } },
	{ "guest LDTR in the LDT", "LDTR: if usable, the TI flag (bit 2) must be 0", EXITS_33,
	  .changes = { LDT, OR(GUEST_LDTR_SELECTOR, 4) } },
	{ "guest LDTR of another type", "LDTR: type must be 2 (LDT)", EXITS_33,
	  .changes = { LDT, SET(GUEST_LDTR_AR, 0x8b) } },
	{ "guest LDTR with S", "LDTR: S must be 0", EXITS_33,
	  .changes = { LDT, SET(GUEST_LDTR_AR, 0x92) } },
	{ "guest LDTR not present", "LDTR: P must be 1", EXITS_33,
	  .changes = { LDT, SET(GUEST_LDTR_AR, 0x02) } },
	{ "guest LDTR with reserved bit 8", RULE_RESERVED, EXITS_33,
	  .changes = { LDT, OR(GUEST_LDTR_AR, BIT(8)) } },
	{ "guest LDTR with G and a limit not ending in FFFH", RULE_G, EXITS_33,
	  .changes = { LDT, OR(GUEST_LDTR_AR, AR_G) } },
	{ "guest LDTR base not canonical", RULE_BASE, EXITS_33,
	  .changes = { LDT, SET(GUEST_LDTR_BASE, NONCANONICAL) } },
	{ "guest LDTR unusable and odd", "the checks count if LDTR is usable", ENTERS,
	  .changes = { SET(GUEST_LDTR_SELECTOR, 4), SET(GUEST_LDTR_AR, AR_NONE | 0x9b),
		       SET(GUEST_LDTR_LIMIT, LIMIT_BAD_G) } },
	{ "guest GDTR limit wider than 16 bits", "Bits 31:16 of each limit field must be 0",
	  EXITS_33, .changes = { SET(GUEST_GDTR_LIMIT, BIT(16)) } },
	{ "guest IDTR limit wider than 16 bits", "Bits 31:16 of each limit field must be 0",
	  EXITS_33, .changes = { SET(GUEST_IDTR_LIMIT, BIT(16)) } },
	{ "guest GDTR base not canonical", RULE_TABLE, EXITS_33,
	  .changes = { SET(GUEST_GDTR_BASE, NONCANONICAL) } },
	{ "guest IDTR base not canonical", RULE_TABLE, EXITS_33,
	  .changes = { SET(GUEST_IDTR_BASE, NONCANONICAL) } },
};

static const struct {
	const struct entry_case *cases;
	u32 count;
} tables[] = {
	{ code_cases, ARRAY_SIZE(code_cases) },
	{ stack_cases, ARRAY_SIZE(stack_cases) },
	{ data_cases, ARRAY_SIZE(data_cases) },
	{ system_cases, ARRAY_SIZE(system_cases) },
};

static u32 count(void)
{
	u32 points = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		points += tables[i].count;
	return points;
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		entry_cases_run(tables[i].cases, tables[i].count);
}

const struct suite segments_suite = { count, run };
