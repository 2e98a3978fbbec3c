/*
 * The inner guest without nested paging: its CR3 holds tables of our physical addresses, as a
 * hypervisor with shadow page tables gives them. What we change there counts after a flush, a new
 * ASID or INVLPGA; what the guest does with its CR3 and INVLPG is its own. APM 2 "TLB Control"
 * (15.16), "INVLPGA".
 *
 * QUIRK(qemu-7.2): the error code of a reserved bit lacks P.
 * QUIRK(bochs-2.7): VMRUN does not load CR2.
 */
#include "guests/lib/pages.h"
#include "guests/svm-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define HERE        0x11
#define THERE       0x22
#define TABLE_PAGES 12
#define SHIFT_2M    21
#define ASID        1
#define GUEST_CR2   0x1234000
#define OUR_CR2     0x5678000

CODE(g_read, 64, "mov (%rdi), %al" SVM_INNER_DONE);
CODE(g_write, 64, "mov %al, (%rdi)" SVM_INNER_DONE);
CODE(g_call, 64, "call *%rdi" SVM_INNER_DONE);
/* Reads, switches to the tables in RSI and reads again: AL, BL. */
CODE(g_switch, 64, "mov (%rdi), %bl\n\tmov %rsi, %cr3\n\tmov (%rdi), %al" SVM_INNER_DONE);
/* Reads, writes R8 into the entry at RSI, invalidates and reads again: BL, AL. */
CODE(g_remap, 64,
     "mov (%rdi), %bl\n\tmov %r8, (%rsi)\n\tinvlpg (%rdi)\n\tmov (%rdi), %al" SVM_INNER_DONE);

