/*
 * RDMSR and WRMSR of the inner guest: with and without the intercept, each range of the MSRPM, MSRs
 * that it does not cover. APM 2 "MSR Intercepts" (15.11).
 */
#include "guests/svm-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define RANGE_END  0x1fffU
#define RANGE_1    0xc0000000U
#define RANGE_2    0xc0010000U
#define SOME_VALUE 0x3456789abcULL

CODE(m_rdmsr, 64, "rdmsr" SVM_INNER_DONE);
CODE(m_wrmsr, 64, "wrmsr" SVM_INNER_DONE);
CODE(m_wrmsr_hlt, 64, "wrmsr\n\thlt");

static void read_sysenter_cs(void)
{
	svm_intercept_msr(svm_inner_msrpm, MSR_SYSENTER_CS, true, false);
}

static void write_sysenter_cs(void)
{
	svm_intercept_msr(svm_inner_msrpm, MSR_SYSENTER_CS, false, true);
}

static void read_lstar(void)
{
	svm_intercept_msr(svm_inner_msrpm, MSR_LSTAR, true, false);
}

static void write_lstar(void)
{
	svm_intercept_msr(svm_inner_msrpm, MSR_LSTAR, false, true);
}

static void read_ends(void)
{
	for (u32 i = 0; i < 3; i++) {
		u32 start = i == 0 ? 0 : i == 1 ? RANGE_1 : RANGE_2;

		svm_intercept_msr(svm_inner_msrpm, start, true, false);
		svm_intercept_msr(svm_inner_msrpm, start + RANGE_END, true, false);
	}
}

static void write_last(void)
{
	svm_intercept_msr(svm_inner_msrpm, RANGE_2 + RANGE_END, false, true);
}

static void intercept_everything(void)
{
	memset(svm_inner_msrpm, 0xff, MSRPM_SIZE);
}

static void intercept_all_but_reads_of_lstar(void)
{
	u32 bit = 2 * (MSR_LSTAR - RANGE_1);

	intercept_everything();
	svm_inner_msrpm[MSRPM_RANGE_BYTES + bit / 8] = (u8)~BIT(bit % 8);
}

static void lstar_is_written(void)
{
	test_equal("LSTAR", svm_inner_vmcb.s.lstar, SOME_VALUE);
}

static void set_sysenter_cs(void)
{
	svm_inner_vmcb.s.sysenter_cs = 0x1230;
}

static void sysenter_cs_is_read(void)
{
	test_equal("value that the guest read", svm_inner_regs.rax, 0x1230);
}

static void keep_sce(void)
{
	svm_inner_regs.rax = svm_inner_vmcb.s.efer ^ EFER_SCE;
}

static void sce_is_changed(void)
{
	test_equal("EFER", svm_inner_vmcb.s.efer, rdmsr(MSR_EFER) ^ EFER_SCE);
}

static void drop_svme(void)
{
	svm_inner_regs.rax = svm_inner_vmcb.s.efer & ~EFER_SVME;
}

static void svme_is_dropped(void)
{
	test_equal("EFER.SVME of the guest", svm_inner_vmcb.s.efer & EFER_SVME, 0);
	test_equal("our EFER.SVME", rdmsr(MSR_EFER) & EFER_SVME, EFER_SVME);
}

static void efer_is_read(void)
{
	test_equal("EFER as the guest read it", svm_inner_regs.rdx << 32 | (u32)svm_inner_regs.rax,
		   svm_inner_vmcb.s.efer);
}

#define MAP .intercept1 = INTERCEPT1_MSR
#define RD  MAP, .exit = SVM_EXIT_MSR, .length = 2, .infos = 1
#define WR  RD, .info1 = 1
#define RULE_MAP                                                                              \
	"Two bits an MSR: the least significant one intercepts reads, the other one writes; " \
	"EXITINFO1 is 0 for RDMSR and 1 for WRMSR"
#define RULE_RANGE                                                                                 \
	"If the MSR_PROT intercept is active, any attempt to read or write an MSR not covered by " \
	"the MSRPM exits"
#define RULE_OFF "If the MSR_PROT intercept is 0, the MSRPM is not used"

