/*
 * Every way in which a VMX instruction fails by VMfailInvalid or VMfailValid, or refuses its
 * operand's value.
 *
 * Not here, because no platform agrees with another: VMCALL in root operation with a current VMCS.
 * QUIRK(bochs-2.7): it is taken as a call to an SMM monitor, and with a clear VMCS Bochs panics.
 */
#include "guests/vmx-insn/insn_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define TOO_WIDE      BIT(62) /* beyond any physical-address width */
#define MISALIGNED    8
#define NO_FIELD      0x7ffeU
#define NO_FIELD_WIDE (BIT(32) | PLAIN_FIELD)
#define NO_FIELD_HIGH (PLAIN_FIELD | VMCS_HIGH) /* only 64-bit fields have a high half */
#define NONCANONICAL  BIT(47)

CODE(moss_vmlaunch, 64, "mov %ss, %ebx\n\tmov %ebx, %ss\n\tvmlaunch" END_EXCURSION);
CODE(moss_vmresume, 64, "mov %ss, %ebx\n\tmov %ebx, %ss\n\tvmresume" END_EXCURSION);

static struct vmx_region wrong_revision = { .revision = 0x12345678 };
static u64 to_wrong_revision = (u64)&wrong_revision;
static u64 vmxon_misaligned = (u64)&inner_vmxon + MISALIGNED;
static u64 other_misaligned = (u64)&inner_other_vmcs + MISALIGNED;
static u64 vmxon_too_wide = (u64)&inner_vmxon + TOO_WIDE;
static u64 other_too_wide = (u64)&inner_other_vmcs + TOO_WIDE;
static u64 eptp_wrong_type[2] = { EPTP_WALK_4 | 1 };
static u64 eptp_wrong_length[2] = { 0x8 | MEMTYPE_WB };
static u64 eptp_reserved[2] = { EPTP_WALK_4 | MEMTYPE_WB | BIT(8) };
static u64 eptp_too_wide[2] = { TOO_WIDE | EPTP_WALK_4 | MEMTYPE_WB };
static struct vmx_memory_operand vpid_zero = { 0, 0 };
static struct vmx_memory_operand vpid_reserved = { 0x10001, 0 };
static struct vmx_memory_operand vpid_noncanonical = { 1, NONCANONICAL };

static u64 saved_cr0;

static void clear_ne(void)
{
	saved_cr0 = read_cr0();
	write_cr0(saved_cr0 & ~CR0_NE);
}

static void restore_cr0(const struct exception_frame *end)
{
	(void)end;
	write_cr0(saved_cr0);
}

static void set_shadow_revision(void)
{
	inner_vmxon.revision |= BIT32(31);
}

static void spoil_controls(void)
{
	vmx_set(VMCS_CR3_TARGET_COUNT, 256);
}

static void spoil_host(void)
{
	vmx_set(VMCS_HOST_CS_SELECTOR, 0);
}

static void spoil_both(void)
{
	spoil_controls();
	spoil_host();
}

#define RULE_POINTER                                                                    \
	"IF addr is not 4KB-aligned or addr sets any bits beyond the physical-address " \
	"width THEN "
#define RULE_NO_VMCS "ELSIF current-VMCS pointer is not valid THEN VMfailInvalid"
#define RULE_VMFAIL                                                                    \
	"VMfail(ErrorNumber): IF VMCS pointer is valid THEN VMfailValid(ErrorNumber) " \
	"ELSE VMfailInvalid"

static const struct insn_case before_vmxon[] = {
	{ "VMXON of a misaligned region", RULE_POINTER "VMfailInvalid", code_vmxon, FAIL_INVALID,
	  .state = STATE_ENABLED, .rdi = (u64)&vmxon_misaligned },
	{ "VMXON of a region beyond the physical-address width", RULE_POINTER "VMfailInvalid",
	  code_vmxon, FAIL_INVALID, .state = STATE_ENABLED, .rdi = (u64)&vmxon_too_wide },
	{ "VMXON of a region with a wrong revision",
	  "IF rev[30:0] != VMCS revision identifier supported by processor THEN VMfailInvalid",
	  code_vmxon, FAIL_INVALID, .state = STATE_ENABLED, .rdi = (u64)&to_wrong_revision },
	{ "VMXON of a region with bit 31 of the revision set",
	  "IF rev[30:0] != VMCS revision identifier supported by processor OR rev[31] = 1 THEN "
	  "VMfailInvalid",
	  code_vmxon, FAIL_INVALID, .state = STATE_ENABLED, .rdi = (u64)&operand_vmxon,
	  .prepare = set_shadow_revision },
	{ "VMXON with CR0.NE = 0",
	  "(bit in CR0 of the value that VMX operation does not support) THEN #GP(0)", code_vmxon,
	  FAULTS(EXC_GP, 0), .state = STATE_ENABLED, .rdi = (u64)&operand_vmxon,
	  .prepare = clear_ne, .finish = restore_cr0 },
};

