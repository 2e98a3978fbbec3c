/*
 * Nested page faults: which access by which entry faults, and what EXITINFO1 and EXITINFO2 say.
 * APM 2 "Nested Page Faults" in "Nested Paging" (15.25.6).
 */
#include "guests/lib/pages.h"
#include "guests/svm-exit/npt_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE 96
#define SHIFT_2M  21

struct access {
	const char *name, *code;
	u64 error;
	u64 right; /* bits that its entry must have */
	u64 ban;   /* bits that its entry must not have */
};

static const struct access accesses[] = {
	{ "a read", npt_read, PF_U, PTE_P | PTE_U, 0 },
	{ "a write", npt_write, PF_U | PF_W, PTE_P | PTE_U | PTE_W, 0 },
	{ "a fetch", npt_call, PF_U | PF_I, PTE_P | PTE_U, PTE_NX },
};

struct rights {
	const char *name;
	u64 bits;
};

static const struct rights rights[] = {
	{ "an absent page", 0 },
	{ "an absent page with other bits set", PTE_W | PTE_U },
	{ "a read-only page", PTE_P | PTE_U },
	{ "a page without execution", PTE_P | PTE_W | PTE_U | PTE_NX },
	{ "a read-only page without execution", PTE_P | PTE_U | PTE_NX },
	{ "a supervisor page", PTE_P | PTE_W },
	{ "an open page", PTE_P | PTE_W | PTE_U },
};

#define RIGHTS (PTE_P | PTE_W | PTE_U | PTE_NX)

static void run_access(const struct access *a, const struct rights *r)
{
	bool allowed = (r->bits & a->right) == a->right && !(r->bits & a->ban);
	char name[NAME_SIZE];
	u64 *entry;

	snprintf(name, sizeof(name), "%s of %s %s", a->name, r->name,
		 allowed ? "passes" : "is a nested page fault");
	test_begin(
		name,
		"EXITINFO1 bits 4:0 are those of a #PF error code; all accesses to the nested "
		"tables are as by user mode; bit 32: the guest's final physical address faulted");
	entry = npt_start(a->code);
	*entry = (*entry & ~RIGHTS) | r->bits;
	npt_flush();
	if (allowed) {
		svm_inner_run_to_end();
	} else if (npt_faulted(a->error | (r->bits & PTE_P), (u64)npt_page)) {
		*entry = (*entry & ~RIGHTS) | NPT_RAM;
		npt_flush();
		svm_inner_run_to_end();
	}
	test_end();
}

static void reserved_bit_in_page(void)
{
	u64 *entry = npt_start(npt_read);

	*entry |= BIT(51);
	npt_flush();
	npt_faulted(PF_P | PF_U | PF_RSVD, (u64)npt_page);
	*entry &= ~BIT(51);
	npt_flush();
	svm_inner_run_to_end();
}

static void reserved_bit_in_large_page(void)
{
	u64 *directory, entry;

	npt_start(npt_read);
	svm_inner_regs.rdi = BIT(30);
	directory = stage2_entry(&svm_inner_npt, BIT(30), SHIFT_2M);
	entry = *directory;
	*directory |= BIT(14); /* below the address of a page of 2 MiB */
	npt_flush();
	npt_faulted(PF_P | PF_U | PF_RSVD, BIT(30));
	*directory = entry;
	npt_flush();
	svm_inner_run_to_end();
}

static void absent_table(void)
{
	u64 *directory;

	npt_start(npt_read);
	svm_inner_regs.rdi = BIT(30);
	directory = stage2_entry(&svm_inner_npt, BIT(30), SHIFT_2M);
	*directory &= ~PTE_P;
	npt_flush();
	npt_faulted(PF_U, BIT(30));
	*directory |= PTE_P;
	npt_flush();
	svm_inner_run_to_end();
}

/* A directory without PTE_W takes it from all pages below. */
static void rights_are_combined(void)
{
	u64 *directory;
	struct svm_inner_exit exit;

	npt_start(npt_write);
	directory = stage2_entry(&svm_inner_npt, (u64)npt_page, SHIFT_2M);
	*directory &= ~PTE_W;
	npt_flush();
	svm_inner_run(&exit);
	/* The guest's own tables are below too, and their walk is a write for the nested tables. */
	if (svm_inner_exited(&exit, SVM_EXIT_NPF))
		test_equal("bits 4:0 of EXITINFO1", exit.info1 & BITS(4, 0), PF_P | PF_W | PF_U);
	*directory |= PTE_W;
	npt_flush();
	svm_inner_run_to_end();
}

