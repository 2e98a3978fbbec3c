/*
 * Accesses to GDTR, IDTR, LDTR and TR by descriptor-table exiting. SDM 3C "Format of the VM-Exit
 * Instruction-Information Field as Used for LIDT, LGDT, SIDT, or SGDT" (table 28-10) and "... for
 * LLDT, LTR, SLDT, and STR" (table 28-11).
 */
#include "guests/vmx-exit/exit_case.h"
#include "guests/lib/segments.h"

#define IDENTITY(n)   ((u32)(n) << 28)
#define MASK_IDENTITY IDENTITY(3)
#define DS_64         (INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS))

CODE(t_sgdt, 64, "sgdt 0x10(%rdi)" INNER_DONE);
CODE(t_sidt, 64, "sidt (%rdi, %rcx, 8)" INNER_DONE);
CODE(t_lgdt, 64, "lgdt -0x10(%rdi)" INNER_DONE);
CODE(t_lidt, 64, "lidt (%rdi)" INNER_DONE);
CODE(t_sldt, 64, "sldt %ebx" INNER_DONE);
CODE(t_sldt_memory, 64, "sldt 0x20(%rdi)" INNER_DONE);
CODE(t_str, 64, "str %r9d" INNER_DONE);
CODE(t_lldt, 64, "lldt %si" INNER_DONE);
CODE(t_ltr, 64, "ltr %ax" INNER_DONE);
CODE(t_lldt_memory, 64, "lldt (%rdi)" INNER_DONE);

static u8 buffer[PAGE_SIZE] __attribute__((aligned(4096)));
#define MIDDLE ((u64)buffer + 0x800)

#define TABLES .more.proc2 = PROC2_DESCRIPTOR_TABLE
#define GI     .reason = VMX_EXIT_GDTR_IDTR
#define LT     .reason = VMX_EXIT_LDTR_TR
#define RULE_GI                                                                                   \
	"SGDT, SIDT, LGDT, LIDT (0 to 3 in bits 29:28) exit if the \"descriptor-table exiting\" " \
	"control is 1"
#define RULE_LT                                                                                 \
	"SLDT, STR, LLDT, LTR (0 to 3 in bits 29:28) exit if the \"descriptor-table exiting\" " \
	"control is 1"
#define RULE_NOT "... if the \"descriptor-table exiting\" control is 1"

static const struct exit_case cases[] = {
	{ "SGDT exits", RULE_GI, t_sgdt, TABLES, GI, .length = 4, .rdi = MIDDLE,
	  .qualification = 0x10, .info = IDENTITY(0) | DS_64 | INFO_NO_INDEX | INFO_BASE(R_DI),
	  .info_mask = MASK_NO_INDEX | MASK_IDENTITY },
	{ "SIDT exits", RULE_GI, t_sidt, TABLES, GI, .length = 4, .rdi = MIDDLE,
	  .info = IDENTITY(1) | INFO_SCALE(3) | DS_64 | INFO_INDEX(R_CX) | INFO_BASE(R_DI),
	  .info_mask = MASK_FULL | MASK_IDENTITY },
	{ "LGDT exits", RULE_GI, t_lgdt, TABLES, GI, .length = 4, .rdi = MIDDLE,
	  .qualification = -0x10UL, .info = IDENTITY(2) | DS_64 | INFO_NO_INDEX | INFO_BASE(R_DI),
	  .info_mask = MASK_NO_INDEX | MASK_IDENTITY },
	{ "LIDT exits", RULE_GI, t_lidt, TABLES, GI, .length = 3, .rdi = MIDDLE,
	  .info = IDENTITY(3) | DS_64 | INFO_NO_INDEX | INFO_BASE(R_DI),
	  .info_mask = MASK_NO_INDEX | MASK_IDENTITY },
	{ "SGDT at CPL 3 exits", RULE_GI, t_sgdt, TABLES, GI, .length = 4, .rdi = MIDDLE,
	  .qualification = 0x10, .user = true },
	{ "SLDT to a register exits", RULE_LT, t_sldt, TABLES, LT, .length = 3,
	  .info = IDENTITY(0) | INFO_REGISTER | INFO_REG1(R_BX),
	  .info_mask = MASK_REGISTER | MASK_IDENTITY },
	{ "SLDT to memory exits", RULE_LT, t_sldt_memory, TABLES, LT, .length = 4, .rdi = MIDDLE,
	  .qualification = 0x20, .info = IDENTITY(0) | DS_64 | INFO_NO_INDEX | INFO_BASE(R_DI),
	  .info_mask = MASK_NO_INDEX | MASK_IDENTITY },
	{ "STR exits", RULE_LT, t_str, TABLES, LT, .length = 4,
	  .info = IDENTITY(1) | INFO_REGISTER | INFO_REG1(R_9),
	  .info_mask = MASK_REGISTER | MASK_IDENTITY },
	{ "LLDT exits", RULE_LT, t_lldt, TABLES, LT, .length = 3,
	  .info = IDENTITY(2) | INFO_REGISTER | INFO_REG1(R_SI),
	  .info_mask = MASK_REGISTER | MASK_IDENTITY },
	{ "LLDT from memory exits", RULE_LT, t_lldt_memory, TABLES, LT, .length = 3, .rdi = MIDDLE,
	  .info = IDENTITY(2) | DS_64 | INFO_NO_INDEX | INFO_BASE(R_DI),
	  .info_mask = MASK_NO_INDEX | MASK_IDENTITY },
	{ "LTR exits", RULE_LT, t_ltr, TABLES, LT, .length = 3, .rax = SEL_TSS,
	  .info = IDENTITY(3) | INFO_REGISTER | INFO_REG1(R_AX),
	  .info_mask = MASK_REGISTER | MASK_IDENTITY },
	{ "SGDT does not exit", RULE_NOT, t_sgdt, NO_EXIT, .rdi = MIDDLE },
	{ "STR does not exit", RULE_NOT, t_str, NO_EXIT },
	{ "LLDT of nothing does not exit", RULE_NOT, t_lldt, NO_EXIT },
	{ "LGDT at CPL 3 is #GP", "Faults based on privilege level come first", t_lgdt, TABLES,
	  RAISES_GP, .rdi = MIDDLE, .user = true },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases);
}

static void run(void)
{
	exit_cases_run(cases, ARRAY_SIZE(cases));
}

const struct suite tables_suite = { count, run };
