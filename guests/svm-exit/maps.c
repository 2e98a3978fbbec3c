/*
 * Permission maps between entries: they are memory, so a change of a bit, of the address in the
 * VMCB or of the intercept counts at the next VMRUN. APM 2 "I/O Intercepts" (15.10), "MSR
 * Intercepts" (15.11), "VMCB Clean Bits" (15.15).
 */
#include "guests/svm-exit/exit_case.h"
#include "l1-hypervisor/leaf/string.h"

#define PORT 0x80

CODE(p_out, 64, "out %al, $0x80" SVM_INNER_DONE);
CODE(p_rdmsr, 64, "rdmsr" SVM_INNER_DONE);

static u8 other_msrpm[MSRPM_SIZE] __attribute__((aligned(4096)));
static u8 other_iopm[IOPM_SIZE] __attribute__((aligned(4096)));

static void start(const char *code)
{
	svm_inner_reset(code);
	memset(other_msrpm, 0, sizeof(other_msrpm));
	memset(other_iopm, 0, sizeof(other_iopm));
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_IOIO | INTERCEPT1_MSR;
	svm_inner_regs.rcx = MSR_LSTAR;
}

/* The code again from its start, with all state of the VMCB clean but for what `dirty` names. */
static void again(const char *code, enum svm_exit want, u32 dirty)
{
	struct svm_inner_exit exit;

	svm_inner_vmcb.s.rip = (u64)code;
	svm_inner_regs.rcx = MSR_LSTAR;
	svm_inner_vmcb.c.tlb_control = TLB_KEEP;
	svm_inner_vmcb.c.clean = CLEAN_ALL & ~dirty;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, want);
}

static void msr_bits_change(void)
{
	start(p_rdmsr);
	svm_inner_run_to_end();
	svm_intercept_msr(svm_inner_msrpm, MSR_LSTAR, true, false);
	again(p_rdmsr, SVM_EXIT_MSR, BIT32(CLEAN_MAPS));
	memset(svm_inner_msrpm, 0, MSRPM_SIZE);
	again(p_rdmsr, SVM_EXIT_VMMCALL, BIT32(CLEAN_MAPS));
}

static void msrpm_moves(void)
{
	start(p_rdmsr);
	svm_intercept_msr(other_msrpm, MSR_LSTAR, true, false);
	svm_inner_run_to_end();
	svm_inner_vmcb.c.msrpm_base = (u64)other_msrpm;
	again(p_rdmsr, SVM_EXIT_MSR, BIT32(CLEAN_MAPS));
	svm_inner_vmcb.c.msrpm_base = (u64)svm_inner_msrpm;
	again(p_rdmsr, SVM_EXIT_VMMCALL, BIT32(CLEAN_MAPS));
}

static void msr_intercept_changes(void)
{
	start(p_rdmsr);
	svm_intercept_msr(svm_inner_msrpm, MSR_LSTAR, true, false);
	svm_inner_vmcb.c.intercept1 &= ~INTERCEPT1_MSR;
	svm_inner_run_to_end();
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_MSR;
	again(p_rdmsr, SVM_EXIT_MSR, BIT32(CLEAN_INTERCEPTS));
	svm_inner_vmcb.c.intercept1 &= ~INTERCEPT1_MSR;
	again(p_rdmsr, SVM_EXIT_VMMCALL, BIT32(CLEAN_INTERCEPTS));
}

static void io_bits_change(void)
{
	start(p_out);
	svm_inner_run_to_end();
	svm_intercept_port(svm_inner_iopm, PORT);
	again(p_out, SVM_EXIT_IOIO, BIT32(CLEAN_MAPS));
	memset(svm_inner_iopm, 0, IOPM_SIZE);
	again(p_out, SVM_EXIT_VMMCALL, BIT32(CLEAN_MAPS));
}

static void iopm_moves(void)
{
	start(p_out);
	svm_intercept_port(other_iopm, PORT);
	svm_inner_run_to_end();
	svm_inner_vmcb.c.iopm_base = (u64)other_iopm;
	again(p_out, SVM_EXIT_IOIO, BIT32(CLEAN_MAPS));
	svm_inner_vmcb.c.iopm_base = (u64)svm_inner_iopm;
	again(p_out, SVM_EXIT_VMMCALL, BIT32(CLEAN_MAPS));
}

static void io_intercept_changes(void)
{
	start(p_out);
	svm_intercept_port(svm_inner_iopm, PORT);
	svm_inner_vmcb.c.intercept1 &= ~INTERCEPT1_IOIO;
	svm_inner_run_to_end();
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_IOIO;
	again(p_out, SVM_EXIT_IOIO, BIT32(CLEAN_INTERCEPTS));
}

static void unchanged(void)
{
	start(p_rdmsr);
	memset(svm_inner_msrpm, 0xff, MSRPM_SIZE);
	again(p_rdmsr, SVM_EXIT_MSR, CLEAN_ALL);
	again(p_rdmsr, SVM_EXIT_MSR, 0);
	again(p_rdmsr, SVM_EXIT_MSR, 0);
}

#define RULE_MEMORY "The map is in memory; a change of it needs CLEAN.IOPM cleared at most"
#define RULE_BASE   "IOPM_BASE_PA, MSRPM_BASE_PA: physical base address of the map"
#define RULE_BIT    "The map is used if its intercept is 1"

static const struct test tests[] = {
	{ "bits of the MSRPM change between entries", RULE_MEMORY, msr_bits_change },
	{ "another MSRPM counts from the next entry", RULE_BASE, msrpm_moves },
	{ "the MSR intercept changes between entries", RULE_BIT, msr_intercept_changes },
	{ "bits of the IOPM change between entries", RULE_MEMORY, io_bits_change },
	{ "another IOPM counts from the next entry", RULE_BASE, iopm_moves },
	{ "the IOIO intercept changes between entries", RULE_BIT, io_intercept_changes },
	{ "an unchanged MSRPM counts at entries with clean bits set",
	  "A clean bit of 1 lets the processor use what it has cached", unchanged },
};

SUITE_OF_TESTS(maps_suite, tests);
