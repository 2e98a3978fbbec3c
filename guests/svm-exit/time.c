/*
 * The time-stamp counter of the inner guest, APM 2 "TSC Offset" in "VMRUN" (15.5.1) and "TSC Ratio
 * MSR" (15.30.5): RDTSC, RDTSCP and RDMSR of the counter add the offset of the VMCB.
 *
 * QUIRK(qemu-7.2): RDMSR of the counter reads 0, unless a hypervisor reads it for the guest, so
 * nothing is noted of it.
 */
#include "guests/svm-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"

CODE(time_rdtsc, 64, "rdtsc" SVM_INNER_DONE);
CODE(time_rdtscp, 64, "rdtscp" SVM_INNER_DONE);
CODE(time_rdmsr, 64, "mov $0x10, %ecx\n\trdmsr" SVM_INNER_DONE);

#define FORWARD  BIT(40)
#define BACKWARD (0 - BIT(30))

/* The guest's reading lies between ours before and after, moved by the offset. */
static void reads(const char *code, u64 offset)
{
	u64 before, after, seen;

	svm_inner_reset(code);
	svm_inner_vmcb.c.tsc_offset = offset;
	before = rdtsc();
	svm_inner_run_to_end();
	after = rdtsc();
	seen = svm_inner_regs.rdx << 32 | (u32)svm_inner_regs.rax;
	if (!seen)
		return;
	seen -= offset;
	test_true("the guest's time, less the offset, is between ours",
		  seen >= before && seen <= after);
}

static void rdtsc_forward(void)
{
	reads(time_rdtsc, FORWARD);
}

static void rdtsc_backward(void)
{
	reads(time_rdtsc, BACKWARD);
}

static void rdtsc_plain(void)
{
	reads(time_rdtsc, 0);
}

static void rdtscp_forward(void)
{
	reads(time_rdtscp, FORWARD);
}

static void rdmsr_forward(void)
{
	reads(time_rdmsr, FORWARD);
}

static void rdmsr_plain(void)
{
	reads(time_rdmsr, 0);
}

static void offset_changes_between_entries(void)
{
	struct svm_inner_exit exit;
	u64 first, second;

	svm_inner_reset(time_rdtsc);
	svm_inner_run(&exit);
	first = svm_inner_regs.rdx;
	svm_inner_vmcb.c.tsc_offset = FORWARD;
	svm_inner_vmcb.c.clean = CLEAN_ALL & ~BIT32(CLEAN_INTERCEPTS);
	svm_inner_vmcb.s.rip = (u64)time_rdtsc;
	svm_inner_run_to_end();
	second = svm_inner_regs.rdx;
	test_equal("upper half of the time, from one entry to the next", second - first,
		   FORWARD >> 32);
}

static void ours_has_no_offset(void)
{
	u64 before, after;

	svm_inner_reset(time_rdtsc);
	svm_inner_vmcb.c.tsc_offset = FORWARD;
	before = rdtsc();
	svm_inner_run_to_end();
	after = rdtsc();
	test_true("our time goes on without the offset", after - before < FORWARD);
}

#define RULE "TSC_OFFSET: an offset to be added to the TSC when the guest reads it"

static const struct test tests[] = {
	{ "RDTSC adds the TSC offset", RULE, rdtsc_forward },
	{ "RDTSC adds a negative TSC offset", RULE, rdtsc_backward },
	{ "RDTSC with offset 0", RULE, rdtsc_plain },
	{ "RDTSCP adds the TSC offset", RULE, rdtscp_forward },
	{ "RDMSR of the TSC adds the TSC offset", RULE, rdmsr_forward },
	{ "RDMSR of the TSC with offset 0", RULE, rdmsr_plain },
	{ "a new TSC offset counts from the next entry", RULE, offset_changes_between_entries },
	{ "the TSC offset is gone after an exit", "#VMEXIT: clears the TSC_OFFSET",
	  ours_has_no_offset },
};

SUITE_OF_TESTS(time_suite, tests);