static const struct insn_case without_vmcs[] = {
	{ "VMXON in root operation without a VMCS", RULE_VMFAIL, code_vmxon, FAIL_INVALID,
	  .state = STATE_ROOT, .rdi = (u64)&operand_vmxon },
	{ "VMCLEAR of a misaligned VMCS without a VMCS", RULE_VMFAIL, code_vmclear, FAIL_INVALID,
	  .state = STATE_ROOT, .rdi = (u64)&other_misaligned },
	{ "VMCLEAR of the VMXON region without a VMCS", RULE_VMFAIL, code_vmclear, FAIL_INVALID,
	  .state = STATE_ROOT, .rdi = (u64)&operand_vmxon },
	{ "VMPTRLD of a misaligned VMCS without a VMCS", RULE_VMFAIL, code_vmptrld, FAIL_INVALID,
	  .state = STATE_ROOT, .rdi = (u64)&other_misaligned },
	{ "VMPTRLD of the VMXON region without a VMCS", RULE_VMFAIL, code_vmptrld, FAIL_INVALID,
	  .state = STATE_ROOT, .rdi = (u64)&operand_vmxon },
	{ "VMPTRLD of a wrong revision without a VMCS", RULE_VMFAIL, code_vmptrld, FAIL_INVALID,
	  .state = STATE_ROOT, .rdi = (u64)&to_wrong_revision },
	{ "VMREAD without a VMCS", RULE_NO_VMCS, code_vmread, FAIL_INVALID, .state = STATE_ROOT,
	  .rax = PLAIN_FIELD },
	{ "VMREAD of no field without a VMCS", RULE_NO_VMCS, code_vmread, FAIL_INVALID,
	  .state = STATE_ROOT, .rax = NO_FIELD },
	{ "VMWRITE without a VMCS", RULE_NO_VMCS, code_vmwrite, FAIL_INVALID, .state = STATE_ROOT,
	  .rax = PLAIN_FIELD },
	{ "VMWRITE of no field without a VMCS", RULE_NO_VMCS, code_vmwrite, FAIL_INVALID,
	  .state = STATE_ROOT, .rax = NO_FIELD },
	{ "VMLAUNCH without a VMCS", RULE_NO_VMCS, code_vmlaunch, FAIL_INVALID,
	  .state = STATE_ROOT },
	{ "VMRESUME without a VMCS", RULE_NO_VMCS, code_vmresume, FAIL_INVALID,
	  .state = STATE_ROOT },
	{ "VMLAUNCH after MOV SS without a VMCS", RULE_NO_VMCS, moss_vmlaunch, FAIL_INVALID,
	  .state = STATE_ROOT },
	{ "VMCALL in root operation without a VMCS", RULE_VMFAIL, code_vmcall, FAIL_INVALID,
	  .state = STATE_ROOT },
	{ "INVVPID of no type without a VMCS", RULE_VMFAIL, code_invvpid, FAIL_INVALID,
	  .state = STATE_ROOT, .rcx = 4, .rdi = (u64)&operand_invvpid },
};

