/*
 * Values that control registers, EFER and PAT refuse, and that reading gives what was written.
 */
#include "guests/paging/paging.h"

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define PAT_RESERVED_TYPE 2ULL

static void expect_gp(const char *what, struct fault fault)
{
	test_equal(what, fault.raised ? fault.vector : ~0ULL, EXC_GP);
}

static void test_cr0(void)
{
	u64 cr0 = read_cr0();

	expect_gp("PG without PE", try_write_cr0(cr0 & ~CR0_PE));
	expect_gp("NW without CD", try_write_cr0(cr0 | CR0_NW));
	expect_gp("bit 32", try_write_cr0(cr0 | BIT(32)));
	test_equal("CR0", read_cr0(), cr0);
	write_cr0((cr0 | CR0_TS | CR0_AM) & ~CR0_MP);
	test_equal("CR0 changed", read_cr0(), (cr0 | CR0_TS | CR0_AM) & ~CR0_MP);
	__asm__ volatile("clts");
	test_equal("CR0 after CLTS", read_cr0(), (cr0 | CR0_AM) & ~CR0_MP);
	__asm__ volatile("lmsw %w0" : : "r"(CR0_PE | CR0_MP | CR0_TS));
	test_equal("CR0 after LMSW", read_cr0(), cr0 | CR0_AM | CR0_MP | CR0_TS);
	write_cr0(cr0);
}

static void test_cr3(void)
{
	u64 cr3 = read_cr3();

	write_cr3(cr3 | PTE_PCD);
	test_equal("CR3", read_cr3(), cr3 | PTE_PCD);
	write_cr3(cr3);
	test_equal("CR3", read_cr3(), cr3);
}

static void test_cr4(void)
{
	u64 cr4 = read_cr4();

	expect_gp("PAE = 0 in long mode", try_write_cr4(cr4 & ~CR4_PAE));
	expect_gp("a reserved bit", try_write_cr4(cr4 | BIT(15)));
	test_equal("CR4", read_cr4(), cr4);
	write_cr4(cr4 | CR4_PGE | CR4_PSE | CR4_TSD);
	test_equal("CR4 changed", read_cr4(), cr4 | CR4_PGE | CR4_PSE | CR4_TSD);
	write_cr4(cr4);
	test_equal("CR4 as before", read_cr4(), cr4);
}

static void test_efer(void)
{
	u64 efer = rdmsr(MSR_EFER);

	test_equal("EFER", efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
	expect_gp("a reserved bit", try_wrmsr(MSR_EFER, efer | BIT(2)));
	expect_gp("LME changed with paging on", try_wrmsr(MSR_EFER, efer & ~EFER_LME));
	wrmsr(MSR_EFER, efer | EFER_SCE);
	test_equal("EFER changed", rdmsr(MSR_EFER), efer | EFER_SCE);
	wrmsr(MSR_EFER, efer);
	test_equal("EFER as before", rdmsr(MSR_EFER), efer);
}

static void test_pat(void)
{
	u64 pat = rdmsr(MSR_PAT);

	expect_gp("a reserved type", try_wrmsr(MSR_PAT, PAT_RESERVED_TYPE));
	wrmsr(MSR_PAT, (pat & ~BITS(63, 56)) | (u64)MEMTYPE_WP << 56);
	test_equal("PAT changed", rdmsr(MSR_PAT) >> 56, MEMTYPE_WP);
	wrmsr(MSR_PAT, pat);
	test_equal("PAT as before", rdmsr(MSR_PAT), pat);
}

static const struct test tests[] = {
	{ "CR0", "#GP(0): invalid combinations of CR0 bits; CLTS and LMSW change the low bits",
	  test_cr0 },
	{ "CR3", "MOV from CR3 gives what MOV to CR3 wrote", test_cr3 },
	{ "CR4", "#GP(0): a reserved bit of CR4, or clearing PAE in long mode", test_cr4 },
	{ "EFER", "#GP(0): a reserved bit of EFER, or a change of LME while CR0.PG = 1",
	  test_efer },
	{ "PAT", "#GP(0): a reserved memory type in a field of IA32_PAT", test_pat },
};

SUITE_OF_TESTS(registers_suite, tests);
