/*
 * Checks on an injected event, SDM 3C "VM-Entry Control Fields" (27.2.1.3). What a valid one does
 * is for vmx-event.
 *
 * QUIRK(bochs-2.7): type 7 (other event) is accepted although no monitor trap flag is offered.
 */
#include "guests/vmx-entry/entry_case.h"

#define INFO(type, vector) SET(ENTRY_INTR_INFO, INTR_INFO_VALID | (u32)(type) | (vector))
#define INFO_CODE(type, vector) \
	SET(ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_INFO_ERROR_CODE | (u32)(type) | (vector))

#define RULE_TYPE "The field's interruption type is not set to a reserved value"
#define RULE_VECTOR                                                                      \
	"If the interruption type is NMI, the vector is 2. If the interruption type is " \
	"hardware exception, the vector is at most 31"
#define RULE_CODE                                                                              \
	"Deliver-error-code is 1 iff the type is hardware exception, the vector indicates an " \
	"exception that would normally deliver an error code, and CR0.PE = 1 or unrestricted " \
	"guest is 0"
#define RULE_RESERVED "Reserved bits in the field (30:12) are 0"
#define RULE_HIGH \
	"If the deliver-error-code bit is 1, bits 31:16 of the exception error-code field are 0"
#define RULE_LENGTH                                                                          \
	"If the interruption type is software interrupt, software exception, or privileged " \
	"software exception, the instruction-length field is in the range 0-15"

static const struct entry_case cases[] = {
	{ "injection of a reserved type", RULE_TYPE, FAILS_7,
	  .changes = { INFO(INTR_TYPE_RESERVED, 32) } },
	{ "injection of an NMI with another vector than 2", RULE_VECTOR, FAILS_7,
	  .changes = { INFO(INTR_TYPE_NMI, 3) } },
	{ "injection of a hardware exception with vector 32", RULE_VECTOR, FAILS_7,
	  .changes = { INFO(INTR_TYPE_HARDWARE_EXCEPTION, 32) } },
	{ "injection of #UD with an error code", RULE_CODE, FAILS_7,
	  .changes = { INFO_CODE(INTR_TYPE_HARDWARE_EXCEPTION, EXC_UD) } },
	{ "injection of #GP without an error code", RULE_CODE, FAILS_7,
	  .changes = { INFO(INTR_TYPE_HARDWARE_EXCEPTION, EXC_GP) } },
	{ "injection of #PF without an error code", RULE_CODE, FAILS_7,
	  .changes = { INFO(INTR_TYPE_HARDWARE_EXCEPTION, EXC_PF) } },
	{ "injection of #DF without an error code", RULE_CODE, FAILS_7,
	  .changes = { INFO(INTR_TYPE_HARDWARE_EXCEPTION, EXC_DF) } },
	{ "injection of #AC without an error code", RULE_CODE, FAILS_7,
	  .changes = { INFO(INTR_TYPE_HARDWARE_EXCEPTION, EXC_AC) } },
	{ "injection of an external interrupt with an error code", RULE_CODE, FAILS_7,
	  .changes = { INFO_CODE(INTR_TYPE_EXTERNAL, 32) } },
	{ "injection of an NMI with an error code", RULE_CODE, FAILS_7,
	  .changes = { INFO_CODE(INTR_TYPE_NMI, EXC_NMI) } },
	{ "injection of a software interrupt with an error code", RULE_CODE, FAILS_7,
	  .changes = { INFO_CODE(INTR_TYPE_SOFTWARE_INTERRUPT, 32), SET(ENTRY_INSN_LENGTH, 2) } },
	{ "injection of a software exception with an error code", RULE_CODE, FAILS_7,
	  .changes = { INFO_CODE(INTR_TYPE_SOFTWARE_EXCEPTION, EXC_BP),
		       SET(ENTRY_INSN_LENGTH, 1) } },
	{ "injection with reserved bit 12", RULE_RESERVED, FAILS_7,
	  .changes = { INFO(INTR_TYPE_HARDWARE_EXCEPTION, EXC_UD), OR(ENTRY_INTR_INFO, BIT(12)) } },
	{ "injection with reserved bit 30", RULE_RESERVED, FAILS_7,
	  .changes = { INFO(INTR_TYPE_HARDWARE_EXCEPTION, EXC_UD), OR(ENTRY_INTR_INFO, BIT(30)) } },
	{ "injection of an error code wider than 16 bits", RULE_HIGH, FAILS_7,
	  .changes = { INFO_CODE(INTR_TYPE_HARDWARE_EXCEPTION, EXC_GP),
		       SET(ENTRY_ERROR_CODE, BIT(16)) } },
	{ "injection of a software interrupt of 16 bytes", RULE_LENGTH, FAILS_7,
	  .changes = { INFO(INTR_TYPE_SOFTWARE_INTERRUPT, 32), SET(ENTRY_INSN_LENGTH, 16) } },
	{ "injection of a software exception of 16 bytes", RULE_LENGTH, FAILS_7,
	  .changes = { INFO(INTR_TYPE_SOFTWARE_EXCEPTION, EXC_BP), SET(ENTRY_INSN_LENGTH, 16) } },
	{ "injection of a privileged software exception of 16 bytes", RULE_LENGTH, FAILS_7,
	  .changes = { INFO(INTR_TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, EXC_DB),
		       SET(ENTRY_INSN_LENGTH, 16) } },
	{ "nothing is checked when the event is not valid",
	  "... if the valid bit (bit 31) in the VM-entry interruption-information field is 1",
	  ENTERS,
	  .changes = { SET(ENTRY_INTR_INFO, 0x7fffffff), SET(ENTRY_ERROR_CODE, ~0ULL),
		       SET(ENTRY_INSN_LENGTH, 16) } },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases);
}

static void run(void)
{
	entry_cases_run(cases, ARRAY_SIZE(cases));
}

const struct suite injection_suite = { count, run };
