/*
 * Accesses to GDTR, IDTR, LDTR and TR by their eight intercepts. APM 2 "Instruction Intercepts"
 * (15.9).
 */
#include "guests/svm-exit/exit_case.h"
#include "guests/lib/segments.h"

CODE(t_sgdt, 64, "sgdt 0x10(%rdi)" SVM_INNER_DONE);
CODE(t_sidt, 64, "sidt (%rdi, %rcx, 8)" SVM_INNER_DONE);
CODE(t_lgdt, 64, "lgdt -0x10(%rdi)" SVM_INNER_DONE);
CODE(t_lidt, 64, "lidt (%rdi)" SVM_INNER_DONE);
CODE(t_sldt, 64, "sldt %ebx" SVM_INNER_DONE);
CODE(t_sldt_memory, 64, "sldt 0x20(%rdi)" SVM_INNER_DONE);
CODE(t_str, 64, "str %r9d" SVM_INNER_DONE);
CODE(t_lldt, 64, "lldt %si" SVM_INNER_DONE);
CODE(t_lldt_memory, 64, "lldt (%rdi)" SVM_INNER_DONE);
CODE(t_ltr, 64, "ltr %ax" SVM_INNER_DONE);

static u8 buffer[PAGE_SIZE] __attribute__((aligned(4096)));
#define MIDDLE ((u64)buffer + 0x800)

#define BY(name) .intercept1 = INTERCEPT1_##name, .exit = SVM_EXIT_##name
#define OTHERS(name)                                                                        \
	.intercept1 = (INTERCEPT1_IDTR_READ | INTERCEPT1_GDTR_READ | INTERCEPT1_LDTR_READ | \
		       INTERCEPT1_TR_READ | INTERCEPT1_IDTR_WRITE | INTERCEPT1_GDTR_WRITE | \
		       INTERCEPT1_LDTR_WRITE | INTERCEPT1_TR_WRITE) &                       \
		      ~INTERCEPT1_##name
#define RULE_READ  "Intercept reads of IDTR, GDTR, LDTR, TR: a bit each"
#define RULE_WRITE "Intercept writes of IDTR, GDTR, LDTR, TR: a bit each"
#define RULE_FIRST "Checks non-memory exceptions (#GP) before the intercept"

static const struct exit_case cases[] = {
	{ "SGDT exits", RULE_READ, t_sgdt, BY(GDTR_READ), .length = 4, .rdi = MIDDLE },
	{ "SIDT exits", RULE_READ, t_sidt, BY(IDTR_READ), .length = 4, .rdi = MIDDLE },
	{ "LGDT exits", RULE_WRITE, t_lgdt, BY(GDTR_WRITE), .length = 4, .rdi = MIDDLE },
	{ "LIDT exits", RULE_WRITE, t_lidt, BY(IDTR_WRITE), .length = 3, .rdi = MIDDLE },
	{ "SGDT at CPL 3 exits", RULE_READ, t_sgdt, BY(GDTR_READ), .length = 4, .rdi = MIDDLE,
	  .user = true },
	{ "SLDT to a register exits", RULE_READ, t_sldt, BY(LDTR_READ), .length = 3 },
	{ "SLDT to memory exits", RULE_READ, t_sldt_memory, BY(LDTR_READ), .length = 4,
	  .rdi = MIDDLE },
	{ "STR exits", RULE_READ, t_str, BY(TR_READ), .length = 4 },
	{ "LLDT exits", RULE_WRITE, t_lldt, BY(LDTR_WRITE), .length = 3 },
	{ "LLDT from memory exits", RULE_WRITE, t_lldt_memory, BY(LDTR_WRITE), .length = 3,
	  .rdi = MIDDLE },
	{ "LTR exits", RULE_WRITE, t_ltr, BY(TR_WRITE), .length = 3, .rax = SEL_TSS },
	{ "SGDT does not exit by other intercepts", RULE_READ, t_sgdt, OTHERS(GDTR_READ), NO_EXIT,
	  .rdi = MIDDLE },
	{ "SIDT does not exit by other intercepts", RULE_READ, t_sidt, OTHERS(IDTR_READ), NO_EXIT,
	  .rdi = MIDDLE },
	{ "STR does not exit by other intercepts", RULE_READ, t_str, OTHERS(TR_READ), NO_EXIT },
	{ "SLDT does not exit by other intercepts", RULE_READ, t_sldt, OTHERS(LDTR_READ), NO_EXIT },
	{ "LLDT of nothing does not exit by other intercepts", RULE_WRITE, t_lldt,
	  OTHERS(LDTR_WRITE), NO_EXIT },
	{ "LGDT at CPL 3 is #GP", RULE_FIRST, t_lgdt, RAISES_GP,
	  .intercept1 = INTERCEPT1_GDTR_WRITE, .rdi = MIDDLE, .user = true },
	{ "LTR at CPL 3 is #GP", RULE_FIRST, t_ltr, RAISES_GP, .intercept1 = INTERCEPT1_TR_WRITE,
	  .user = true },
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
