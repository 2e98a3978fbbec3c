/*
 * Instructions that exit by an intercept, what each says, that they do not exit without it, and
 * what comes before the exit. APM 2 "Instruction Intercepts" (15.9).
 *
 * QUIRK(qemu-7.2): RDTSCP exits as RDTSC does, XSETBV and INVD not at all, ICEBP is #UD before it
 * exits, and no monitor is ever armed.
 * QUIRK(bochs-2.7): MONITOR of memory that is not write-back, as all is before the MTRRs are on,
 * does nothing, not even exit; #UD of RSM outside SMM comes before the intercept.
 */
#include "guests/svm-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"

#define SOME_ADDRESS 0x3456789abcULL
#define LOW_ADDRESS  0x12345678ULL
#define PAUSES       20

/* CPUID leaf 1: XSETBV exists. */
#define CPUID_1_ECX_XSAVE BIT32(26)

static u8 buffer[PAGE_SIZE] __attribute__((aligned(4096)));
#define BUFFER ((u64)buffer)

CODE(x_cpuid, 64, "cpuid" SVM_INNER_DONE);
CODE(x_hlt, 64, "hlt" SVM_INNER_DONE);
CODE(x_invd, 64, "invd" SVM_INNER_DONE);
CODE(x_wbinvd, 64, "wbinvd" SVM_INNER_DONE);
CODE(x_invlpg, 64, "invlpg (%rdi)" SVM_INNER_DONE);
CODE(x_invlpg_sum, 64, "invlpg 0x10(%rdi, %rcx, 2)" SVM_INNER_DONE);
CODE(x_rdpmc, 64, "rdpmc" SVM_INNER_DONE);
CODE(x_rdtsc, 64, "rdtsc" SVM_INNER_DONE);
CODE(x_rdtscp, 64, "rdtscp" SVM_INNER_DONE);
CODE(x_vmmcall, 64, "vmmcall" SVM_INNER_DONE);
CODE(x_pause, 64, "pause" SVM_INNER_DONE);
CODE(x_pause_loop, 64, "1:\tinc %rbx\n\tpause\n\tjmp 1b");
CODE(x_monitor, 64, "monitor" SVM_INNER_DONE);
CODE(x_mwait, 64, "mwait" SVM_INNER_DONE);
CODE(x_monitor_mwait, 64, "monitor\n\tmwait" SVM_INNER_DONE);
CODE(x_xsetbv, 64, "xsetbv" SVM_INNER_DONE);
CODE(x_pushf, 64, "pushfq\n\tpop %rbx" SVM_INNER_DONE);
CODE(x_pushf16, 64, "pushfw\n\tpop %bx" SVM_INNER_DONE);
CODE(x_popf, 64, "popfq\n\tlea -8(%rsp), %rsp" SVM_INNER_DONE);
CODE(x_push_popf, 64, "push $2\n\tpopfq" SVM_INNER_DONE);
CODE(x_rsm, 64, "rsm" SVM_INNER_DONE);
CODE(x_iret, 64, "iretq" SVM_INNER_DONE);
CODE(x_int_n, 64, "int $0x50" SVM_INNER_DONE);
CODE(x_int3, 64, "int3" SVM_INNER_DONE);
CODE(x_icebp, 64, ".byte 0xf1" SVM_INNER_DONE);
CODE(x_ud, 64, "ud2" SVM_INNER_DONE);
CODE(x_prefixed_cpuid, 64, ".byte 0x66, 0x2e, 0x48\n\tcpuid" SVM_INNER_DONE);
CODE(x_prefixed_hlt, 64, ".byte 0xf3, 0x66\n\thlt" SVM_INNER_DONE);

static void allow_xsetbv(void)
{
	svm_inner_vmcb.s.cr4 |= CR4_OSXSAVE;
}

static void disable_tsc(void)
{
	svm_inner_vmcb.s.cr4 |= CR4_TSD;
}

/* A wider stack pointer than there is an address: whatever is pushed or popped faults. */
static void spoil_stack(void)
{
	svm_inner_vmcb.s.rsp = BIT(47);
}

static void set_pause_filter(void)
{
	svm_inner_vmcb.c.pause_count = PAUSES;
}

/* The manual does not say whether the PAUSE that brings the counter to 0 exits or the next. */
static void pauses_were_counted(void)
{
	bool filter = svm_inner_features->bits & SVM_FEATURE_PAUSE_FILTER;
	u64 want = filter ? PAUSES : 1;

	test_true("the number of PAUSEs is that of the filter",
		  svm_inner_regs.rbx >= want && svm_inner_regs.rbx <= want + filter);
}

#define RULE_BY(name)  "The " name " intercept: the instruction is intercepted if its bit is 1"
#define RULE_NOT(name) "The instruction does not exit if the " name " intercept's bit is 0"
#define RULE_FIRST     "Checks all exceptions (#GP) before the intercept"
#define RULE_OVER      "The intercept takes priority over any exceptions"
#define BY1(name)      .intercept1 = INTERCEPT1_##name, .exit = SVM_EXIT_##name
#define BY2(name)      .intercept2 = INTERCEPT2_##name, .exit = SVM_EXIT_##name

