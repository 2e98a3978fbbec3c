/*
 * Invalidations of SVM: TLB control, ASIDs, INVLPGA, nested CR3s.
 */
#include "guests/invalidation/invalidation.h"
#include "guests/lib/svm_inner.h"
#include "l1-hypervisor/leaf/string.h"

#define ASID 1U

CODE(svm_read_page, 64, "mov (%rsi), %rax\n\tvmmcall");

/* NPTs that share everything but their root. */
static u8 roots[ROOTS][PAGE_SIZE] __attribute__((aligned(4096)));

/* Which of the pages L3 finds from now on, once that is flushed. */
static void show(u32 page)
{
	stage2_map(&svm_inner_npt, L3_PAGE, (u64)pages[page], PAGE_2M, NPT_RAM, 21);
}

static void flush_all(u32 round)
{
	show(round % 2);
	svm_inner_vmcb.c.tlb_control = TLB_FLUSH_ALL;
}

static void flush_asid(u32 round)
{
	show(round % 2);
	svm_inner_vmcb.c.tlb_control = TLB_FLUSH_ASID;
}

static void flush_non_global(u32 round)
{
	show(round % 2);
	svm_inner_vmcb.c.tlb_control = TLB_FLUSH_NON_GLOBAL;
}

/* One for each of the pages: what either has cached stays right. */
static void change_asid(u32 round)
{
	show(round % 2);
	svm_inner_vmcb.c.asid = ASID + round % 2;
}

static void invlpga(u32 round)
{
	(void)round;
	svm_invlpga(L3_PAGE, ASID);
}

/* Of L2's own translations. */
static void invlpga_own(u32 round)
{
	(void)round;
	svm_invlpga(L3_PAGE, 0);
}

static void change_ncr3(u32 round)
{
	svm_inner_vmcb.c.ncr3 = (u64)roots[round % 2];
}

/* More of them than L1 keeps. */
static void change_ncr3s(u32 round)
{
	svm_inner_vmcb.c.ncr3 = (u64)roots[round % ROOTS];
}

static const struct op ops[] = {
	{ "flush-all", flush_all, false, true },
	{ "flush-asid", flush_asid, false, true },
	{ "flush-non-global", flush_non_global, false, true },
	{ "asid", change_asid, false, true },
	{ "invlpga", invlpga, false, false },
	{ "invlpga-own", invlpga_own, false, false },
	{ "ncr3", change_ncr3, false, false },
	{ "ncr3s", change_ncr3s, false, false },
	{ .name = NULL },
};

/* L2's clean bits are zero: what a round changes is not taken for clean. */
static void run_l3(u64 expected)
{
	struct svm_inner_exit exit;

	svm_inner_regs.rsi = L3_PAGE;
	svm_inner_vmcb.s.rip = (u64)svm_read_page;
	svm_inner_run(&exit);
	svm_inner_vmcb.c.tlb_control = TLB_KEEP;
	if (svm_inner_exited(&exit, SVM_EXIT_VMMCALL))
		test_equal("what L3 found", svm_inner_regs.rax, expected);
}

static void start(const struct op *op)
{
	(void)op;
	svm_inner_reset(svm_read_page);
	svm_inner_use_npt();
	show(0);
	for (u32 i = 0; i < ROOTS; i++)
		memcpy(roots[i], svm_inner_npt.root, PAGE_SIZE);
}

const struct extension svm_extension = {
	.ops = ops,
	.tagged = "tlb=asid",
	.init = svm_inner_init,
	.start = start,
	.run_l3 = run_l3,
};
