/*
 * The rules of VMRUN, APM 2 "Canonicalization and Consistency Checks" (15.5.1), each as an entry
 * that it forbids, and what is near it and allowed; and what VMEXIT_INVALID leaves behind.
 *
 * QUIRK(bochs-2.7): EFER.LME and CR0.PG without CR0.PE end the emulator: only Nestbed is asked, by
 * guests/hostile.
 */
#include "guests/svm-entry/entry_case.h"
#include "l1-hypervisor/leaf/insn.h"

#define MISALIGNED 0xfffU
#define DR_HIGH    BIT(32)

#define RULE_SVME      "EFER.SVME is zero"
#define RULE_CACHING   "CR0.CD is zero and CR0.NW is set"
#define RULE_CR0_HIGH  "CR0[63:32] are not zero"
#define RULE_CR3       "any MBZ bit of CR3 is set"
#define RULE_CR4       "any MBZ bit of CR4 is set"
#define RULE_DR6       "DR6[63:32] are not zero"
#define RULE_DR7       "DR7[63:32] are not zero"
#define RULE_EFER      "any MBZ bit of EFER is set"
#define RULE_PAE       "EFER.LME and CR0.PG are both set and CR4.PAE is zero"
#define RULE_CS        "EFER.LME, CR0.PG, CR4.PAE, CS.L, and CS.D are all non-zero"
#define RULE_INTERCEPT "the VMRUN intercept bit is clear"
#define RULE_MAPS                                                                        \
	"the MSR or IOIO intercept tables extend to a physical address that is greater " \
	"than or equal to the maximum supported physical address"
#define RULE_LOW  "the lower 12 bits of the address of a permission map are ignored"
#define RULE_ASID "ASID is equal to zero"
#define RULE_TYPE "#VMEXIT(INVALID) if reserved values of TYPE have been specified"
#define RULE_VECTOR                                                                       \
	"#VMEXIT(INVALID) if TYPE = 3 (exception) has been specified with a vector that " \
	"does not correspond to an exception"

static void msrpm_behind_end(void)
{
	svm_inner_vmcb.c.msrpm_base = BIT(entry_physical_width());
}

static void msrpm_across_end(void)
{
	svm_inner_vmcb.c.msrpm_base = BIT(entry_physical_width()) - PAGE_SIZE;
}

static void iopm_behind_end(void)
{
	svm_inner_vmcb.c.iopm_base = BIT(entry_physical_width());
}

static void iopm_across_end(void)
{
	svm_inner_vmcb.c.iopm_base = BIT(entry_physical_width()) - PAGE_SIZE;
}

static void cr3_too_wide(void)
{
	svm_inner_vmcb.s.cr3 |= BIT(entry_physical_width());
}

