/*
 * VMX instructions of the inner guest: all of them exit, at any CPL, before their own checks, and
 * describe their operands. SDM 3C "Information for VM Exits Due to Instruction Execution" (28.2.5).
 */
#include "guests/vmx-exit/exit_case.h"

CODE(v_vmxon, 64, "vmxon 0x10(%rdi, %rcx, 2)" INNER_DONE);
CODE(v_vmclear, 64, "vmclear -0x8(%rdi)" INNER_DONE);
CODE(v_vmptrld, 64, "vmptrld (%r8, %r10, 8)" INNER_DONE);
CODE(v_vmptrst, 64, "vmptrst 0x1000(%rbx, %rsi, 4)" INNER_DONE);
CODE(v_vmptrst_rsp, 64, "vmptrst 0x20(%rsp)" INNER_DONE);
CODE(v_vmptrst_fs, 64, "vmptrst %fs:0x123(%rdi)" INNER_DONE);
CODE(v_vmptrst_rip, 64, "vmptrst vmx_insns_word(%rip)" INNER_DONE);
CODE(v_vmptrst_disp, 64, "vmptrst vmx_insns_word" INNER_DONE);
CODE(v_vmptrst_32, 64, "vmptrst 0x10(%edi, %ecx)" INNER_DONE);
CODE(v_vmread, 64, "vmread %rax, %r10" INNER_DONE);
CODE(v_vmread_memory, 64, "vmread %r9, 0x7f(%rbp)" INNER_DONE);
CODE(v_vmwrite, 64, "vmwrite %rsi, %rbx" INNER_DONE);
CODE(v_vmwrite_memory, 64, "vmwrite %gs:(%rdi), %rdx" INNER_DONE);
CODE(v_vmlaunch, 64, "vmlaunch" INNER_DONE);
CODE(v_vmresume, 64, "vmresume" INNER_DONE);
CODE(v_vmxoff, 64, "vmxoff" INNER_DONE);
CODE(v_invept, 64, "invept (%rdi), %r8" INNER_DONE);
CODE(v_invvpid, 64, "invvpid 0x18(%rdi, %rcx), %rax" INNER_DONE);
CODE(v_vmfunc, 64, "vmfunc" INNER_DONE);

extern u64 vmx_insns_word;
u64 vmx_insns_word;
#define WORD ((u64)&vmx_insns_word)

#define DS_64       (INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS))
#define RULE_ALWAYS "VMX instructions cause VM exits in VMX non-root operation unconditionally"
#define RULE_INFO                                                                               \
	"The VM-exit instruction-information field gives scale, address size, segment, index, " \
	"base and registers; the exit qualification gives the displacement"
#define RULE_RIP                                                                                   \
	"For RIP-relative operands the qualification is the displacement plus the address of the " \
	"next instruction"

