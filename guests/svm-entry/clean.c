/*
 * VMCB clean bits: a group whose bit is clear is loaded again, whatever the other bits say, and one
 * whose bit is set keeps what it was. That a changed field of a clean group is not loaded is
 * nobody's right: no test asks.
 */
#include "guests/svm-entry/entry_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/string.h"

#define SOME_VALUE 0x0000123456789abcULL
#define SOME_DR7   0x455U
#define SOME_CR4   (CR4_PAE | CR4_PGE | CR4_TSD)

CODE(clean_cr4, 64, "mov %cr4, %rax\n\tvmmcall");
CODE(clean_cr2, 64, "mov %cr2, %rax\n\tvmmcall");
CODE(clean_dr7, 64, "mov %dr7, %rax\n\tvmmcall");
CODE(clean_ds, 64, "mov %ds, %eax\n\tvmmcall");
CODE(clean_idt, 64, "sub $16, %rsp\n\tsidt (%rsp)\n\tmov 2(%rsp), %rax\n\tvmmcall");
CODE(clean_rdmsr, 64, "rdmsr\n\tvmmcall");
CODE(clean_in, 64, "in $0x80, %al\n\tvmmcall");

static u8 other_msrpm[MSRPM_SIZE] __attribute__((aligned(4096)));
static u8 other_iopm[IOPM_SIZE] __attribute__((aligned(4096)));

/* Two entries: the second with what `change` changed, and every group clean but one. */
static void run_twice(const char *code, void (*change)(void), enum vmcb_group group,
		      enum svm_exit want)
{
	struct svm_inner_exit exit;

	svm_inner_vmcb.s.rip = (u64)code;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	svm_inner_vmcb.s.rip = (u64)code;
	svm_inner_vmcb.c.tlb_control = TLB_KEEP;
	change();
	svm_inner_vmcb.c.clean = CLEAN_ALL & ~BIT32(group);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, want);
}

static void set_cr4(void)
{
	svm_inner_vmcb.s.cr4 = SOME_CR4;
}

static void control_registers(void)
{
	svm_inner_reset(clean_cr4);
	run_twice(clean_cr4, set_cr4, CLEAN_CR, SVM_EXIT_VMMCALL);
	test_equal("CR4", svm_inner_regs.rax, SOME_CR4);
}

static void set_dr7(void)
{
	svm_inner_vmcb.s.dr7 = SOME_DR7;
}

static void debug_registers(void)
{
	svm_inner_reset(clean_dr7);
	run_twice(clean_dr7, set_dr7, CLEAN_DR, SVM_EXIT_VMMCALL);
	test_equal("DR7", svm_inner_regs.rax, SOME_DR7);
}

static void set_idt(void)
{
	svm_inner_vmcb.s.idtr.base = SOME_VALUE;
}

static void tables(void)
{
	svm_inner_reset(clean_idt);
	run_twice(clean_idt, set_idt, CLEAN_DT, SVM_EXIT_VMMCALL);
	test_equal("base of the IDT", svm_inner_regs.rax, SOME_VALUE);
}

static void set_ds(void)
{
	svm_inner_vmcb.s.ds.selector = SEL_USER_DATA;
}

static void segments(void)
{
	svm_inner_reset(clean_ds);
	run_twice(clean_ds, set_ds, CLEAN_SEG, SVM_EXIT_VMMCALL);
	test_equal("DS", svm_inner_regs.rax, SEL_USER_DATA);
}

static void intercept_cr2(void)
{
	svm_inner_vmcb.c.intercept_cr = INTERCEPT_CR_READ(2);
}

static void intercepts(void)
{
	svm_inner_reset(clean_cr2);
	run_twice(clean_cr2, intercept_cr2, CLEAN_INTERCEPTS, SVM_EXIT_CR2_READ);
}

static void move_msrpm(void)
{
	svm_inner_vmcb.c.msrpm_base = (u64)other_msrpm;
}

static void msr_maps(void)
{
	memset(other_msrpm, 0, sizeof(other_msrpm));
	svm_intercept_msr(other_msrpm, MSR_STAR, true, false);
	svm_inner_reset(clean_rdmsr);
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_MSR;
	svm_inner_regs.rcx = MSR_STAR;
	run_twice(clean_rdmsr, move_msrpm, CLEAN_MAPS, SVM_EXIT_MSR);
}

static void move_iopm(void)
{
	svm_inner_vmcb.c.iopm_base = (u64)other_iopm;
}

static void io_maps(void)
{
	memset(other_iopm, 0, sizeof(other_iopm));
	svm_intercept_port(other_iopm, 0x80);
	svm_inner_reset(clean_in);
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_IOIO;
	run_twice(clean_in, move_iopm, CLEAN_MAPS, SVM_EXIT_IOIO);
}

static void fill_map(void)
{
	svm_intercept_msr(svm_inner_msrpm, MSR_STAR, true, false);
}

/* The map's contents belong to no group: they count at once. */
static void map_contents(void)
{
	svm_inner_reset(clean_rdmsr);
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_MSR;
	svm_inner_regs.rcx = MSR_STAR;
	run_twice(clean_rdmsr, fill_map, CLEAN_MAPS, SVM_EXIT_MSR);
}

static void spoil_asid(void)
{
	svm_inner_vmcb.c.asid = 0;
}

static void asid(void)
{
	svm_inner_reset(clean_ds);
	run_twice(clean_ds, spoil_asid, CLEAN_ASID, SVM_EXIT_INVALID);
}

static void nothing(void)
{
}

static void all_clean(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(clean_cr4);
	svm_inner_vmcb.s.cr4 = SOME_CR4;
	svm_inner_vmcb.s.ds.selector = SEL_USER_DATA;
	run_twice(clean_cr4, nothing, CLEAN_DR, SVM_EXIT_VMMCALL);
	test_equal("CR4", svm_inner_regs.rax, SOME_CR4);
	svm_inner_vmcb.c.clean = CLEAN_ALL;
	svm_inner_vmcb.s.rip = (u64)clean_ds;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("DS", svm_inner_regs.rax, SEL_USER_DATA);
}

#define RULE_CLEAR \
	"if a clean bit is zero, the processor loads the fields that it covers from the VMCB"

static const struct test tests[] = {
	{ "control registers that are not clean are loaded", RULE_CLEAR, control_registers },
	{ "debug registers that are not clean are loaded", RULE_CLEAR, debug_registers },
	{ "descriptor tables that are not clean are loaded", RULE_CLEAR, tables },
	{ "segments that are not clean are loaded", RULE_CLEAR, segments },
	{ "intercepts that are not clean are loaded", RULE_CLEAR, intercepts },
	{ "an MSR permission map that is not clean is used", RULE_CLEAR, msr_maps },
	{ "an I/O permission map that is not clean is used", RULE_CLEAR, io_maps },
	{ "what a permission map contains counts at the next entry",
	  "the maps' addresses are covered by clean bit 1", map_contents },
	{ "an ASID that is not clean is checked", RULE_CLEAR, asid },
	{ "clean groups keep what they were",
	  "a set clean bit says that the fields were not changed since the last #VMEXIT",
	  all_clean },
};

SUITE_OF_TESTS(clean_suite, tests);