static const struct entry_case cases[] = {
	{ "an ordinary VMCB enters", "VMRUN", .outcome = ENTERS },
	{ "EFER without SVME", RULE_SVME, INVALID, .changes = { CLEAR(s.efer, EFER_SVME) } },
	{ "EFER with bit 9", RULE_EFER, INVALID, .changes = { OR(s.efer, BIT(9)) } },
	{ "EFER with bit 32", RULE_EFER, INVALID, .changes = { OR(s.efer, BIT(32)) } },
	{ "EFER with bit 63", RULE_EFER, INVALID, .changes = { OR(s.efer, BIT(63)) } },
	{ "EFER with SCE", RULE_EFER, ENTERS, .changes = { OR(s.efer, EFER_SCE) } },
	{ "CR0 with NW and without CD", RULE_CACHING, INVALID,
	  .changes = { OR(s.cr0, CR0_NW), CLEAR(s.cr0, CR0_CD) } },
	{ "CR0 with NW and CD", RULE_CACHING, ENTERS, .changes = { OR(s.cr0, CR0_NW | CR0_CD) } },
	{ "CR0 with CD", RULE_CACHING, ENTERS, .changes = { OR(s.cr0, CR0_CD) } },
	{ "CR0 with bit 32", RULE_CR0_HIGH, INVALID, .changes = { OR(s.cr0, BIT(32)) } },
	{ "CR0 with bit 63", RULE_CR0_HIGH, INVALID, .changes = { OR(s.cr0, BIT(63)) } },
	/* QUIRK(bochs-2.7): CR3 is not checked. */
	{ "CR3 with the bit above the highest address bit", RULE_CR3, INVALID,
	  .check_is_optional = true, .prepare = cr3_too_wide },
	{ "CR4 with bit 15", RULE_CR4, INVALID, .changes = { OR(s.cr4, BIT(15)) } },
	{ "CR4 with bit 31", RULE_CR4, INVALID, .changes = { OR(s.cr4, BIT(31)) } },
	{ "CR4 with bit 32", RULE_CR4, INVALID, .changes = { OR(s.cr4, BIT(32)) } },
	{ "CR4 with bit 63", RULE_CR4, INVALID, .changes = { OR(s.cr4, BIT(63)) } },
	{ "DR6 with bit 32", RULE_DR6, INVALID, .changes = { OR(s.dr6, DR_HIGH) } },
	{ "DR6 with bit 63", RULE_DR6, INVALID, .changes = { OR(s.dr6, BIT(63)) } },
	{ "DR7 with bit 32", RULE_DR7, INVALID, .changes = { OR(s.dr7, DR_HIGH) } },
	{ "DR7 with bit 63", RULE_DR7, INVALID, .changes = { OR(s.dr7, BIT(63)) } },
	{ "long mode without PAE", RULE_PAE, INVALID, .changes = { CLEAR(s.cr4, CR4_PAE) } },
	{ "long mode with CS.L and CS.D", RULE_CS, INVALID,
	  .changes = { OR(s.cs.attributes, SEG_DB) } },
	{ "no intercept of VMRUN", RULE_INTERCEPT, INVALID,
	  .changes = { CLEAR(c.intercept2, INTERCEPT2_VMRUN) } },
	{ "the MSR permission map behind the last address", RULE_MAPS, INVALID,
	  .prepare = msrpm_behind_end },
	/* QUIRK(bochs-2.7): where a map ends is not looked at. */
	{ "the MSR permission map across the last address", RULE_MAPS, INVALID,
	  .check_is_optional = true, .prepare = msrpm_across_end },
	{ "the I/O permission map behind the last address", RULE_MAPS, INVALID,
	  .prepare = iopm_behind_end },
	{ "the I/O permission map across the last address", RULE_MAPS, INVALID,
	  .check_is_optional = true, .prepare = iopm_across_end },
	{ "the MSR permission map misaligned", RULE_LOW, ENTERS,
	  .changes = { OR(c.msrpm_base, MISALIGNED) } },
	{ "the I/O permission map misaligned", RULE_LOW, ENTERS,
	  .changes = { OR(c.iopm_base, MISALIGNED) } },
	{ "ASID 0", RULE_ASID, INVALID, .changes = { SET(c.asid, 0) } },
	{ "injection of type 1", RULE_TYPE, INVALID,
	  .changes = { SET(c.event_injection, EVENT_VALID | 1 << 8 | 32) } },
	{ "injection of type 5", RULE_TYPE, INVALID,
	  .changes = { SET(c.event_injection, EVENT_VALID | 5 << 8 | 32) } },
	{ "injection of type 6", RULE_TYPE, INVALID,
	  .changes = { SET(c.event_injection, EVENT_VALID | 6 << 8 | 32) } },
	{ "injection of type 7", RULE_TYPE, INVALID,
	  .changes = { SET(c.event_injection, EVENT_VALID | 7 << 8 | 32) } },
	{ "injection of exception 2", RULE_VECTOR, INVALID,
	  .changes = { SET(c.event_injection, EVENT_VALID | EVENT_TYPE_EXCEPTION | 2) } },
	{ "injection of exception 32", RULE_VECTOR, INVALID,
	  .changes = { SET(c.event_injection, EVENT_VALID | EVENT_TYPE_EXCEPTION | 32) } },
	{ "injection of exception 255", RULE_VECTOR, INVALID,
	  .changes = { SET(c.event_injection, EVENT_VALID | EVENT_TYPE_EXCEPTION | 255) } },
	{ "an event that is not valid", "V: set if an event is to be injected", ENTERS,
	  .changes = { SET(c.event_injection, ~EVENT_VALID) } },
	{ "TLB_CONTROL 0", "do nothing", ENTERS, .changes = { SET(c.tlb_control, TLB_KEEP) } },
	{ "TLB_CONTROL 1", "flush entire TLB", ENTERS,
	  .changes = { SET(c.tlb_control, TLB_FLUSH_ALL) } },
	{ "fields of features that are off",
	  "the nested CR3, the PAT and the AVIC pages count with their features only", ENTERS,
	  .changes = { SET(c.ncr3, ~0ULL), SET(s.g_pat, ~0ULL), SET(c.avic_bar, ~0ULL),
		       SET(c.avic_backing, ~0ULL) } },
};

