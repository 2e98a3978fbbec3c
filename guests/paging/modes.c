/*
 * Paging outside long mode: 32-bit paging and PAE paging, each with both page sizes, and none.
 */
#include "guests/paging/paging.h"

#include "guests/paging/legacy.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define USABLE  (u32)(PTE_P | PTE_W)
#define LINEAR  0x40000000U
#define MIB4    0x400000U
#define MIB2    0x200000U
#define WRITTEN 0x55aa55aaU

static u32 directory[1024] __attribute__((aligned(4096)));
static u32 table[1024] __attribute__((aligned(4096)));

static u64 pae_pointers[4] __attribute__((aligned(4096)));
static u64 pae_directories[2][512] __attribute__((aligned(4096)));
static u64 pae_table[512] __attribute__((aligned(4096)));

static struct legacy narrow(u32 address, bool writes)
{
	return (struct legacy){
		.cr3 = (u32)(u64)directory,
		.cr4 = (u32)CR4_PSE | ((u32)read_cr4() & (u32)CR4_VMXE),
		.paged = 1,
		.address = address,
		.writes = writes,
		.value = WRITTEN,
	};
}

static struct legacy pae(u32 address, bool writes)
{
	struct legacy access = narrow(address, writes);

	access.cr3 = (u32)(u64)pae_pointers;
	access.cr4 |= (u32)CR4_PAE;
	return access;
}

static void expect_value(struct legacy access, u64 value)
{
	legacy_run(&access);
	test_equal("whether it faults", access.faulted, 0);
	test_equal("the value", access.value, value);
}

static void expect_page_fault(struct legacy access, u64 error)
{
	legacy_run(&access);
	if (!test_true("it faults", access.faulted))
		return;
	test_equal("the error code", access.error, error);
	test_equal("CR2", access.cr2, access.address);
}

static void test_unpaged(void)
{
	struct legacy access = narrow((u32)(u64)page_one, false);

	access.paged = 0;
	expect_value(access, (u32)VALUE_ONE);
}

static void make_narrow(u32 directory_flags, u32 table_flags)
{
	directory[0] = USABLE | (u32)PTE_PS;
	directory[LINEAR / MIB4] = (u32)(u64)table | directory_flags;
	table[0] = (u32)(u64)page_one | table_flags;
}

static void test_narrow(void)
{
	make_narrow(USABLE, USABLE);
	expect_value(narrow(LINEAR, false), (u32)VALUE_ONE);
	test_equal("flags after a load", table[0] & (PTE_A | PTE_D), PTE_A);
	test_equal("flags of the directory's entry", directory[LINEAR / MIB4] & PTE_A, PTE_A);
	expect_value(narrow(LINEAR, true), WRITTEN);
	test_equal("flags after a store", table[0] & (PTE_A | PTE_D), PTE_A | PTE_D);
	test_equal("the page", page_one[0], (VALUE_ONE & ~0xffffffffULL) | WRITTEN);
	page_one[0] = VALUE_ONE;
}

static void test_narrow_faults(void)
{
	make_narrow(USABLE, 0);
	expect_page_fault(narrow(LINEAR, false), 0);
	expect_page_fault(narrow(LINEAR, true), PF_W);
	make_narrow(USABLE, (u32)PTE_P);
	expect_page_fault(narrow(LINEAR, true), PF_P | PF_W);
	make_narrow((u32)PTE_P, USABLE);
	expect_page_fault(narrow(LINEAR, true), PF_P | PF_W);
	make_narrow(0, USABLE);
	expect_page_fault(narrow(LINEAR, true), PF_W);
}

