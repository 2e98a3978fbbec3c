/*
 * Pointers of SVM to memory that is not ours: L1's, none at all, beyond the machine. Whatever an
 * entry then does, it must not find anything there, and the next entry works as ever.
 */
#include "guests/hostile/point.h"
#include "guests/lib/exceptions.h"
#include "guests/lib/svm_inner.h"
#include "l1-hypervisor/leaf/insn.h"

CODE(svm_point_code, 64, "vmmcall");
CODE(svm_point_read, 64, "mov (%rdi), %al\n\tvmmcall");
CODE(svm_point_write, 64, "movb $0x5a, (%rdi)\n\tvmmcall");
CODE(svm_point_rdmsr, 64, "rdmsr\n\tvmmcall");
CODE(svm_point_in, 64, "in $0x80, %al\n\tvmmcall");

static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));
static struct vmcb ours;

/* Whether the inner guest got as far as its VMMCALL; it exits at any fault. */
static bool reaches_its_end(void)
{
	struct svm_inner_exit exit;

	svm_inner_vmcb.c.intercept_exceptions = ~0U;
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_SHUTDOWN;
	svm_inner_run(&exit);
	return exit.exit == SVM_EXIT_VMMCALL;
}

/* Nothing that went before has broken anything. */
static bool still_works(void)
{
	svm_inner_reset(svm_point_code);
	return reaches_its_end();
}

/* An instruction whose operand is RAX. What it loaded is ours again behind it. */
#define TRY_AT(insn, at)                                                            \
	do {                                                                        \
		svm_vmsave((u64)&ours);                                             \
		__asm__ volatile(TRY(insn "\n\tnop") : : "a"(at) : "cc", "memory"); \
		svm_stgi();                                                         \
		svm_vmload((u64)&ours);                                             \
	} while (0)

static bool vmcb(u64 at)
{
	TRY_AT("vmrun %%rax", at);
	return still_works();
}

static bool vmload(u64 at)
{
	TRY_AT("vmload %%rax", at);
	return still_works();
}

static bool vmsave(u64 at)
{
	TRY_AT("vmsave %%rax", at);
	return still_works();
}

static bool save_area(u64 at)
{
	u64 before = rdmsr(MSR_VM_HSAVE_PA);
	bool works;

	try_wrmsr(MSR_VM_HSAVE_PA, at);
	works = still_works();
	wrmsr(MSR_VM_HSAVE_PA, before);
	return works && still_works();
}

static bool msr_map(u64 at)
{
	svm_inner_reset(svm_point_rdmsr);
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_MSR;
	svm_inner_vmcb.c.msrpm_base = at;
	svm_inner_regs.rcx = MSR_STAR;
	reaches_its_end();
	return still_works();
}

static bool io_map(u64 at)
{
	svm_inner_reset(svm_point_in);
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_IOIO;
	svm_inner_vmcb.c.iopm_base = at;
	reaches_its_end();
	return still_works();
}

static bool avic_pages(u64 at)
{
	svm_inner_reset(svm_point_code);
	svm_inner_vmcb.c.int_control = INT_AVIC_ENABLE;
	svm_inner_vmcb.c.avic_bar = at;
	svm_inner_vmcb.c.avic_backing = at;
	svm_inner_vmcb.c.avic_logical = at;
	svm_inner_vmcb.c.avic_physical = at;
	reaches_its_end();
	return still_works();
}

static bool guest_cr3(u64 at)
{
	svm_inner_reset(svm_point_code);
	svm_inner_vmcb.s.cr3 = at;
	return !reaches_its_end() && still_works();
}

static bool nested_cr3(u64 at)
{
	svm_inner_reset(svm_point_code);
	svm_inner_use_npt();
	svm_inner_vmcb.c.ncr3 = at;
	return !reaches_its_end() && still_works();
}

/* The inner guest's page is mapped there: it may exit, or find nothing. */
static bool mapped(u64 at, const char *code)
{
	svm_inner_reset(code);
	svm_inner_use_npt();
	svm_inner_split_npt((u64)page);
	*stage2_entry(&svm_inner_npt, (u64)page, PAGE_SHIFT) = at | NPT_RAM;
	svm_inner_regs.rdi = (u64)page;
	return reaches_its_end();
}

/* What is read where nothing is: ones, or zeros on TCG. */
static bool reads_nothing(u64 at)
{
	u8 found;

	if (!mapped(at, svm_point_read))
		return true;
	found = (u8)svm_inner_regs.rax;
	return found == 0 || found == 0xff;
}

static bool npt_leaf(u64 at)
{
	if (!reads_nothing(at))
		return false;
	mapped(at, svm_point_write);
	return reads_nothing(at) && still_works();
}

static const struct pointer pointers[] = {
	{ "VMCB of VMRUN", vmcb },
	{ "VMCB of VMLOAD", vmload },
	{ "VMCB of VMSAVE", vmsave },
	{ "host save area", save_area },
	{ "MSR permission map", msr_map },
	{ "I/O permission map", io_map },
	{ "AVIC pages", avic_pages },
	{ "CR3", guest_cr3 },
	/* The rest needs NPT. */
	{ "nested CR3", nested_cr3 },
	{ "NPT leaf", npt_leaf },
};

#define WITHOUT_NPT (ARRAY_SIZE(pointers) - 2)

int hostile_svm_point(const struct hostile *h)
{
	svm_inner_init();
	return point_run(pointers, svm_inner_with_npt() ? ARRAY_SIZE(pointers) : WITHOUT_NPT, h);
}
