/*
 * The time-stamp counter of the inner guest, SDM 3C "Changes to Instruction Behavior in VMX
 * Non-Root Operation" (26.3): RDTSC, RDTSCP and RDMSR of IA32_TIME_STAMP_COUNTER with and without
 * the TSC offset.
 */
#include "guests/vmx-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"

CODE(time_rdtsc, 64, "rdtsc" INNER_DONE);
CODE(time_rdtscp, 64, "rdtscp" INNER_DONE);
CODE(time_rdmsr, 64, "mov $0x10, %ecx\n\trdmsr" INNER_DONE);

#define FORWARD  BIT(40)
#define BACKWARD (0 - BIT(30))

static const struct vmx_controls offsetting = { .proc = PROC_TSC_OFFSETTING,
						.proc2 = PROC2_RDTSCP };
static const struct vmx_controls plain = { .proc2 = PROC2_RDTSCP };

/* The guest's reading lies between ours before and after, moved by `want`. */
static void reads(const char *code, const struct vmx_controls *more, u64 offset, u64 want)
{
	u64 before, after, seen;

	inner_reset(code, more);
	vmx_set(VMCS_TSC_OFFSET, offset);
	before = rdtsc();
	inner_run_to_end();
	after = rdtsc();
	seen = (inner_regs.rdx << 32 | (u32)inner_regs.rax) - want;
	test_true("the guest's time, less the offset, is between ours",
		  seen >= before && seen <= after);
}

static void rdtsc_forward(void)
{
	reads(time_rdtsc, &offsetting, FORWARD, FORWARD);
}

static void rdtsc_backward(void)
{
	reads(time_rdtsc, &offsetting, BACKWARD, BACKWARD);
}

static void rdtsc_plain(void)
{
	reads(time_rdtsc, &plain, FORWARD, 0);
}

static void rdtscp_forward(void)
{
	reads(time_rdtscp, &offsetting, FORWARD, FORWARD);
}

static void rdtscp_plain(void)
{
	reads(time_rdtscp, &plain, FORWARD, 0);
}

static void rdmsr_forward(void)
{
	reads(time_rdmsr, &offsetting, FORWARD, FORWARD);
}

static void rdmsr_plain(void)
{
	reads(time_rdmsr, &plain, FORWARD, 0);
}

static void offset_changes_between_entries(void)
{
	struct inner_exit exit;
	u64 first, second;

	inner_reset(time_rdtsc, &offsetting);
	inner_run(&exit);
	first = inner_regs.rdx;
	vmx_set(VMCS_TSC_OFFSET, FORWARD);
	vmx_set(VMCS_GUEST_RIP, (u64)time_rdtsc);
	inner_run_to_end();
	second = inner_regs.rdx;
	test_equal("upper half of the time, from one entry to the next", second - first,
		   FORWARD >> 32);
}

#define RULE                                                                                     \
	"If \"RDTSC exiting\" is 0 and \"use TSC offsetting\" is 1, the sum of the counter and " \
	"the "                                                                                   \
	"TSC offset is read"

static const struct test tests[] = {
	{ "RDTSC adds the TSC offset", RULE, rdtsc_forward },
	{ "RDTSC adds a negative TSC offset", RULE, rdtsc_backward },
	{ "RDTSC ignores the TSC offset without its control", RULE, rdtsc_plain },
	{ "RDTSCP adds the TSC offset", RULE, rdtscp_forward },
	{ "RDTSCP ignores the TSC offset without its control", RULE, rdtscp_plain },
	{ "RDMSR of the TSC adds the TSC offset", RULE, rdmsr_forward },
	{ "RDMSR of the TSC ignores the TSC offset without its control", RULE, rdmsr_plain },
	{ "a new TSC offset counts from the next entry", RULE, offset_changes_between_entries },
};

SUITE_OF_TESTS(time_suite, tests);