static const struct exit_case exits[] = {
	{ "CPUID exits", RULE_BY("CPUID"), x_cpuid, BY1(CPUID), .length = 2 },
	{ "CPUID exits at CPL 3", RULE_BY("CPUID"), x_cpuid, BY1(CPUID), .length = 2,
	  .user = true },
	{ "CPUID with prefixes exits", RULE_BY("CPUID"), x_prefixed_cpuid, BY1(CPUID),
	  .length = 5 },
	{ "HLT exits", RULE_BY("HLT"), x_hlt, BY1(HLT), .length = 1 },
	{ "HLT with prefixes exits", RULE_BY("HLT"), x_prefixed_hlt, BY1(HLT), .length = 3 },
	{ "INVD exits", RULE_BY("INVD"), x_invd, BY1(INVD), .length = 2,
	  .quirk = SVM_EXIT_VMMCALL },
	{ "WBINVD exits", RULE_BY("WBINVD"), x_wbinvd, BY2(WBINVD), .length = 2 },
	{ "INVLPG exits", RULE_BY("INVLPG"), x_invlpg, BY1(INVLPG), .length = 3,
	  .rdi = SOME_ADDRESS, .decoded = SOME_ADDRESS },
	{ "INVLPG of a sum exits", "EXITINFO1 contains the linear address with decode assists",
	  x_invlpg_sum, BY1(INVLPG), .length = 5, .rdi = LOW_ADDRESS, .rcx = 0x100,
	  .decoded = LOW_ADDRESS + 0x210 },
	{ "RDPMC exits", RULE_BY("RDPMC"), x_rdpmc, BY1(RDPMC), .length = 2 },
	{ "RDTSC exits", RULE_BY("RDTSC"), x_rdtsc, BY1(RDTSC), .length = 2 },
	{ "RDTSC exits at CPL 3", RULE_BY("RDTSC"), x_rdtsc, BY1(RDTSC), .length = 2,
	  .user = true },
	{ "RDTSCP exits", RULE_BY("RDTSCP"), x_rdtscp, BY2(RDTSCP), .length = 3,
	  .quirk = SVM_EXIT_VMMCALL },
	{ "RDTSC and RDTSCP intercepted: RDTSCP exits", RULE_BY("RDTSCP"), x_rdtscp,
	  .intercept1 = INTERCEPT1_RDTSC, BY2(RDTSCP), .length = 3, .quirk = SVM_EXIT_RDTSC },
	{ "PAUSE exits", RULE_BY("PAUSE"), x_pause, BY1(PAUSE), .length = 2 },
	{ "PAUSE exits at CPL 3", RULE_BY("PAUSE"), x_pause, BY1(PAUSE), .length = 2,
	  .user = true },
	{ "PAUSEs exit when there were as many as the filter says",
	  "The pause filter count is the number of PAUSEs that do not exit", x_pause_loop,
	  .intercept1 = INTERCEPT1_PAUSE, .exit = SVM_EXIT_PAUSE, .offset = 3,
	  .prepare = set_pause_filter, .finish = pauses_were_counted },
	{ "MONITOR exits", RULE_BY("MONITOR"), x_monitor, BY2(MONITOR), .length = 3, .rax = BUFFER,
	  .quirk = SVM_EXIT_VMMCALL },
	{ "MWAIT exits", RULE_BY("MWAIT"), x_mwait, BY2(MWAIT), .length = 3 },
	{ "PUSHF exits", RULE_BY("PUSHF"), x_pushf, BY1(PUSHF), .length = 1 },
	{ "PUSHF of 16 bits exits", RULE_BY("PUSHF"), x_pushf16, BY1(PUSHF), .length = 2 },
	{ "POPF exits", RULE_BY("POPF"), x_popf, BY1(POPF), .length = 1 },
	{ "RSM exits", RULE_BY("RSM"), x_rsm, BY1(RSM), .length = 2,
	  .quirk = SVM_EXIT_EXCEPTION_UD },
	{ "IRET exits", RULE_BY("IRET"), x_iret, BY1(IRET), .length = 2 },
	{ "INT n exits", RULE_BY("INTn"), x_int_n, BY1(INTN), .length = 2, .decoded = 0x50 },
	{ "INT n exits at CPL 3", "The intercept occurs before any exceptions are checked", x_int_n,
	  BY1(INTN), .length = 2, .decoded = 0x50, .user = true },
	{ "ICEBP exits", RULE_BY("ICEBP"), x_icebp, BY2(ICEBP), .length = 1,
	  .quirk = SVM_EXIT_EXCEPTION_UD },
	{ "VMMCALL exits", RULE_BY("VMMCALL"), x_vmmcall, BY2(VMMCALL), .length = 3 },
	{ "VMMCALL exits at CPL 3", RULE_BY("VMMCALL"), x_vmmcall, BY2(VMMCALL), .length = 3,
	  .user = true },
	{ "PUSHF to a bad stack exits", RULE_OVER, x_pushf, BY1(PUSHF), .prepare = spoil_stack },
	{ "POPF from a bad stack exits", RULE_OVER, x_popf, BY1(POPF), .prepare = spoil_stack },
	{ "IRET from a bad stack exits", RULE_OVER, x_iret, BY1(IRET), .prepare = spoil_stack },
};

