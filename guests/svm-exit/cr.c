/*
 * Control and debug registers: every read and write intercept, the selective intercept of CR0, and
 * what comes before. APM 2 "Instruction Intercepts" (15.9), "Decode Assists" (15.8.4).
 */
#include "guests/svm-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"

CODE(c_from_cr0, 64, "mov %cr0, %rbx" SVM_INNER_DONE);
CODE(c_from_cr2, 64, "mov %cr2, %r9" SVM_INNER_DONE);
CODE(c_from_cr3, 64, "mov %cr3, %rbx" SVM_INNER_DONE);
CODE(c_from_cr4, 64, "mov %cr4, %rax" SVM_INNER_DONE);
CODE(c_from_cr8, 64, "mov %cr8, %rbx" SVM_INNER_DONE);
CODE(c_to_cr0, 64, "mov %rsi, %cr0" SVM_INNER_DONE);
CODE(c_to_cr2, 64, "mov %r9, %cr2" SVM_INNER_DONE);
CODE(c_to_cr3, 64, "mov %rsi, %cr3" SVM_INNER_DONE);
CODE(c_to_cr4, 64, "mov %rsi, %cr4" SVM_INNER_DONE);
CODE(c_to_cr8, 64, "mov %rsi, %cr8" SVM_INNER_DONE);
CODE(c_clts, 64, "clts" SVM_INNER_DONE);
CODE(c_lmsw, 64, "lmsw %si" SVM_INNER_DONE);
CODE(c_lmsw_memory, 64, "lmsw (%rdi)" SVM_INNER_DONE);
CODE(c_smsw, 64, "smsw %ebx" SVM_INNER_DONE);
CODE(c_smsw_memory, 64, "smsw (%rdi)" SVM_INNER_DONE);

static u16 msw_operand = CR0_PE | CR0_MP;

static void same_cr0(void)
{
	svm_inner_regs.rsi = svm_inner_vmcb.s.cr0;
}

static void cr0_with_ts(void)
{
	svm_inner_regs.rsi = svm_inner_vmcb.s.cr0 | CR0_TS;
}

static void cr0_with_ts_and_mp(void)
{
	svm_inner_regs.rsi = (svm_inner_vmcb.s.cr0 | CR0_TS) ^ CR0_MP;
}

static void cr0_without_wp(void)
{
	svm_inner_regs.rsi = svm_inner_vmcb.s.cr0 & ~CR0_WP;
}

static void same_cr3(void)
{
	svm_inner_regs.rsi = svm_inner_vmcb.s.cr3;
}

static void cr4_with_tsd(void)
{
	svm_inner_regs.rsi = svm_inner_vmcb.s.cr4 | CR4_TSD;
}

static void set_ts(void)
{
	svm_inner_vmcb.s.cr0 |= CR0_TS;
}

static void ts_is_clear(void)
{
	test_equal("CR0.TS", svm_inner_vmcb.s.cr0 & CR0_TS, 0);
}

static void ts_is_set(void)
{
	test_equal("CR0.TS", svm_inner_vmcb.s.cr0 & CR0_TS, CR0_TS);
}

static void wp_is_clear(void)
{
	test_equal("CR0.WP", svm_inner_vmcb.s.cr0 & CR0_WP, 0);
}

static void wp_is_set(void)
{
	test_equal("CR0.WP", svm_inner_vmcb.s.cr0 & CR0_WP, CR0_WP);
}

static void tsd_is_set(void)
{
	test_equal("CR4.TSD", svm_inner_vmcb.s.cr4 & CR4_TSD, CR4_TSD);
}

static void cr0_was_read(void)
{
	test_equal("CR0 as the guest read it", svm_inner_regs.rbx, svm_inner_vmcb.s.cr0);
}

#define RD(n)     .cr = INTERCEPT_CR_READ(n), .exit = SVM_EXIT_CR##n##_READ
#define WR(n)     .cr = INTERCEPT_CR_WRITE(n), .exit = SVM_EXIT_CR##n##_WRITE
#define SELECTIVE .intercept1 = INTERCEPT1_CR0_SEL
#define ALL_BUT_0 .cr = ~(INTERCEPT_CR_READ(0) | INTERCEPT_CR_WRITE(0))
#define MOV(reg)  (CR_INFO_MOV | (reg))

#define RULE_READ  "Intercept reads of CR0-15, inclusive"
#define RULE_WRITE "Intercept writes of CR0-15, inclusive"
#define RULE_SEL                                                                                 \
	"Selective CR0 write intercept: the write is intercepted if it changes bits other than " \
	"CR0.TS or CR0.MP"
#define RULE_FIRST "Checks non-memory exceptions (#GP) before the intercept"