static const struct exit_case cases[] = {
	{ "RDMSR does not exit without the intercept", RULE_OFF, m_rdmsr, NO_EXIT,
	  .rcx = MSR_SYSENTER_CS, .prepare = intercept_everything },
	{ "WRMSR does not exit without the intercept", RULE_OFF, m_wrmsr, NO_EXIT,
	  .rcx = MSR_SYSENTER_CS, .prepare = intercept_everything },
	{ "RDMSR of the first range exits", RULE_MAP, m_rdmsr, RD, .rcx = MSR_SYSENTER_CS,
	  .prepare = read_sysenter_cs },
	{ "WRMSR of an MSR whose reads exit does not exit", RULE_MAP, m_wrmsr, MAP, NO_EXIT,
	  .rcx = MSR_SYSENTER_CS, .prepare = read_sysenter_cs },
	{ "WRMSR of the first range exits", RULE_MAP, m_wrmsr, WR, .rcx = MSR_SYSENTER_CS,
	  .prepare = write_sysenter_cs },
	{ "RDMSR of an MSR whose writes exit does not exit", RULE_MAP, m_rdmsr, MAP, NO_EXIT,
	  .rcx = MSR_SYSENTER_CS, .prepare = write_sysenter_cs },
	{ "RDMSR of the second range exits", RULE_MAP, m_rdmsr, RD, .rcx = MSR_LSTAR,
	  .prepare = read_lstar },
	{ "WRMSR of the second range exits", RULE_MAP, m_wrmsr, WR, .rcx = MSR_LSTAR,
	  .prepare = write_lstar },
	{ "RDMSR among all others does not exit", RULE_MAP, m_rdmsr, MAP, NO_EXIT, .rcx = MSR_LSTAR,
	  .prepare = intercept_all_but_reads_of_lstar },
	{ "RDMSR of the first range's first MSR exits", RULE_MAP, m_rdmsr, RD, .rcx = 0,
	  .prepare = read_ends },
	{ "RDMSR of the first range's last MSR exits", RULE_MAP, m_rdmsr, RD, .rcx = RANGE_END,
	  .prepare = read_ends },
	{ "RDMSR of the second range's first MSR exits", RULE_MAP, m_rdmsr, RD, .rcx = RANGE_1,
	  .prepare = read_ends },
	{ "RDMSR of the second range's last MSR exits", RULE_MAP, m_rdmsr, RD,
	  .rcx = RANGE_1 + RANGE_END, .prepare = read_ends },
	{ "RDMSR of the third range's first MSR exits", RULE_MAP, m_rdmsr, RD, .rcx = RANGE_2,
	  .prepare = read_ends },
	{ "RDMSR of the third range's last MSR exits", RULE_MAP, m_rdmsr, RD,
	  .rcx = RANGE_2 + RANGE_END, .prepare = read_ends },
	{ "WRMSR of the third range's last MSR exits", RULE_MAP, m_wrmsr, WR,
	  .rcx = RANGE_2 + RANGE_END, .prepare = write_last },
	{ "RDMSR of an MSR above the first range exits", RULE_RANGE, m_rdmsr, RD,
	  .rcx = RANGE_END + 1 },
	{ "RDMSR of an MSR below the second range exits", RULE_RANGE, m_rdmsr, RD,
	  .rcx = RANGE_1 - 1 },
	{ "WRMSR of an MSR between the second range and the third exits", RULE_RANGE, m_wrmsr, WR,
	  .rcx = RANGE_1 + RANGE_END + 1 },
	{ "WRMSR of an MSR above the third range exits", RULE_RANGE, m_wrmsr, WR,
	  .rcx = RANGE_2 + RANGE_END + 1 },
	{ "WRMSR of the last number of all exits", RULE_RANGE, m_wrmsr, WR, .rcx = 0xffffffff },
	{ "RDMSR takes its number from ECX only", RULE_MAP, m_rdmsr, RD, .rcx = BIT(40) | MSR_LSTAR,
	  .prepare = read_lstar },
	{ "WRMSR that does not exit writes the MSR", RULE_MAP, m_wrmsr, MAP, NO_EXIT,
	  .rcx = MSR_LSTAR, .rax = (u32)SOME_VALUE, .rdx = SOME_VALUE >> 32,
	  .finish = lstar_is_written },
	{ "RDMSR that does not exit reads the guest's MSR", RULE_MAP, m_rdmsr, MAP, NO_EXIT,
	  .rcx = MSR_SYSENTER_CS, .prepare = set_sysenter_cs, .finish = sysenter_cs_is_read },
	{ "WRMSR of EFER that does not exit writes the guest's", RULE_MAP, m_wrmsr, MAP, NO_EXIT,
	  .rcx = MSR_EFER, .prepare = keep_sce, .finish = sce_is_changed },
	{ "WRMSR of EFER can clear the guest's SVME", RULE_MAP, m_wrmsr_hlt,
	  .intercept1 = INTERCEPT1_MSR | INTERCEPT1_HLT, .exit = SVM_EXIT_HLT, .offset = 2,
	  .rcx = MSR_EFER, .prepare = drop_svme, .finish = svme_is_dropped },
	{ "RDMSR of EFER that does not exit reads the guest's", RULE_MAP, m_rdmsr, MAP, NO_EXIT,
	  .rcx = MSR_EFER, .finish = efer_is_read },
	{ "RDMSR at CPL 3 is #GP", "#GP by CPL comes before the intercept", m_rdmsr, RAISES_GP, MAP,
	  .rcx = MSR_SYSENTER_CS, .user = true, .prepare = intercept_everything },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases);
}

static void run(void)
{
	exit_cases_run(cases, ARRAY_SIZE(cases));
}

const struct suite msr_suite = { count, run };