/* What a VMRUN must not do that finds the VMCB invalid. */
static void invalid_keeps_us(void)
{
	u64 cr3 = read_cr3(), efer = rdmsr(MSR_EFER), cr4 = read_cr4();
	struct svm_inner_exit exit;

	svm_inner_reset(entry_code);
	svm_inner_vmcb.c.asid = 0;
	svm_inner_vmcb.s.cr3 = 0;
	svm_inner_vmcb.s.cr4 = CR4_PAE;
	svm_inner_vmcb.s.idtr.limit = 0;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_INVALID);
	test_equal("CR3", read_cr3(), cr3);
	test_equal("CR4", read_cr4(), cr4);
	test_equal("EFER", rdmsr(MSR_EFER), efer);
}

static void good_after_invalid(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(entry_code);
	svm_inner_vmcb.c.asid = 0;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_INVALID);
	/* QUIRK(qemu-7.2): the failed entry has overwritten the state save area. */
	svm_write_guest_long(&svm_inner_vmcb, (u64)entry_code, svm_inner_vmcb.s.rsp);
	svm_inner_vmcb.c.asid = 1;
	svm_inner_run_to_end();
}

static const struct test tests[] = {
	{ "an invalid VMCB leaves the host's state as it was",
	  "VMEXIT_INVALID: the processor loads the host state as for any #VMEXIT",
	  invalid_keeps_us },
	{ "a VMCB that was invalid can be repaired", "#VMEXIT(INVALID) is no abort",
	  good_after_invalid },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases) + ARRAY_SIZE(tests);
}

static void run(void)
{
	entry_cases_run(cases, ARRAY_SIZE(cases));
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite checks_suite = { count, run };

#define RULE_NCR3 "any MBZ bit of nCR3 is set"
#define RULE_PAT  "an unsupported type encoding or a non-zero reserved field in G_PAT"

static void ncr3_too_wide(void)
{
	svm_inner_vmcb.c.ncr3 |= BIT(entry_physical_width());
}

static const struct entry_case npt_cases[] = {
	{ "nested paging", "NP_ENABLE", .outcome = ENTERS },
	/* QUIRK(qemu-7.2): neither the nested CR3 nor the PAT is checked. */
	{ "nCR3 with the bit above the highest address bit", RULE_NCR3, INVALID,
	  .check_is_optional = true, .prepare = ncr3_too_wide },
	{ "PAT with type 2", RULE_PAT, INVALID, .check_is_optional = true,
	  .changes = { SET(s.g_pat, 0x0007040600070402) } },
	{ "PAT with type 3 in the last entry", RULE_PAT, INVALID, .check_is_optional = true,
	  .changes = { SET(s.g_pat, 0x0307040600070406) } },
	{ "PAT with a reserved bit", RULE_PAT, INVALID, .check_is_optional = true,
	  .changes = { SET(s.g_pat, 0x0007048600070406) } },
	{ "PAT with all types", RULE_PAT, ENTERS, .changes = { SET(s.g_pat, 0x0007060504010006) } },
	{ "CR3 that lies nowhere, when paging is off",
	  "CR3 is a guest-physical address, and is not used without paging", ENTERS,
	  .changes = { CLEAR(s.cr0, CR0_PG), CLEAR(s.efer, EFER_LME | EFER_LMA),
		       SET(s.cr3, 0xfffff000), SET(s.cs.attributes, ATTR_CODE32) } },
};

static u32 npt_count(void)
{
	return svm_inner_with_npt() ? ARRAY_SIZE(npt_cases) : 0;
}

static void npt_run(void)
{
	if (svm_inner_with_npt())
		entry_cases_run_npt(npt_cases, ARRAY_SIZE(npt_cases));
}

const struct suite npt_checks_suite = { npt_count, npt_run };