static void test_narrow_large(void)
{
	u32 physical = (u32)(u64)page_one;
	u32 *entry = &directory[LINEAR / MIB4];

	*entry = (u32)ALIGN_DOWN(physical, MIB4) | USABLE | (u32)PTE_PS;
	expect_value(narrow(LINEAR + physical % MIB4, false), (u32)VALUE_ONE);
	test_equal("flags after a load", *entry & (PTE_A | PTE_D), PTE_A);
	expect_value(narrow(LINEAR + physical % MIB4, true), WRITTEN);
	test_equal("flags after a store", *entry & (PTE_A | PTE_D), PTE_A | PTE_D);
	page_one[0] = VALUE_ONE;
	*entry |= MIB2;
	expect_page_fault(narrow(LINEAR, false), PF_P | PF_RSVD);
}

static void make_pae(u64 directory_flags, u64 table_flags)
{
	pae_pointers[0] = (u64)pae_directories[0] | PTE_P;
	pae_pointers[1] = (u64)pae_directories[1] | PTE_P;
	pae_directories[0][0] = USABLE | PTE_PS;
	pae_directories[0][1] = MIB2 | USABLE | PTE_PS;
	pae_directories[1][0] = (u64)pae_table | directory_flags;
	pae_table[0] = (u64)page_one | table_flags;
}

static void test_pae(void)
{
	make_pae(USABLE, USABLE);
	expect_value(pae(LINEAR, false), (u32)VALUE_ONE);
	test_equal("flags after a load", pae_table[0] & (PTE_A | PTE_D), PTE_A);
	expect_value(pae(LINEAR, true), WRITTEN);
	test_equal("flags after a store", pae_table[0] & (PTE_A | PTE_D), PTE_A | PTE_D);
	page_one[0] = VALUE_ONE;
}

static void test_pae_faults(void)
{
	struct legacy access;

	make_pae(USABLE, 0);
	expect_page_fault(pae(LINEAR, false), 0);
	make_pae(USABLE, PTE_P);
	expect_page_fault(pae(LINEAR, true), PF_P | PF_W);
	make_pae(USABLE, USABLE | PTE_NX);
	expect_page_fault(pae(LINEAR, true), PF_P | PF_W | PF_RSVD);
	access = pae(LINEAR, false);
	access.efer = (u32)EFER_NXE;
	expect_value(access, (u32)VALUE_ONE);
	make_pae(USABLE, USABLE);
	pae_pointers[1] = 0;
	expect_page_fault(pae(LINEAR, true), PF_W);
}

static void test_pae_large(void)
{
	u32 physical = (u32)(u64)page_one;
	u64 *entry = &pae_directories[1][0];

	make_pae(USABLE, USABLE);
	*entry = ALIGN_DOWN(physical, MIB2) | USABLE | PTE_PS;
	expect_value(pae(LINEAR + physical % MIB2, false), (u32)VALUE_ONE);
	test_equal("flags after a load", *entry & (PTE_A | PTE_D), PTE_A);
	expect_value(pae(LINEAR + physical % MIB2, true), WRITTEN);
	test_equal("flags after a store", *entry & (PTE_A | PTE_D), PTE_A | PTE_D);
	page_one[0] = VALUE_ONE;
	*entry |= BIT(20);
	expect_page_fault(pae(LINEAR, false), PF_P | PF_RSVD);
}

static const struct test tests[] = {
	{ "no paging", "if CR0.PG = 0, linear addresses are physical addresses", test_unpaged },
	{ "32-bit paging, 4-KiB page", "two levels of 4-byte entries with A and D flags",
	  test_narrow },
	{ "32-bit paging, faults", "rights of both levels apply", test_narrow_faults },
	{ "32-bit paging, 4-MiB page", "CR4.PSE: a PDE with PS maps 4 MiB; bit 21 is reserved",
	  test_narrow_large },
	{ "PAE paging, 4-KiB page", "PDPTEs in registers, two levels of 8-byte entries", test_pae },
	{ "PAE paging, faults", "rights apply, XD is reserved if EFER.NXE = 0", test_pae_faults },
	{ "PAE paging, 2-MiB page", "a PDE with PS maps 2 MiB; bits 20:13 are reserved",
	  test_pae_large },
};

static u32 count(void)
{
	return ARRAY_SIZE(tests);
}

static void run(void)
{
	legacy_init();
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite modes_suite = { count, run };
