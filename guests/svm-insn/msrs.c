/*
 * EFER.SVME, VM_HSAVE_PA and VM_CR; what CPUID says of SVM and what that means.
 */
#include "guests/svm-insn/insn_case.h"
#include "guests/lib/nestbed.h"
#include "l1-hypervisor/leaf/insn.h"

#define TOO_WIDE BIT(51)

CODE(msrs_cpuid, 64, "cpuid\n\tvmmcall");

static u8 save_area[2 * PAGE_SIZE] __attribute__((aligned(4096)));

static void no_fault(const char *what, struct fault fault)
{
	test_true(what, !fault.raised);
}

/* QUIRK(bochs-2.7): VM_HSAVE_PA takes any value, and there is no VM_CR. QUIRK(qemu-7.2): VM_CR
 * takes any value and keeps none. Nestbed has to refuse what it should. */
static void refused(const char *what, struct fault fault)
{
	if (!fault.raised && nestbed_level() == 0)
		return;
	if (test_true(what, fault.raised)) {
		test_equal("vector", fault.vector, EXC_GP);
		test_equal("error code", fault.error_code, 0);
	}
}

static void svme_toggles(void)
{
	u64 efer = rdmsr(MSR_EFER);

	no_fault("EFER.SVME can be cleared", try_wrmsr(MSR_EFER, efer & ~EFER_SVME));
	test_equal("EFER", rdmsr(MSR_EFER), efer & ~EFER_SVME);
	no_fault("EFER.SVME can be set", try_wrmsr(MSR_EFER, efer | EFER_SVME));
	test_equal("EFER", rdmsr(MSR_EFER), efer | EFER_SVME);
}

static void svme_keeps_the_rest(void)
{
	u64 efer = rdmsr(MSR_EFER);

	wrmsr(MSR_EFER, efer | EFER_SCE);
	test_equal("EFER with SCE", rdmsr(MSR_EFER), efer | EFER_SCE);
	wrmsr(MSR_EFER, (efer | EFER_SCE) & ~EFER_SVME);
	test_equal("EFER without SVME", rdmsr(MSR_EFER), (efer | EFER_SCE) & ~EFER_SVME);
	wrmsr(MSR_EFER, efer);
	test_equal("EFER as before", rdmsr(MSR_EFER), efer);
}

static void runs_after_toggle(void)
{
	u64 efer = rdmsr(MSR_EFER);

	wrmsr(MSR_EFER, efer & ~EFER_SVME);
	wrmsr(MSR_EFER, efer);
	svm_inner_reset(msrs_cpuid);
	svm_inner_run_to_end();
}

static void hsave_keeps(void)
{
	u64 before = rdmsr(MSR_VM_HSAVE_PA);

	no_fault("VM_HSAVE_PA takes a page", try_wrmsr(MSR_VM_HSAVE_PA, (u64)save_area));
	test_equal("VM_HSAVE_PA", rdmsr(MSR_VM_HSAVE_PA), (u64)save_area);
	svm_inner_reset(msrs_cpuid);
	svm_inner_run_to_end();
	test_equal("VM_HSAVE_PA", rdmsr(MSR_VM_HSAVE_PA), (u64)save_area);
	wrmsr(MSR_VM_HSAVE_PA, before);
}

static void hsave_refuses(void)
{
	u64 before = rdmsr(MSR_VM_HSAVE_PA);

	refused("VM_HSAVE_PA refuses bit 0", try_wrmsr(MSR_VM_HSAVE_PA, (u64)save_area + 1));
	refused("VM_HSAVE_PA refuses bit 11", try_wrmsr(MSR_VM_HSAVE_PA, (u64)save_area + 0x800));
	refused("VM_HSAVE_PA refuses bits beyond the physical-address width",
		try_wrmsr(MSR_VM_HSAVE_PA, (u64)save_area | TOO_WIDE));
	wrmsr(MSR_VM_HSAVE_PA, before);
}

static void vm_cr_allows(void)
{
	u64 value = 0;

	no_fault("VM_CR can be read", try_rdmsr(MSR_VM_CR, &value));
	test_equal("VM_CR.SVMDIS", value & VM_CR_SVMDIS, 0);
}

