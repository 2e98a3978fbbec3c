/*
 * Nested paging as the inner guest meets it: translation, changes and what makes them count, page
 * sizes, accessed and dirty bits of the nested tables. APM 2 "Nested Paging" (15.25), "TLB Control"
 * (15.16).
 */
#include "guests/lib/pages.h"
#include "guests/svm-exit/npt_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define SHIFT_1G    30
#define SHIFT_2M    21
#define HERE        0xc3 /* what npt_start() fills npt_page with */
#define THERE       0x5a
#define TABLES      3
#define AD          (PTE_A | PTE_D)
#define FIRST_ASID  1
#define SECOND_ASID 2

/* CPUID 8000_0001 EDX: pages of 1 GiB. */
#define CPUID_EDX_PAGE_1G BIT32(26)

static u8 tables[TABLES * PAGE_SIZE] __attribute__((aligned(4096)));

static bool has_1g_pages(void)
{
	return cpuid(0x80000001, 0).edx & CPUID_EDX_PAGE_1G;
}

static u64 *start_other(const char *code)
{
	u64 *entry = npt_start(code);

	memset(npt_other_page, THERE, PAGE_SIZE);
	return entry;
}

static void remap(u64 *entry)
{
	*entry = (u64)npt_other_page | NPT_RAM;
}

static void reads(u64 want)
{
	npt_again(npt_read);
	test_equal("byte that the guest read", (u8)svm_inner_regs.rax, want);
}

static void translates(void)
{
	remap(start_other(npt_read));
	npt_flush();
	reads(THERE);
}

static void translates_anew_after_flush(void)
{
	u64 *entry = start_other(npt_read);

	reads(HERE);
	remap(entry);
	npt_flush();
	reads(THERE);
}

static void translates_anew_after_asid_flush(void)
{
	bool by_asid = svm_inner_features->bits & SVM_FEATURE_FLUSH_BY_ASID;
	u64 *entry = start_other(npt_read);

	reads(HERE);
	remap(entry);
	svm_inner_vmcb.c.tlb_control = by_asid ? TLB_FLUSH_ASID : TLB_FLUSH_ALL;
	reads(THERE);
}

static void translates_anew_in_new_asid(void)
{
	u64 *entry = start_other(npt_read);

	reads(HERE);
	remap(entry);
	svm_inner_vmcb.c.tlb_control = TLB_KEEP;
	svm_inner_vmcb.c.asid = SECOND_ASID + 1;
	svm_inner_vmcb.c.clean = 0;
	reads(THERE);
}

static void rights_taken_away(void)
{
	u64 *entry = start_other(npt_write);

	npt_again(npt_write);
	*entry &= ~PTE_W;
	npt_flush();
	svm_inner_vmcb.s.rip = (u64)npt_write;
	npt_faulted(PF_P | PF_W | PF_U, (u64)npt_page);
	*entry |= PTE_W;
	npt_again(npt_write);
}

static void writes_through(void)
{
	u64 *entry = start_other(npt_write);

	remap(entry);
	npt_flush();
	svm_inner_regs.rax = 0x77;
	svm_inner_run_to_end();
	test_equal("byte of the page behind", npt_other_page[0], 0x77);
	test_equal("byte of the page before", npt_page[0], HERE);
}

static void pages_of_1g(void)
{
	struct stage2 other;

	npt_start(npt_write);
	stage2_init(&other, tables, TABLES);
	stage2_map(&other, 0, 0, BIT(32), NPT_RAM, SHIFT_1G);
	svm_use_npt(&svm_inner_vmcb, &other);
	svm_inner_regs.rax = 0x44;
	svm_inner_run_to_end();
	test_equal("byte that the guest wrote", npt_page[0], 0x44);
}

/* Two address spaces in turn, each in its ASID, without a flush. */
static void two_address_spaces(void)
{
	static u8 more[8 * PAGE_SIZE] __attribute__((aligned(4096)));
	u64 first;
	struct stage2 second;

	remap(start_other(npt_read));
	npt_flush();
	first = svm_inner_vmcb.c.ncr3;
	stage2_init(&second, more, 8);
	stage2_map(&second, 0, 0, BIT(32), NPT_RAM, SHIFT_2M);
	reads(THERE);
	for (u32 i = 0; i < 2; i++) {
		svm_inner_vmcb.c.tlb_control = TLB_KEEP;
		svm_inner_vmcb.c.clean = 0;
		svm_inner_vmcb.c.asid = SECOND_ASID;
		svm_inner_vmcb.c.ncr3 = (u64)second.root;
		reads(HERE);
		svm_inner_vmcb.c.asid = FIRST_ASID;
		svm_inner_vmcb.c.ncr3 = first;
		reads(THERE);
	}
}