static const struct exit_case cr_cases[] = {
	{ "MOV from CR0 exits", RULE_READ, c_from_cr0, RD(0), .length = 3, .decoded = MOV(R_BX) },
	{ "MOV from CR2 exits", RULE_READ, c_from_cr2, RD(2), .length = 4, .decoded = MOV(R_9) },
	{ "MOV from CR3 exits", RULE_READ, c_from_cr3, RD(3), .length = 3, .decoded = MOV(R_BX) },
	{ "MOV from CR4 exits", RULE_READ, c_from_cr4, RD(4), .length = 3, .decoded = MOV(R_AX) },
	{ "MOV from CR8 exits", RULE_READ, c_from_cr8, RD(8), .length = 4, .decoded = MOV(R_BX) },
	{ "MOV to CR0 exits", RULE_WRITE, c_to_cr0, WR(0), .length = 3, .decoded = MOV(R_SI),
	  .prepare = same_cr0 },
	{ "MOV to CR2 exits", RULE_WRITE, c_to_cr2, WR(2), .length = 4, .decoded = MOV(R_9) },
	{ "MOV to CR3 exits", RULE_WRITE, c_to_cr3, WR(3), .length = 3, .decoded = MOV(R_SI),
	  .prepare = same_cr3 },
	{ "MOV to CR4 exits", RULE_WRITE, c_to_cr4, WR(4), .length = 3, .decoded = MOV(R_SI),
	  .prepare = cr4_with_tsd },
	{ "MOV to CR8 exits", RULE_WRITE, c_to_cr8, WR(8), .length = 4, .decoded = MOV(R_SI),
	  .rsi = 3 },
	{ "CLTS exits", "CLTS is a write of CR0", c_clts, WR(0), .length = 2 },
	{ "LMSW exits", "LMSW is a write of CR0", c_lmsw, WR(0), .length = 3,
	  .rsi = CR0_PE | CR0_MP },
	{ "LMSW from memory exits", "LMSW is a write of CR0", c_lmsw_memory, WR(0), .length = 3,
	  .rdi = (u64)&msw_operand },
	{ "SMSW exits", "SMSW is a read of CR0", c_smsw, RD(0), .length = 3 },
	{ "SMSW to memory exits", "SMSW is a read of CR0", c_smsw_memory, RD(0), .length = 3,
	  .rdi = (u64)&msw_operand },
	{ "MOV from CR0 does not exit by other intercepts", RULE_READ, c_from_cr0, NO_EXIT,
	  ALL_BUT_0, .finish = cr0_was_read },
	{ "MOV to CR0 does not exit by other intercepts", RULE_WRITE, c_to_cr0, NO_EXIT, ALL_BUT_0,
	  .prepare = cr0_without_wp, .finish = wp_is_clear },
	{ "MOV to CR3 does not exit", RULE_WRITE, c_to_cr3, NO_EXIT, .prepare = same_cr3 },
	{ "MOV to CR4 does not exit", RULE_WRITE, c_to_cr4, NO_EXIT, .prepare = cr4_with_tsd,
	  .finish = tsd_is_set },
	{ "MOV to CR0 at CPL 3 is #GP", RULE_FIRST, c_to_cr0, RAISES_GP,
	  .cr = INTERCEPT_CR_WRITE(0), .user = true },
	{ "MOV from CR3 at CPL 3 is #GP", RULE_FIRST, c_from_cr3, RAISES_GP,
	  .cr = INTERCEPT_CR_READ(3), .user = true },
};

static const struct exit_case selective_cases[] = {
	{ "MOV to CR0 that changes WP exits", RULE_SEL, c_to_cr0, SELECTIVE,
	  .exit = SVM_EXIT_CR0_SEL_WRITE, .length = 3, .prepare = cr0_without_wp,
	  .finish = wp_is_set },
	{ "MOV to CR0 that changes nothing does not exit", RULE_SEL, c_to_cr0, SELECTIVE, NO_EXIT,
	  .prepare = same_cr0 },
	{ "MOV to CR0 that changes TS does not exit", RULE_SEL, c_to_cr0, SELECTIVE, NO_EXIT,
	  .prepare = cr0_with_ts, .finish = ts_is_set },
	{ "MOV to CR0 that changes TS and MP does not exit", RULE_SEL, c_to_cr0, SELECTIVE, NO_EXIT,
	  .prepare = cr0_with_ts_and_mp, .finish = ts_is_set },
	{ "CLTS does not exit by the selective intercept", RULE_SEL, c_clts, SELECTIVE, NO_EXIT,
	  .prepare = set_ts, .finish = ts_is_clear },
	{ "MOV to CR0 exits by the plain intercept before the selective one",
	  "The CR0 write intercept has priority over the selective one", c_to_cr0, SELECTIVE, WR(0),
	  .length = 3, .prepare = cr0_without_wp },
};

static u32 count(void)
{
	return ARRAY_SIZE(cr_cases) + ARRAY_SIZE(selective_cases);
}

static void run(void)
{
	exit_cases_run(cr_cases, ARRAY_SIZE(cr_cases));
	exit_cases_run(selective_cases, ARRAY_SIZE(selective_cases));
}

const struct suite cr_suite = { count, run };