static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 other[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 pages[TABLE_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static struct stage2 tables;

/* The inner guest has tables of its own, an identity map in which `page` has an entry of its own.
 * They have the format of nested tables. */
static u64 *start(const char *code)
{
	u64 around = ALIGN_DOWN((u64)page, BIT(SHIFT_2M));

	svm_inner_reset(code);
	memset(page, HERE, PAGE_SIZE);
	memset(other, THERE, PAGE_SIZE);
	stage2_init(&tables, pages, TABLE_PAGES);
	stage2_map(&tables, 0, 0, BIT(32), NPT_RAM, SHIFT_2M);
	*stage2_entry(&tables, around, SHIFT_2M) = 0;
	stage2_map(&tables, around, around, BIT(SHIFT_2M), NPT_RAM, PAGE_SHIFT);
	svm_inner_vmcb.s.cr3 = (u64)tables.root;
	svm_inner_vmcb.c.intercept_exceptions = BIT32(EXC_PF);
	svm_inner_regs.rdi = (u64)page;
	return stage2_entry(&tables, (u64)page, PAGE_SHIFT);
}

static void remap(u64 *entry)
{
	*entry = (u64)other | NPT_RAM;
}

static void reads(u64 want)
{
	svm_inner_vmcb.s.rip = (u64)g_read;
	svm_inner_run_to_end();
	test_equal("byte that the guest read", (u8)svm_inner_regs.rax, want);
	svm_inner_vmcb.c.tlb_control = TLB_KEEP;
}

static void own_tables(void)
{
	remap(start(g_read));
	reads(THERE);
	test_equal("byte that we read there", *(volatile u8 *)page, HERE);
}

static void anew_after_flush(void)
{
	u64 *entry = start(g_read);

	reads(HERE);
	remap(entry);
	svm_inner_vmcb.c.tlb_control = TLB_FLUSH_ALL;
	reads(THERE);
}

static void anew_in_new_asid(void)
{
	u64 *entry = start(g_read);

	reads(HERE);
	remap(entry);
	svm_inner_vmcb.c.asid = ASID + 3;
	svm_inner_vmcb.c.clean = 0;
	reads(THERE);
}

static void anew_after_invlpga(void)
{
	u64 *entry = start(g_read);

	reads(HERE);
	remap(entry);
	svm_invlpga((u64)page, ASID);
	reads(THERE);
}

static void fixed_without_flush(void)
{
	u64 *entry = start(g_read);
	struct svm_inner_exit exit;

	*entry &= ~PTE_P;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_EXCEPTION_PF);
	*entry |= PTE_P;
	svm_inner_vmcb.c.tlb_control = TLB_KEEP;
	reads(HERE);
}

static void guest_switches(void)
{
	u64 ours = read_cr3();

	remap(start(g_switch));
	svm_inner_regs.rsi = ours;
	svm_inner_run_to_end();
	test_equal("byte by its own tables", (u8)svm_inner_regs.rbx, THERE);
	test_equal("byte by our tables", (u8)svm_inner_regs.rax, HERE);
	test_equal("CR3", svm_inner_vmcb.s.cr3, ours);
}

static void we_switch(void)
{
	remap(start(g_read));
	reads(THERE);
	svm_inner_vmcb.s.cr3 = read_cr3();
	svm_inner_vmcb.c.clean = 0;
	svm_inner_vmcb.c.tlb_control = TLB_FLUSH_ALL;
	reads(HERE);
}

static void guest_remaps(void)
{
	u64 *entry = start(g_remap);

	svm_inner_regs.rsi = (u64)entry;
	svm_inner_regs.r8 = (u64)other | NPT_RAM;
	svm_inner_run_to_end();
	test_equal("byte before", (u8)svm_inner_regs.rbx, HERE);
	test_equal("byte after INVLPG", (u8)svm_inner_regs.rax, THERE);
}

static void bits_are_set(void)
{
	u64 *entry = start(g_read);

	reads(HERE);
	test_equal("bits after a read", *entry & (PTE_A | PTE_D), PTE_A);
	svm_inner_vmcb.s.rip = (u64)g_write;
	svm_inner_run_to_end();
	test_equal("bits after a write", *entry & (PTE_A | PTE_D), PTE_A | PTE_D);
}

/* A page fault that is intercepted: everything that it says. */
static void faults(const char *code, u64 clear, u64 set, u64 error)
{
	u64 *entry = start(code);
	struct svm_inner_exit exit;

	*entry = (*entry & ~clear) | set;
	svm_inner_vmcb.s.efer |= EFER_NXE;
	svm_inner_vmcb.s.cr2 = GUEST_CR2;
	write_cr2(OUR_CR2);
	svm_inner_run(&exit);
	if (svm_inner_exited(&exit, SVM_EXIT_EXCEPTION_PF)) {
		test_equal_or_quirk("EXITINFO1", exit.info1, error,
				    error & PF_RSVD ? error & ~PF_P : error);
		test_equal("EXITINFO2, from the page", exit.info2 - (u64)page, 0);
		test_equal_or_quirk("CR2", svm_inner_vmcb.s.cr2, GUEST_CR2, OUR_CR2);
	}
}

static void absent_read(void)
{
	faults(g_read, PTE_P, 0, 0);
}

static void read_only_write(void)
{
	faults(g_write, PTE_W, 0, PF_P | PF_W);
}

static void no_execution(void)
{
	faults(g_call, 0, PTE_NX, PF_P | PF_I);
}

static void reserved_bit(void)
{
	faults(g_read, 0, BIT(51), PF_P | PF_RSVD);
}

#define RULE_TABLES "Without nested paging the guest's CR3 points to its page tables"
#define RULE_FLUSH  "TLB_CONTROL 1 flushes the entire TLB; a new ASID has no entries"
#define RULE_PF                                                                                 \
	"An intercepted #PF: EXITINFO1 contains the error code, EXITINFO2 the faulting linear " \
	"address; CR2 is not changed"

static const struct test tests[] = {
	{ "the guest runs on tables of its own", RULE_TABLES, own_tables },
	{ "a new entry counts after a flush", RULE_FLUSH, anew_after_flush },
	{ "a new entry counts in a new ASID", RULE_FLUSH, anew_in_new_asid },
	{ "a new entry counts after INVLPGA",
	  "INVLPGA invalidates the TLB entry of a virtual page and an ASID", anew_after_invlpga },
	{ "an entry made present counts without a flush", "Absent entries are not cached",
	  fixed_without_flush },
	{ "the guest switches its tables", RULE_TABLES, guest_switches },
	{ "we switch the guest's tables", RULE_TABLES, we_switch },
	{ "the guest changes an entry and invalidates it", RULE_TABLES, guest_remaps },
	{ "accessed and dirty bits are set", RULE_TABLES, bits_are_set },
	{ "#PF of a read of an absent page", RULE_PF, absent_read },
	{ "#PF of a write to a read-only page", RULE_PF, read_only_write },
	{ "#PF of a fetch from a page without execution", RULE_PF, no_execution },
	{ "#PF of a reserved bit", RULE_PF, reserved_bit },
};

SUITE_OF_TESTS(paging_suite, tests);