/* With nested paging and without in turn: the guest's addresses are ours without. */
static void on_and_off(void)
{
	remap(start_other(npt_read));
	npt_flush();
	reads(THERE);
	svm_inner_vmcb.c.nested_control = 0;
	npt_flush();
	reads(HERE);
	svm_inner_vmcb.c.nested_control = NESTED_NP_ENABLE;
	npt_flush();
	reads(THERE);
}

static u64 *start_ad(const char *code)
{
	u64 *entry = npt_start(code);

	*entry &= ~AD;
	*stage2_entry(&svm_inner_npt, (u64)npt_other_page, PAGE_SHIFT) &= ~AD;
	*stage2_entry(&svm_inner_npt, (u64)npt_page, SHIFT_2M) &= ~AD;
	npt_flush();
	return entry;
}

static void read_sets_accessed(void)
{
	u64 *entry = start_ad(npt_read);

	svm_inner_run_to_end();
	test_equal("bits of the page", *entry & AD, PTE_A);
	test_equal("bits of a page that nobody used",
		   *stage2_entry(&svm_inner_npt, (u64)npt_other_page, PAGE_SHIFT) & AD, 0);
	test_equal("accessed bit of the directory",
		   *stage2_entry(&svm_inner_npt, (u64)npt_page, SHIFT_2M) & PTE_A, PTE_A);
}

static void write_sets_dirty(void)
{
	u64 *entry = start_ad(npt_write);

	svm_inner_run_to_end();
	test_equal("bits of the page", *entry & AD, AD);
}

static void write_after_read_sets_dirty(void)
{
	u64 *entry = start_ad(npt_read);

	svm_inner_run_to_end();
	test_equal("bits of the page after a read", *entry & AD, PTE_A);
	npt_again(npt_write);
	test_equal("bits of the page after a write", *entry & AD, AD);
}

static void cleared_bits_are_set_again(void)
{
	u64 *entry = start_ad(npt_write);

	svm_inner_run_to_end();
	*entry &= ~AD;
	npt_flush();
	npt_again(npt_write);
	test_equal("bits of the page", *entry & AD, AD);
}

static void absent_gets_no_bits(void)
{
	u64 *entry = start_ad(npt_write);

	*entry &= ~PTE_P;
	npt_faulted(PF_W | PF_U, (u64)npt_page);
	test_equal("bits of the page", *entry & AD, 0);
	*entry |= PTE_P;
	svm_inner_run_to_end();
}

#define RULE_TRANSLATES "Guest physical addresses are translated by the tables at nCR3"
#define RULE_FLUSH \
	"TLB_CONTROL 1 flushes the entire TLB, 3 this guest's entries; a new ASID has no entries"
#define RULE_AD \
	"The processor sets accessed and dirty bits in the nested tables as in the guest's tables"

static const struct test tests[] = {
	{ "nested paging translates", RULE_TRANSLATES, translates },
	{ "nested paging translates anew after a flush", RULE_FLUSH, translates_anew_after_flush },
	{ "nested paging translates anew after a flush of the ASID", RULE_FLUSH,
	  translates_anew_after_asid_flush },
	{ "nested paging translates anew in a new ASID", RULE_FLUSH, translates_anew_in_new_asid },
	{ "rights that are taken away are gone after a flush", RULE_FLUSH, rights_taken_away },
	{ "nested paging translates writes", RULE_TRANSLATES, writes_through },
	{ "two nCR3s are two address spaces", RULE_TRANSLATES, two_address_spaces },
	{ "nested paging is switched on and off", "NP_ENABLE", on_and_off },
	{ "a read sets the accessed bit", RULE_AD, read_sets_accessed },
	{ "a write sets the dirty bit", RULE_AD, write_sets_dirty },
	{ "a write after a read sets the dirty bit", RULE_AD, write_after_read_sets_dirty },
	{ "bits that were cleared are set again", RULE_AD, cleared_bits_are_set_again },
	{ "an absent page gets no bits", RULE_AD, absent_gets_no_bits },
};

static const struct test tests_1g[] = {
	{ "nested pages of 1 GiB", "A nested PDPE with PS = 1 maps 1 GiB", pages_of_1g },
};

static u32 count(void)
{
	if (!svm_inner_with_npt())
		return 0;
	return ARRAY_SIZE(tests) + (has_1g_pages() ? ARRAY_SIZE(tests_1g) : 0);
}

static void run(void)
{
	if (!svm_inner_with_npt())
		return;
	tests_run(tests, ARRAY_SIZE(tests));
	if (has_1g_pages())
		tests_run(tests_1g, ARRAY_SIZE(tests_1g));
}

const struct suite npt_suite = { count, run };