static const struct insn_case with_vmcs[] = {
	{ "VMXON in root operation", "ELSE VMfail(VMXON executed in VMX root operation)",
	  code_vmxon, FAIL_VALID(VMXERR_VMXON_IN_ROOT), .state = STATE_CURRENT,
	  .rdi = (u64)&operand_vmxon },
	{ "VMCLEAR of a misaligned VMCS",
	  RULE_POINTER "VMfail(VMCLEAR with invalid physical address)", code_vmclear,
	  FAIL_VALID(VMXERR_VMCLEAR_ADDRESS), .state = STATE_CURRENT,
	  .rdi = (u64)&other_misaligned },
	{ "VMCLEAR of a VMCS beyond the physical-address width",
	  RULE_POINTER "VMfail(VMCLEAR with invalid physical address)", code_vmclear,
	  FAIL_VALID(VMXERR_VMCLEAR_ADDRESS), .state = STATE_CURRENT, .rdi = (u64)&other_too_wide },
	{ "VMCLEAR of the VMXON region",
	  "ELSIF addr = VMXON pointer THEN VMfail(VMCLEAR with VMXON pointer)", code_vmclear,
	  FAIL_VALID(VMXERR_VMCLEAR_VMXON_POINTER), .state = STATE_CURRENT,
	  .rdi = (u64)&operand_vmxon },
	{ "VMPTRLD of a misaligned VMCS",
	  RULE_POINTER "VMfail(VMPTRLD with invalid physical address)", code_vmptrld,
	  FAIL_VALID(VMXERR_VMPTRLD_ADDRESS), .state = STATE_CURRENT,
	  .rdi = (u64)&other_misaligned },
	{ "VMPTRLD of a VMCS beyond the physical-address width",
	  RULE_POINTER "VMfail(VMPTRLD with invalid physical address)", code_vmptrld,
	  FAIL_VALID(VMXERR_VMPTRLD_ADDRESS), .state = STATE_CURRENT, .rdi = (u64)&other_too_wide },
	{ "VMPTRLD of the VMXON region",
	  "ELSIF addr = VMXON pointer THEN VMfail(VMPTRLD with VMXON pointer)", code_vmptrld,
	  FAIL_VALID(VMXERR_VMPTRLD_VMXON_POINTER), .state = STATE_CURRENT,
	  .rdi = (u64)&operand_vmxon },
	{ "VMPTRLD of a wrong revision",
	  "IF rev[30:0] != VMCS revision identifier supported by processor THEN VMfail(VMPTRLD "
	  "with incorrect VMCS revision identifier)",
	  code_vmptrld, FAIL_VALID(VMXERR_VMPTRLD_REVISION), .state = STATE_CURRENT,
	  .rdi = (u64)&to_wrong_revision },
	{ "VMREAD of no field",
	  "ELSIF source operand does not correspond to any VMCS field THEN VMfail(VMREAD/VMWRITE "
	  "from/to unsupported VMCS component)",
	  code_vmread, FAIL_VALID(VMXERR_FIELD_UNSUPPORTED), .state = STATE_CURRENT,
	  .rax = NO_FIELD },
	{ "VMREAD of a field number wider than 32 bits",
	  "In 64-bit mode, the instruction fails if any of bits 63:32 of the source operand are 1",
	  code_vmread, FAIL_VALID(VMXERR_FIELD_UNSUPPORTED), .state = STATE_CURRENT,
	  .rax = NO_FIELD_WIDE },
	{ "VMREAD of the high half of a natural-width field",
	  "access type (0 = full; 1 = high): must be full for 16-bit, 32-bit, and natural-width "
	  "fields",
	  code_vmread, FAIL_VALID(VMXERR_FIELD_UNSUPPORTED), .state = STATE_CURRENT,
	  .rax = NO_FIELD_HIGH },
	{ "VMREAD of a field number with a reserved bit",
	  "Field encoding bits 31:15 and 12 are reserved (must be 0)", code_vmread,
	  FAIL_VALID(VMXERR_FIELD_UNSUPPORTED), .state = STATE_CURRENT,
	  .rax = PLAIN_FIELD | BIT(12) },
	{ "VMWRITE of no field",
	  "ELSIF register destination operand does not correspond to any VMCS field THEN "
	  "VMfail(VMREAD/VMWRITE from/to unsupported VMCS component)",
	  code_vmwrite, FAIL_VALID(VMXERR_FIELD_UNSUPPORTED), .state = STATE_CURRENT,
	  .rax = NO_FIELD },
	{ "VMWRITE of a field number wider than 32 bits",
	  "In 64-bit mode, the instruction fails if any of bits 63:32 of the destination operand "
	  "are 1",
	  code_vmwrite, FAIL_VALID(VMXERR_FIELD_UNSUPPORTED), .state = STATE_CURRENT,
	  .rax = NO_FIELD_WIDE },
	{ "VMWRITE of the high half of a natural-width field",
	  "access type (0 = full; 1 = high): must be full for 16-bit, 32-bit, and natural-width "
	  "fields",
	  code_vmwrite, FAIL_VALID(VMXERR_FIELD_UNSUPPORTED), .state = STATE_CURRENT,
	  .rax = NO_FIELD_HIGH },
	{ "VMLAUNCH of a launched VMCS",
	  "ELSIF (VMLAUNCH and launch state of current VMCS is not \"clear\") THEN "
	  "VMfailValid(VMLAUNCH with non-clear VMCS)",
	  code_vmlaunch, FAIL_VALID(VMXERR_VMLAUNCH_NOT_CLEAR), .state = STATE_LAUNCHED },
	{ "VMRESUME of a clear VMCS",
	  "ELSIF (VMRESUME and launch state of current VMCS is not \"launched\") THEN "
	  "VMfailValid(VMRESUME with non-launched VMCS)",
	  code_vmresume, FAIL_VALID(VMXERR_VMRESUME_NOT_LAUNCHED), .state = STATE_CURRENT },
	{ "VMLAUNCH after MOV SS",
	  "ELSIF events are being blocked by MOV SS THEN VMfailValid(VM entry with events blocked "
	  "by MOV SS)",
	  moss_vmlaunch, FAIL_VALID(VMXERR_ENTRY_MOV_SS), .state = STATE_CURRENT },
	{ "VMRESUME after MOV SS",
	  "ELSIF events are being blocked by MOV SS THEN VMfailValid(VM entry with events blocked "
	  "by MOV SS)",
	  moss_vmresume, FAIL_VALID(VMXERR_ENTRY_MOV_SS), .state = STATE_LAUNCHED },
	{ "VMRESUME of a clear VMCS after MOV SS",
	  "blocking by MOV SS comes before the launch state", moss_vmresume,
	  FAIL_VALID(VMXERR_ENTRY_MOV_SS), .state = STATE_CURRENT },
	{ "VMLAUNCH with an invalid control",
	  "IF invalid settings THEN VMfailValid(VM entry with invalid VMX-control field(s))",
	  code_vmlaunch, FAIL_VALID(VMXERR_ENTRY_CONTROLS), .state = STATE_CURRENT,
	  .prepare = spoil_controls },
	{ "VMRESUME with an invalid control",
	  "IF invalid settings THEN VMfailValid(VM entry with invalid VMX-control field(s))",
	  code_vmresume, FAIL_VALID(VMXERR_ENTRY_CONTROLS), .state = STATE_LAUNCHED,
	  .prepare = spoil_controls },
	{ "VMLAUNCH with invalid host state",
	  "IF invalid settings THEN VMfailValid(VM entry with invalid host-state field(s))",
	  code_vmlaunch, FAIL_VALID(VMXERR_ENTRY_HOST_STATE), .state = STATE_CURRENT,
	  .prepare = spoil_host },
	{ "VMRESUME with invalid host state",
	  "IF invalid settings THEN VMfailValid(VM entry with invalid host-state field(s))",
	  code_vmresume, FAIL_VALID(VMXERR_ENTRY_HOST_STATE), .state = STATE_LAUNCHED,
	  .prepare = spoil_host },
	{ "VMLAUNCH of a launched VMCS with invalid controls",
	  "the launch state is tested before the VMX controls", code_vmlaunch,
	  FAIL_VALID(VMXERR_VMLAUNCH_NOT_CLEAR), .state = STATE_LAUNCHED, .prepare = spoil_both },
	{ "VMLAUNCH with invalid controls and host state",
	  "SDM checks VMX controls before the host-state area", code_vmlaunch,
	  FAIL_VALID(VMXERR_ENTRY_CONTROLS), .state = STATE_CURRENT, .prepare = spoil_both },
};

