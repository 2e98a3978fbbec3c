/*
 * Accessed and dirty flags, and when a changed entry has to take effect.
 */
#include "guests/paging/paging.h"

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define USABLE (PTE_P | PTE_W | PTE_U)
#define LARGE  (2ULL << 20)

/* A linear address that nothing else uses, mapped by a 2-MiB page of the guest's second table. */
#define LARGE_LINEAR (1ULL << 30)
#define LARGE_ENTRY  (LARGE_LINEAR / LARGE)

extern u64 guest_pds[];

static u64 flags_of(u64 entry)
{
	return entry & (PTE_A | PTE_D);
}

static void test_accessed_and_dirty(void)
{
	u64 value;

	window_show(page_one, USABLE);
	test_equal("flags before", flags_of(*window_entry()), 0);
	expect_none("a load", try_load(window, &value));
	test_equal("flags after a load", flags_of(*window_entry()), PTE_A);
	expect_none("a store", try_store(window, VALUE_ONE));
	test_equal("flags after a store", flags_of(*window_entry()), PTE_A | PTE_D);
}

static void test_flags_cleared(void)
{
	window_show(page_one, USABLE);
	expect_none("a store", try_store(window, VALUE_ONE));
	*window_entry() &= ~(PTE_A | PTE_D);
	invlpg(window);
	expect_none("a second store", try_store(window, VALUE_ONE));
	test_equal("flags", flags_of(*window_entry()), PTE_A | PTE_D);
}

static void test_fault_leaves_dirty(void)
{
	window_show(page_one, PTE_P | PTE_U);
	expect_fault("a store faults", try_store(window, 0), PF_P | PF_W);
	test_equal("D", *window_entry() & PTE_D, 0);
}

static void show_large(u64 physical)
{
	guest_pds[LARGE_ENTRY] = ALIGN_DOWN(physical, LARGE) | USABLE | PTE_PS;
	write_cr3(read_cr3());
}

static void *through_large(const void *physical)
{
	return (void *)(LARGE_LINEAR + (u64)physical % LARGE);
}

static void test_large_page(void)
{
	u64 before = guest_pds[LARGE_ENTRY], value = 0;

	show_large((u64)page_one);
	expect_none("a load", try_load(through_large(page_one), &value));
	test_equal("the value", value, VALUE_ONE);
	test_equal("flags after a load", flags_of(guest_pds[LARGE_ENTRY]), PTE_A);
	expect_none("a store", try_store(through_large(page_one), VALUE_ONE));
	test_equal("flags after a store", flags_of(guest_pds[LARGE_ENTRY]), PTE_A | PTE_D);
	guest_pds[LARGE_ENTRY] = before;
	write_cr3(read_cr3());
}

static void test_large_invlpg(void)
{
	u64 before = guest_pds[LARGE_ENTRY], value = 0;
	const u8 *elsewhere = (const u8 *)LARGE_LINEAR + LARGE / 2;

	show_large((u64)page_one);
	expect_none("a load", try_load(through_large(page_one), &value));
	/* The page now shows other memory, at which nothing has been read through it. */
	guest_pds[LARGE_ENTRY] = (ALIGN_DOWN((u64)page_one, LARGE) + LARGE) | USABLE | PTE_PS;
	*(u64 *)(ALIGN_DOWN((u64)page_one, LARGE) + LARGE + (u64)page_one % LARGE) = VALUE_TWO;
	invlpg(elsewhere);
	expect_none("a load after INVLPG", try_load(through_large(page_one), &value));
	test_equal("the value", value, VALUE_TWO);
	guest_pds[LARGE_ENTRY] = before;
	write_cr3(read_cr3());
}

static void test_invlpg(void)
{
	u64 value = 0;

	window_show(page_one, USABLE);
	expect_none("a load", try_load(window, &value));
	*window_entry() = (u64)page_two | USABLE;
	invlpg(window);
	expect_none("a load after INVLPG", try_load(window, &value));
	test_equal("the value", value, VALUE_TWO);
	*window_entry() &= ~PTE_P;
	invlpg(window);
	expect_fault("a load of the page taken away faults", try_load(window, &value), 0);
}

static void test_mov_cr3(void)
{
	u64 value = 0;

	window_show(page_one, USABLE);
	expect_none("a load", try_load(window, &value));
	*window_entry() = (u64)page_two | USABLE;
	write_cr3(read_cr3());
	expect_none("a load after MOV to CR3", try_load(window, &value));
	test_equal("the value", value, VALUE_TWO);
}

static void test_global(void)
{
	u64 value = 0;

	write_cr4(read_cr4() | CR4_PGE);
	window_show(page_one, USABLE | PTE_G);
	expect_none("a load", try_load(window, &value));
	*window_entry() = (u64)page_two | USABLE;
	write_cr4(read_cr4() & ~CR4_PGE);
	expect_none("a load after the change of CR4.PGE", try_load(window, &value));
	test_equal("the value", value, VALUE_TWO);
}

static const struct test tests[] = {
	{ "accessed and dirty flags", "the processor sets A when it uses an entry, D on a write",
	  test_accessed_and_dirty },
	{ "flags cleared by software", "after INVLPG the processor sets them again",
	  test_flags_cleared },
	{ "no dirty flag without write", "D is set only for a write that is done",
	  test_fault_leaves_dirty },
	{ "flags of a 2-MiB page", "the entry that maps a page has its D flag", test_large_page },
	{ "INVLPG in a 2-MiB page", "INVLPG drops the translation of the whole page",
	  test_large_invlpg },
	{ "INVLPG", "INVLPG invalidates the translation of its operand's page", test_invlpg },
	{ "MOV to CR3", "MOV to CR3 invalidates all translations but global ones", test_mov_cr3 },
	{ "CR4.PGE", "a change of CR4.PGE invalidates global translations too", test_global },
};

SUITE_OF_TESTS(flags_suite, tests);
