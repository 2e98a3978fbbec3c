/*
 * Who may do what through a translation, and the error code of the page fault when he may not.
 */
#include "guests/paging/paging.h"

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define USABLE    (PTE_P | PTE_W | PTE_U)
#define BEYOND    BIT(51) /* above every physical address of today */
#define INT_BYTE  0xcdULL
#define CODE_WORD (INT_BYTE | EXCURSION_END << 8)

static void test_not_present(void)
{
	u64 value = 0;

	window_show(page_one, 0);
	expect_fault("a load faults", try_load(window, &value), 0);
	expect_fault("a store faults", try_store(window, 0), PF_W);
	expect_fault("a user's load faults", user_load(window), PF_U);
	*window_entry() |= USABLE;
	expect_none("a load after the page became present", try_load(window, &value));
	test_equal("the value", value, VALUE_ONE);
}

static void test_read_only(void)
{
	u64 value;

	window_show(page_one, PTE_P | PTE_U);
	expect_none("a load", try_load(window, &value));
	expect_fault("a store faults", try_store(window, 0), PF_P | PF_W);
	expect_fault("a user's store faults", user_store(window), PF_P | PF_W | PF_U);
}

static void test_write_protect_off(void)
{
	u64 value = 0;

	window_show(page_one, PTE_P | PTE_U);
	write_cr0(read_cr0() & ~CR0_WP);
	expect_none("the supervisor's store", try_store(window, VALUE_TWO));
	expect_fault("a user's store faults", user_store(window), PF_P | PF_W | PF_U);
	expect_none("a user's load", user_load(window));
	expect_none("the supervisor's second store", try_store(window, VALUE_ONE));
	write_cr0(read_cr0() | CR0_WP);
	expect_fault("a store with CR0.WP faults", try_store(window, 0), PF_P | PF_W);
	expect_none("a load", try_load(window, &value));
	test_equal("the value", value, VALUE_ONE);
}

static void test_supervisor_page(void)
{
	u64 value;

	window_show(page_one, PTE_P | PTE_W);
	expect_fault("a user's load faults", user_load(window), PF_P | PF_U);
	expect_none("the supervisor's load", try_load(window, &value));
	expect_fault("a user's load still faults", user_load(window), PF_P | PF_U);
}

static void test_no_execute(void)
{
	page_two[0] = CODE_WORD;
	window_show(page_two, USABLE);
	expect_none("a fetch", execute(window));
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	window_show(page_two, USABLE | PTE_NX);
	expect_fault("a fetch with NX faults", execute(window), PF_P | PF_I);
	window_show(page_two, USABLE);
	expect_none("a fetch without NX", execute(window));
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
	page_two[0] = VALUE_TWO;
}

static void test_reserved(void)
{
	u64 value;

	window_show(page_one, USABLE | BEYOND);
	expect_fault("a load faults", try_load(window, &value), PF_P | PF_RSVD);
	expect_fault("a user's store faults", user_store(window), PF_P | PF_W | PF_U | PF_RSVD);
	window_show(page_one, USABLE | PTE_NX);
	expect_fault("a load faults with NX", try_load(window, &value), PF_P | PF_RSVD);
	window_show(page_one, USABLE);
	expect_none("a load", try_load(window, &value));
}

static const struct test tests[] = {
	{ "page not present", "P flag: 0 if there is no translation because P was 0",
	  test_not_present },
	{ "page read-only", "if CR0.WP = 1, data may not be written to a read-only page",
	  test_read_only },
	{ "CR0.WP = 0", "if CR0.WP = 0, data may be written to any supervisor-mode address",
	  test_write_protect_off },
	{ "supervisor page", "user-mode accesses to a supervisor-mode address are not allowed",
	  test_supervisor_page },
	{ "execute-disable", "if EFER.NXE = 1, XD forbids instruction fetches", test_no_execute },
	{ "reserved bits",
	  "RSVD flag: 1 if a reserved bit was set in an entry; XD is one if NXE = 0",
	  test_reserved },
};

SUITE_OF_TESTS(rights_suite, tests);