static const struct exit_case no_exits[] = {
	{ "CPUID does not exit", RULE_NOT("CPUID"), x_cpuid, NO_EXIT },
	{ "INVLPG does not exit", RULE_NOT("INVLPG"), x_invlpg, NO_EXIT, .rdi = BUFFER },
	{ "RDTSC does not exit", RULE_NOT("RDTSC"), x_rdtsc, NO_EXIT },
	{ "RDTSCP does not exit", RULE_NOT("RDTSCP"), x_rdtscp, NO_EXIT },
	{ "RDTSCP does not exit by the RDTSC intercept", RULE_NOT("RDTSCP"), x_rdtscp, NO_EXIT,
	  .intercept1 = INTERCEPT1_RDTSC, .quirk = SVM_EXIT_RDTSC },
	{ "RDTSC does not exit by the RDTSCP intercept", RULE_NOT("RDTSC"), x_rdtsc, NO_EXIT,
	  .intercept2 = INTERCEPT2_RDTSCP },
	{ "PAUSE does not exit", RULE_NOT("PAUSE"), x_pause, NO_EXIT },
	{ "WBINVD does not exit", RULE_NOT("WBINVD"), x_wbinvd, NO_EXIT },
	{ "PUSHF does not exit", RULE_NOT("PUSHF"), x_pushf, NO_EXIT },
	{ "POPF does not exit", RULE_NOT("POPF"), x_push_popf, NO_EXIT },
	{ "MWAIT after MONITOR exits as armed",
	  "MWAIT with the monitor armed: its own intercept and exit code", x_monitor_mwait,
	  .intercept2 = INTERCEPT2_MWAIT | INTERCEPT2_MWAIT_ARMED, .exit = SVM_EXIT_MWAIT_ARMED,
	  .rax = BUFFER, .offset = 3, .quirk = SVM_EXIT_MWAIT },
};

static const struct exit_case faults[] = {
	{ "HLT at CPL 3 is #GP", RULE_FIRST, x_hlt, RAISES_GP, .intercept1 = INTERCEPT1_HLT,
	  .user = true },
	{ "INVD at CPL 3 is #GP", RULE_FIRST, x_invd, RAISES_GP, .intercept1 = INTERCEPT1_INVD,
	  .user = true },
	{ "WBINVD at CPL 3 is #GP", RULE_FIRST, x_wbinvd, RAISES_GP,
	  .intercept2 = INTERCEPT2_WBINVD, .user = true },
	{ "INVLPG at CPL 3 is #GP", RULE_FIRST, x_invlpg, RAISES_GP,
	  .intercept1 = INTERCEPT1_INVLPG, .user = true },
	{ "RDTSC with CR4.TSD at CPL 3 is #GP", RULE_FIRST, x_rdtsc, RAISES_GP,
	  .intercept1 = INTERCEPT1_RDTSC, .user = true, .prepare = disable_tsc },
	{ "RDPMC at CPL 3 is #GP", RULE_FIRST, x_rdpmc, RAISES_GP, .intercept1 = INTERCEPT1_RDPMC,
	  .user = true },
	{ "RSM outside of SMM is #UD", "RSM causes #UD if the processor is not in SMM", x_rsm,
	  RAISES_UD },
	{ "UD2 is #UD", "an exception by its intercept", x_ud, RAISES_UD },
};

static const struct exit_case with_xsave[] = {
	{ "XSETBV exits", RULE_BY("XSETBV"), x_xsetbv, BY2(XSETBV), .length = 3, .rax = 1,
	  .prepare = allow_xsetbv, .quirk = SVM_EXIT_VMMCALL },
	{ "XSETBV does not exit", RULE_NOT("XSETBV"), x_xsetbv, NO_EXIT, .rax = 1,
	  .prepare = allow_xsetbv },
	{ "XSETBV without CR4.OSXSAVE is #UD", "#UD comes before the intercept", x_xsetbv,
	  RAISES_UD, .intercept2 = INTERCEPT2_XSETBV },
};

static bool has_xsave(void)
{
	return cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE;
}

static u32 count(void)
{
	return ARRAY_SIZE(exits) + ARRAY_SIZE(no_exits) + ARRAY_SIZE(faults) +
	       (has_xsave() ? ARRAY_SIZE(with_xsave) : 0);
}

static void run(void)
{
	exit_cases_run(exits, ARRAY_SIZE(exits));
	exit_cases_run(no_exits, ARRAY_SIZE(no_exits));
	exit_cases_run(faults, ARRAY_SIZE(faults));
	if (has_xsave())
		exit_cases_run(with_xsave, ARRAY_SIZE(with_xsave));
}

const struct suite insns_suite = { count, run };