/* Takes `bits` from the page of the table whose entry maps npt_page. */
static void walk_faults(u64 bits, u64 present)
{
	u64 table = (u64)page_entry((u64)npt_page);
	struct svm_inner_exit exit;
	u64 *entry;

	npt_start(npt_read);
	entry = stage2_entry(&svm_inner_npt, table, PAGE_SHIFT);
	*entry &= ~bits;
	npt_flush();
	svm_inner_run(&exit);
	if (svm_inner_exited(&exit, SVM_EXIT_NPF)) {
		test_equal("EXITINFO1", exit.info1, NPF_GUEST_TABLE | PF_U | PF_W | present);
		test_equal("page of EXITINFO2, from the table",
			   (exit.info2 & ~PAGE_MASK) - (table & ~PAGE_MASK), 0);
	}
	*entry |= NPT_RAM;
	npt_flush();
	svm_inner_run_to_end();
}

static void walk_of_absent_table(void)
{
	walk_faults(PTE_P, 0);
}

static void guest_faults_first(void)
{
	struct svm_inner_exit exit;
	u64 *entry = npt_start(npt_read);
	u64 before;

	*entry &= ~PTE_P;
	before = page_change(npt_page, 0, PTE_P);
	npt_flush();
	svm_inner_vmcb.c.intercept_exceptions = BIT32(EXC_PF);
	svm_inner_run(&exit);
	page_restore(npt_page, before);
	if (svm_inner_exited(&exit, SVM_EXIT_EXCEPTION_PF)) {
		test_equal("EXITINFO1", exit.info1, 0);
		test_equal("EXITINFO2, from the page", exit.info2 - (u64)npt_page, 0);
	}
}

static void address_within_the_page(void)
{
	struct svm_inner_exit exit;
	u64 *entry = npt_start(npt_read);

	*entry &= ~PTE_P;
	npt_flush();
	svm_inner_regs.rdi += 0x123;
	svm_inner_vmcb.s.cr2 = read_cr2();
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_NPF);
	test_equal("EXITINFO2, from the page", exit.info2 - (u64)npt_page, 0x123);
	test_equal("RIP, from the start of the code", svm_inner_vmcb.s.rip - (u64)npt_read, 0);
	test_equal("EXITINTINFO.V", exit.int_info & EVENT_VALID, 0);
	test_equal("CR2", svm_inner_vmcb.s.cr2, read_cr2());
}

static void fixed_without_flush(void)
{
	u64 *entry = npt_start(npt_read);

	*entry &= ~PTE_P;
	npt_flush();
	npt_faulted(PF_U, (u64)npt_page);
	*entry |= PTE_P;
	svm_inner_vmcb.c.tlb_control = TLB_KEEP;
	svm_inner_run_to_end();
}

#define RULE_FAULT "A nested page fault exits with the faulting guest physical address in EXITINFO2"

static const struct test tests[] = {
	{ "a reserved bit of a page is a nested page fault",
	  "EXITINFO1 bit 3 (RSV) is 1 if reserved bits were set in the nested page table",
	  reserved_bit_in_page },
	{ "a reserved bit of a 2-MiB page is a nested page fault",
	  "EXITINFO1 bit 3 (RSV) is 1 if reserved bits were set in the nested page table",
	  reserved_bit_in_large_page },
	{ "an absent table is a nested page fault", RULE_FAULT, absent_table },
	{ "rights of all levels count", "As in the guest's tables, all levels must allow an access",
	  rights_are_combined },
	{ "a page walk can fault",
	  "EXITINFO1 bit 33: the fault occurred while translating a guest page table; such "
	  "accesses are user writes",
	  walk_of_absent_table },
	{ "a #PF of the guest comes before a nested page fault",
	  "A guest page fault is detected before the nested tables are walked for the final "
	  "address",
	  guest_faults_first },
	{ "a nested page fault tells the address within the page", RULE_FAULT,
	  address_within_the_page },
	{ "an entry made present counts without a flush", "Absent entries are not cached",
	  fixed_without_flush },
};

static u32 count(void)
{
	return svm_inner_with_npt() ? ARRAY_SIZE(accesses) * ARRAY_SIZE(rights) + ARRAY_SIZE(tests)
				    : 0;
}

static void run(void)
{
	if (!svm_inner_with_npt())
		return;
	for (size_t a = 0; a < ARRAY_SIZE(accesses); a++) {
		for (size_t r = 0; r < ARRAY_SIZE(rights); r++)
			run_access(&accesses[a], &rights[r]);
	}
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite npt_fault_suite = { count, run };