static const struct exit_case cases[] = {
	{ "VMXON exits", RULE_INFO, v_vmxon, .reason = VMX_EXIT_VMXON, .length = 6,
	  .qualification = 0x10, .info = INFO_SCALE(1) | DS_64 | INFO_INDEX(R_CX) | INFO_BASE(R_DI),
	  .info_mask = MASK_FULL },
	{ "VMCLEAR exits", RULE_INFO, v_vmclear, .reason = VMX_EXIT_VMCLEAR, .length = 5,
	  .qualification = -8UL, .info = DS_64 | INFO_NO_INDEX | INFO_BASE(R_DI),
	  .info_mask = MASK_NO_INDEX },
	{ "VMPTRLD exits", RULE_INFO, v_vmptrld, .reason = VMX_EXIT_VMPTRLD, .length = 5,
	  .info = INFO_SCALE(3) | DS_64 | INFO_INDEX(R_10) | INFO_BASE(R_8),
	  .info_mask = MASK_FULL },
	{ "VMPTRST exits", RULE_INFO, v_vmptrst, .reason = VMX_EXIT_VMPTRST, .length = 8,
	  .qualification = 0x1000,
	  .info = INFO_SCALE(2) | DS_64 | INFO_INDEX(R_SI) | INFO_BASE(R_BX),
	  .info_mask = MASK_FULL },
	{ "VMPTRST by RSP exits", RULE_INFO, v_vmptrst_rsp, .reason = VMX_EXIT_VMPTRST, .length = 5,
	  .qualification = 0x20,
	  .info = INFO_ADDRESS_64 | INFO_SEGMENT(SEG_SS) | INFO_NO_INDEX | INFO_BASE(R_SP),
	  .info_mask = MASK_NO_INDEX },
	{ "VMPTRST by FS exits", RULE_INFO, v_vmptrst_fs, .reason = VMX_EXIT_VMPTRST, .length = 8,
	  .qualification = 0x123,
	  .info = INFO_ADDRESS_64 | INFO_SEGMENT(SEG_FS) | INFO_NO_INDEX | INFO_BASE(R_DI),
	  .info_mask = MASK_NO_INDEX },
	{ "VMPTRST to a RIP-relative address exits", RULE_RIP, v_vmptrst_rip,
	  .reason = VMX_EXIT_VMPTRST, .length = 7, .qualification = WORD, .info = DS_64,
	  .info_mask = MASK_SEGMENT },
	{ "VMPTRST to a displacement exits", RULE_INFO, v_vmptrst_disp, .reason = VMX_EXIT_VMPTRST,
	  .length = 8, .qualification = WORD, .info = DS_64 | INFO_NO_INDEX | INFO_NO_BASE,
	  .info_mask = MASK_NO_BASE },
	{ "VMPTRST with 32-bit addressing exits", RULE_INFO, v_vmptrst_32,
	  .reason = VMX_EXIT_VMPTRST, .length = 6, .qualification = 0x10,
	  .info = INFO_ADDRESS_32 | INFO_SEGMENT(SEG_DS) | INFO_INDEX(R_CX) | INFO_BASE(R_DI),
	  .info_mask = MASK_FULL },
	{ "VMREAD to a register exits", RULE_INFO, v_vmread, .reason = VMX_EXIT_VMREAD, .length = 4,
	  .info = INFO_REGISTER | INFO_REG1(R_10) | INFO_REG2(R_AX),
	  .info_mask = MASK_REGISTER | MASK_REG2 },
	{ "VMREAD to memory exits", RULE_INFO, v_vmread_memory, .reason = VMX_EXIT_VMREAD,
	  .length = 5, .qualification = 0x7f,
	  .info = INFO_ADDRESS_64 | INFO_SEGMENT(SEG_SS) | INFO_NO_INDEX | INFO_BASE(R_BP) |
		  INFO_REG2(R_9),
	  .info_mask = MASK_NO_INDEX | MASK_REG2 },
	{ "VMWRITE from a register exits", RULE_INFO, v_vmwrite, .reason = VMX_EXIT_VMWRITE,
	  .length = 3, .info = INFO_REGISTER | INFO_REG1(R_SI) | INFO_REG2(R_BX),
	  .info_mask = MASK_REGISTER | MASK_REG2 },
	{ "VMWRITE from memory exits", RULE_INFO, v_vmwrite_memory, .reason = VMX_EXIT_VMWRITE,
	  .length = 4,
	  .info = INFO_ADDRESS_64 | INFO_SEGMENT(SEG_GS) | INFO_NO_INDEX | INFO_BASE(R_DI) |
		  INFO_REG2(R_DX),
	  .info_mask = MASK_NO_INDEX | MASK_REG2 },
	{ "VMLAUNCH exits", RULE_ALWAYS, v_vmlaunch, .reason = VMX_EXIT_VMLAUNCH, .length = 3 },
	{ "VMRESUME exits", RULE_ALWAYS, v_vmresume, .reason = VMX_EXIT_VMRESUME, .length = 3 },
	{ "VMXOFF exits", RULE_ALWAYS, v_vmxoff, .reason = VMX_EXIT_VMXOFF, .length = 3 },
	{ "VMREAD at CPL 3 exits", "ELSIF in VMX non-root operation THEN VM exit, before CPL > 0",
	  v_vmread, .reason = VMX_EXIT_VMREAD, .length = 4, .user = true,
	  .info = INFO_REGISTER | INFO_REG1(R_10) | INFO_REG2(R_AX),
	  .info_mask = MASK_REGISTER | MASK_REG2 },
	{ "VMXOFF at CPL 3 exits", "ELSIF in VMX non-root operation THEN VM exit, before CPL > 0",
	  v_vmxoff, .reason = VMX_EXIT_VMXOFF, .length = 3, .user = true },
	{ "INVVPID exits", RULE_INFO, v_invvpid, .reason = VMX_EXIT_INVVPID, .length = 7,
	  .qualification = 0x18,
	  .info = DS_64 | INFO_INDEX(R_CX) | INFO_BASE(R_DI) | INFO_REG2(R_AX),
	  .info_mask = MASK_FULL | MASK_REG2 },
	{ "VMFUNC is #UD", "If the \"enable VM functions\" control is 0, VMFUNC causes #UD",
	  v_vmfunc, RAISES_UD },
};

static const struct exit_case ept_cases[] = {
	{ "INVEPT exits", RULE_INFO, v_invept, .reason = VMX_EXIT_INVEPT, .length = 6,
	  .info = DS_64 | INFO_NO_INDEX | INFO_BASE(R_DI) | INFO_REG2(R_8),
	  .info_mask = MASK_NO_INDEX | MASK_REG2 },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases) + (inner_with_ept() ? ARRAY_SIZE(ept_cases) : 0);
}

static void run(void)
{
	exit_cases_run(cases, ARRAY_SIZE(cases));
	if (inner_with_ept())
		exit_cases_run(ept_cases, ARRAY_SIZE(ept_cases));
}

const struct suite vmx_insns_suite = { count, run };