#define RULE_INVEPT                                                                            \
	"IF VM entry with the \"enable EPT\" VM execution control set to 1 would fail due to " \
	"the EPTP value THEN VMfail(Invalid operand to INVEPT/INVVPID)"
#define RULE_TYPE                               \
	"IF INVEPT_TYPE is not supported THEN " \
	"VMfail(Invalid operand to INVEPT/INVVPID)"
#define RULE_VPID                             \
	"IF INVVPID_DESC[15:0] = 0000H THEN " \
	"VMfail(Invalid operand to INVEPT/INVVPID)"
#define RULE_DESC       "IF INVVPID_DESC[63:16] != 0 THEN VMfail(Invalid operand to INVEPT/INVVPID)"
#define INVALID_OPERAND FAIL_VALID(VMXERR_INVALIDATE_OPERAND)

static const struct insn_case invept_failures[] = {
	{ "INVEPT of no type without a VMCS", RULE_VMFAIL, code_invept, FAIL_INVALID,
	  .state = STATE_ROOT, .rcx = 3, .rdi = (u64)&operand_invept },
	{ "INVEPT of type 0", RULE_TYPE, code_invept, INVALID_OPERAND, .state = STATE_CURRENT,
	  .rcx = 0, .rdi = (u64)&operand_invept },
	{ "INVEPT of type 3", RULE_TYPE, code_invept, INVALID_OPERAND, .state = STATE_CURRENT,
	  .rcx = 3, .rdi = (u64)&operand_invept },
	{ "INVEPT of one EPTP with a wrong memory type", RULE_INVEPT, code_invept, INVALID_OPERAND,
	  .state = STATE_CURRENT, .rcx = INVEPT_SINGLE, .rdi = (u64)eptp_wrong_type },
	{ "INVEPT of one EPTP with a wrong walk length", RULE_INVEPT, code_invept, INVALID_OPERAND,
	  .state = STATE_CURRENT, .rcx = INVEPT_SINGLE, .rdi = (u64)eptp_wrong_length },
	{ "INVEPT of one EPTP with a reserved bit", RULE_INVEPT, code_invept, INVALID_OPERAND,
	  .state = STATE_CURRENT, .rcx = INVEPT_SINGLE, .rdi = (u64)eptp_reserved },
	{ "INVEPT of one EPTP beyond the physical-address width", RULE_INVEPT, code_invept,
	  INVALID_OPERAND, .state = STATE_CURRENT, .rcx = INVEPT_SINGLE,
	  .rdi = (u64)eptp_too_wide },
};