static void vm_cr_refuses(void)
{
	u64 before = 0;

	try_rdmsr(MSR_VM_CR, &before);
	refused("VM_CR refuses bit 5", try_wrmsr(MSR_VM_CR, before | BIT(5)));
	refused("VM_CR refuses bit 63", try_wrmsr(MSR_VM_CR, before | BIT(63)));
	refused("VM_CR refuses SVMDIS while EFER.SVME is set",
		try_wrmsr(MSR_VM_CR, before | VM_CR_SVMDIS));
	try_wrmsr(MSR_VM_CR, before);
}

static const struct test msr_tests[] = {
	{ "EFER.SVME can be cleared and set", "SVME: read-write", svme_toggles },
	{ "EFER.SVME and the other bits do not touch each other", "SVME is bit 12 of EFER",
	  svme_keeps_the_rest },
	{ "a VMCB runs after EFER.SVME was cleared and set", "SVME enables the SVM instructions",
	  runs_after_toggle },
	{ "VM_HSAVE_PA keeps a page's address",
	  "VM_HSAVE_PA holds the physical address of a 4-Kbyte block of memory", hsave_keeps },
	{ "VM_HSAVE_PA takes nothing but a page's address: #GP(0)",
	  "WRMSR of an address whose low 12 bits are not zero, or above the maximum supported "
	  "physical address, causes #GP",
	  hsave_refuses },
	{ "VM_CR allows SVM", "SVMDIS: when this bit is set, EFER.SVME must be zero",
	  vm_cr_allows },
	{ "VM_CR takes no reserved bit, and no SVMDIS while SVM is on: #GP(0)",
	  "reserved bits are MBZ; attempts to set SVMDIS while EFER.SVME is set cause #GP",
	  vm_cr_refuses },
};

static u32 msrs_count(void)
{
	return ARRAY_SIZE(msr_tests);
}

static void msrs_run(void)
{
	tests_run(msr_tests, ARRAY_SIZE(msr_tests));
}

const struct suite msrs_suite = { msrs_count, msrs_run };

static void cpuid_is_sane(void)
{
	struct cpuid_regs r = cpuid(CPUID_SVM_LEAF, 0);

	test_equal("revision", r.eax & 0xff, 1);
	test_true("there is an ASID for a guest", r.ebx > 1);
	test_equal("ECX", r.ecx, 0);
	test_true("CPUID 8000_0001 has SVM", cpuid(0x80000001, 0).ecx & CPUID_ECX_SVM);
}

static void next_rip_is_as_told(void)
{
	bool saves = svm_inner_features->bits & SVM_FEATURE_NRIPS;
	struct svm_inner_exit exit;

	svm_inner_reset(msrs_cpuid);
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_CPUID;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_CPUID);
	test_equal("RIP", svm_inner_vmcb.s.rip, (u64)msrs_cpuid);
	if (saves)
		test_equal("next RIP", exit.next_rip, (u64)msrs_cpuid + 2);
	svm_inner_skip(&exit, 2);
	svm_inner_run_to_end();
}

static void last_asid_runs(void)
{
	svm_inner_reset(msrs_cpuid);
	svm_inner_vmcb.c.asid = svm_inner_features->asids - 1;
	svm_inner_run_to_end();
}

static void npt_is_as_told(void)
{
	svm_inner_reset(msrs_cpuid);
	if (svm_inner_with_npt())
		svm_inner_use_npt();
	svm_inner_run_to_end();
}

static const struct test cpuid_tests[] = {
	{ "CPUID 8000_000A is sane", "EAX[7:0]: SVM revision; EBX: number of ASIDs; ECX: reserved",
	  cpuid_is_sane },
	{ "the next RIP is saved where CPUID says so",
	  "NRIPS: NRIP save. Indicates support for NRIP save on #VMEXIT", next_rip_is_as_told },
	{ "the last ASID can be used", "EBX: number of available address space identifiers",
	  last_asid_runs },
	{ "nested paging works where CPUID says so", "NP: nested paging", npt_is_as_told },
};

static u32 cpuid_count(void)
{
	return ARRAY_SIZE(cpuid_tests);
}

static void cpuid_run(void)
{
	tests_run(cpuid_tests, ARRAY_SIZE(cpuid_tests));
}

const struct suite cpuid_suite = { cpuid_count, cpuid_run };
