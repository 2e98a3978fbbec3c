/*
 * RDMSR and WRMSR of the inner guest: with and without MSR bitmaps, each of the four parts of the
 * bitmap, MSRs that it does not cover. SDM 3C "MSR-Bitmap Address" (25.6.9).
 */
#include "guests/vmx-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"

#define READ_LOW   0
#define READ_HIGH  1024
#define WRITE_LOW  2048
#define WRITE_HIGH 3072
#define LOW_END    0x1fff
#define HIGH_START 0xc0000000
#define HIGH_END   0xc0001fff
#define SOME_VALUE 0x3456789abcULL

CODE(m_rdmsr, 64, "rdmsr" INNER_DONE);
CODE(m_wrmsr, 64, "wrmsr" INNER_DONE);

static u64 saved;

static void intercept(u32 part, u32 msr)
{
	inner_msr_bitmap[part + (msr & LOW_END) / 8] |= (u8)(1 << (msr & 7));
}

static void no_bitmap(void)
{
	inner_clear_bits(VMCS_PROC_CONTROLS, PROC_MSR_BITMAPS);
}

static void read_sysenter_cs(void)
{
	intercept(READ_LOW, MSR_SYSENTER_CS);
}

static void write_sysenter_cs(void)
{
	intercept(WRITE_LOW, MSR_SYSENTER_CS);
}

static void read_lstar(void)
{
	intercept(READ_HIGH, MSR_LSTAR);
}

static void write_lstar(void)
{
	intercept(WRITE_HIGH, MSR_LSTAR);
}

static void read_ends(void)
{
	intercept(READ_LOW, LOW_END);
	intercept(READ_HIGH, HIGH_END);
	intercept(READ_LOW, 0);
	intercept(READ_HIGH, HIGH_START);
}

static void intercept_all_but_reads_of_lstar(void)
{
	for (u32 i = 0; i < PAGE_SIZE; i++)
		inner_msr_bitmap[i] = 0xff;
	inner_msr_bitmap[READ_HIGH + (MSR_LSTAR & LOW_END) / 8] = (u8)~BIT(MSR_LSTAR & 7);
}

static void keep_lstar(void)
{
	saved = rdmsr(MSR_LSTAR);
}

static void lstar_is_written(void)
{
	test_equal("IA32_LSTAR", rdmsr(MSR_LSTAR), SOME_VALUE);
	wrmsr(MSR_LSTAR, saved);
}

static void keep_sysenter_cs(void)
{
	inner_set_bits(VMCS_GUEST_SYSENTER_CS, 0x1230);
}

static void sysenter_cs_is_read(void)
{
	test_equal("value that the guest read", inner_regs.rax, 0x1230);
}

#define RD          .reason = VMX_EXIT_RDMSR, .length = 2
#define WR          .reason = VMX_EXIT_WRMSR, .length = 2
#define RULE_ALL    "RDMSR and WRMSR exit if the \"use MSR bitmaps\" control is 0"
#define RULE_BITMAP "The instruction exits if the bit for the MSR in ECX is 1 in its bitmap"
#define RULE_RANGE                                                                             \
	"The instruction exits if the value of ECX is in neither of the ranges 0 - 1FFFH and " \
	"C0000000H - C0001FFFH"

static const struct exit_case cases[] = {
	{ "RDMSR exits without bitmap", RULE_ALL, m_rdmsr, RD, .rcx = MSR_SYSENTER_CS,
	  .prepare = no_bitmap },
	{ "WRMSR exits without bitmap", RULE_ALL, m_wrmsr, WR, .rcx = MSR_SYSENTER_CS,
	  .prepare = no_bitmap },
	{ "RDMSR of a low MSR exits", RULE_BITMAP, m_rdmsr, RD, .rcx = MSR_SYSENTER_CS,
	  .prepare = read_sysenter_cs },
	{ "WRMSR of a low MSR whose reads exit does not exit", RULE_BITMAP, m_wrmsr, NO_EXIT,
	  .rcx = MSR_SYSENTER_CS, .prepare = read_sysenter_cs },
	{ "WRMSR of a low MSR exits", RULE_BITMAP, m_wrmsr, WR, .rcx = MSR_SYSENTER_CS,
	  .prepare = write_sysenter_cs },
	{ "RDMSR of a low MSR whose writes exit does not exit", RULE_BITMAP, m_rdmsr, NO_EXIT,
	  .rcx = MSR_SYSENTER_CS, .prepare = write_sysenter_cs },
	{ "RDMSR of a high MSR exits", RULE_BITMAP, m_rdmsr, RD, .rcx = MSR_LSTAR,
	  .prepare = read_lstar },
	{ "WRMSR of a high MSR exits", RULE_BITMAP, m_wrmsr, WR, .rcx = MSR_LSTAR,
	  .prepare = write_lstar },
	{ "RDMSR of a high MSR among all others does not exit", RULE_BITMAP, m_rdmsr, NO_EXIT,
	  .rcx = MSR_LSTAR, .prepare = intercept_all_but_reads_of_lstar },
	{ "RDMSR of the first low MSR exits", RULE_BITMAP, m_rdmsr, RD, .rcx = 0,
	  .prepare = read_ends },
	{ "RDMSR of the last low MSR exits", RULE_BITMAP, m_rdmsr, RD, .rcx = LOW_END,
	  .prepare = read_ends },
	{ "RDMSR of the first high MSR exits", RULE_BITMAP, m_rdmsr, RD, .rcx = HIGH_START,
	  .prepare = read_ends },
	{ "RDMSR of the last high MSR exits", RULE_BITMAP, m_rdmsr, RD, .rcx = HIGH_END,
	  .prepare = read_ends },
	{ "RDMSR of an MSR above the low ones exits", RULE_RANGE, m_rdmsr, RD, .rcx = LOW_END + 1 },
	{ "RDMSR of an MSR below the high ones exits", RULE_RANGE, m_rdmsr, RD,
	  .rcx = HIGH_START - 1 },
	{ "WRMSR of an MSR above the high ones exits", RULE_RANGE, m_wrmsr, WR,
	  .rcx = HIGH_END + 1 },
	{ "WRMSR of the last number of all exits", RULE_RANGE, m_wrmsr, WR, .rcx = 0xffffffff },
	{ "RDMSR takes its number from ECX only", RULE_BITMAP, m_rdmsr, RD,
	  .rcx = BIT(40) | MSR_LSTAR, .prepare = read_lstar },
	{ "WRMSR that does not exit writes the MSR", RULE_BITMAP, m_wrmsr, NO_EXIT,
	  .rcx = MSR_LSTAR, .rax = (u32)SOME_VALUE, .rdx = SOME_VALUE >> 32, .prepare = keep_lstar,
	  .finish = lstar_is_written },
	{ "RDMSR that does not exit reads the guest's MSR", RULE_BITMAP, m_rdmsr, NO_EXIT,
	  .rcx = MSR_SYSENTER_CS, .prepare = keep_sysenter_cs, .finish = sysenter_cs_is_read },
	{ "RDMSR at CPL 3 is #GP", "Faults based on privilege level come first", m_rdmsr, RAISES_GP,
	  .rcx = MSR_SYSENTER_CS, .user = true, .prepare = no_bitmap },
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