static const struct insn_case invvpid_failures[] = {
	{ "INVVPID of type 4", RULE_TYPE, code_invvpid, INVALID_OPERAND, .state = STATE_CURRENT,
	  .rcx = 4, .rdi = (u64)&operand_invvpid },
	{ "INVVPID of an address with VPID 0", RULE_VPID, code_invvpid, INVALID_OPERAND,
	  .state = STATE_CURRENT, .rcx = INVVPID_ADDRESS, .rdi = (u64)&vpid_zero },
	{ "INVVPID of one context with VPID 0", RULE_VPID, code_invvpid, INVALID_OPERAND,
	  .state = STATE_CURRENT, .rcx = INVVPID_SINGLE, .rdi = (u64)&vpid_zero },
	{ "INVVPID of one context but globals with VPID 0", RULE_VPID, code_invvpid,
	  INVALID_OPERAND, .state = STATE_CURRENT, .rcx = INVVPID_SINGLE_KEEP_GLOBAL,
	  .rdi = (u64)&vpid_zero },
	{ "INVVPID of an address with a reserved bit", RULE_DESC, code_invvpid, INVALID_OPERAND,
	  .state = STATE_CURRENT, .rcx = INVVPID_ADDRESS, .rdi = (u64)&vpid_reserved },
	{ "INVVPID of one context with a reserved bit", RULE_DESC, code_invvpid, INVALID_OPERAND,
	  .state = STATE_CURRENT, .rcx = INVVPID_SINGLE, .rdi = (u64)&vpid_reserved },
	{ "INVVPID of all contexts with a reserved bit", RULE_DESC, code_invvpid, INVALID_OPERAND,
	  .state = STATE_CURRENT, .rcx = INVVPID_ALL, .rdi = (u64)&vpid_reserved },
	{ "INVVPID of an address that is not canonical",
	  "IF GLA is not in a canonical form THEN VMfail(Invalid operand to INVEPT/INVVPID)",
	  code_invvpid, INVALID_OPERAND, .state = STATE_CURRENT, .rcx = INVVPID_ADDRESS,
	  .rdi = (u64)&vpid_noncanonical },
};

static u32 failures_count(void)
{
	return ARRAY_SIZE(before_vmxon) + ARRAY_SIZE(without_vmcs) + ARRAY_SIZE(with_vmcs) +
	       ARRAY_SIZE(invvpid_failures) + (inner_with_ept() ? ARRAY_SIZE(invept_failures) : 0);
}

static void failures_run(void)
{
	insn_cases_run(before_vmxon, ARRAY_SIZE(before_vmxon));
	insn_cases_run(without_vmcs, ARRAY_SIZE(without_vmcs));
	insn_cases_run(with_vmcs, ARRAY_SIZE(with_vmcs));
	insn_cases_run(invvpid_failures, ARRAY_SIZE(invvpid_failures));
	if (inner_with_ept())
		insn_cases_run(invept_failures, ARRAY_SIZE(invept_failures));
}

const struct suite failures_suite = { failures_count, failures_run };
