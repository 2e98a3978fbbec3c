/*
 * Filling ept13 on L3's faults, case by case: what L2 is told, what hardware sees afterwards, dirty
 * flags, page sizes that change, an empty pool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/host/ept_chain.h"
#include "tests/host/merged_machine.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

#define READ  EPT_VIOLATION_READ
#define WRITE EPT_VIOLATION_WRITE
#define FETCH EPT_VIOLATION_FETCH

static struct chain chain; /* ept23 */
static struct nept_pool pool;
static struct nept_table ept12;
static struct nept_lookup12 lookup12;
static struct nept nept;
static struct nept_fault fault;

/* ept12: L2's [0, 1 TiB) is at L1's 1 GiB, but for holes. */
static int make_machine(void **state)
{
	struct nept_range all = { PA2(0), PA1(GIB), 1024 * GIB, NEPT_RWX, MEMTYPE_WB };

	(void)state;
	merged_pool_init(&pool, POOL_PAGES);
	if (!nept_table_init(&ept12, &nept_format_ept, &pool) ||
	    !nept_map(&ept12, &all, NEPT_SHIFT_1G))
		return -1;
	lookup12 = (struct nept_lookup12){ &ept12, nept_table_find };
	return 0;
}

/* ept23 is a chain with a leaf of `leaf_level`. */
static void make_nept(u32 leaf_level, bool tracks)
{
	chain_make(&chain, leaf_level, tracks, CHAIN_FEATURES);
	assert_true(nept_table_init(&nept.table, &nept_format_ept, &pool));
	nept.source = chain.source;
	nept.lookup12 = &lookup12;
}

static enum nept_result fill(u64 info)
{
	return nept_fill(&nept, PA3(CHAIN_ADDRESS), info, &fault);
}

static enum reference_result hardware(unsigned access, struct reference_walk *walk)
{
	return hardware_walk(nept_root_pointer(&nept), CHAIN_ADDRESS, access, walk);
}

static void a_fault_is_filled(void **state)
{
	struct reference_walk walk;

	(void)state;
	make_nept(1, false);
	assert_int_equal(hardware(1, &walk), REFERENCE_VIOLATION);
	assert_int_equal(fill(READ), NEPT_FILLED);
	assert_int_equal(hardware(7, &walk), REFERENCE_OK);
	assert_int_equal(walk.physical, GIB + CHAIN_PAGE + (CHAIN_ADDRESS & 0xfff));
	assert_int_equal(walk.page_size, 4096);
	assert_int_equal(walk.type, 6);
	assert_int_equal(nept.table.removals, 0);
}

static void the_smallest_page_of_both_sides_is_filled(void **state)
{
	struct reference_walk walk;

	(void)state;
	make_nept(3, false);
	assert_int_equal(fill(READ), NEPT_FILLED);
	assert_int_equal(hardware(1, &walk), REFERENCE_OK);
	assert_int_equal(walk.page_size, GIB);
	nept_table_clear(&nept.table);
	/* A hole for L1 near by: ept12 is split, L2's page is still 1 GiB. */
	assert_true(nept_unmap(
		&ept12, PA2((CHAIN_PAGE & ~(GIB - 1)) + (CHAIN_ADDRESS & 0x3fe00000)), 4096));
	assert_int_equal(fill(READ), NEPT_FILLED);
	assert_int_equal(hardware(1, &walk), REFERENCE_OK);
	assert_int_equal(walk.page_size, 4096);
	assert_int_equal(walk.physical,
			 GIB + (CHAIN_PAGE & ~(GIB - 1)) + (CHAIN_ADDRESS & (GIB - 1)));
}

/* L2's entry denies: L2 gets the exit, with the rights of its own entries, whatever ept13 said. */
static void a_violation_is_l2s(void **state)
{
	u64 linear = EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED;

	(void)state;
	make_nept(1, false);
	*chain.entry[2] &= ~(u64)NEPT_W;
	assert_int_equal(fill(WRITE | linear), NEPT_VIOLATION);
	assert_int_equal(fault.info,
			 WRITE | linear | EPT_VIOLATION_READABLE | EPT_VIOLATION_EXECUTABLE);
	*chain.entry[1] = 0;
	assert_int_equal(fill(FETCH | linear | EPT_VIOLATION_NMI_UNBLOCKED), NEPT_VIOLATION);
	assert_int_equal(fault.info, FETCH | linear | EPT_VIOLATION_NMI_UNBLOCKED);
	*chain.entry[1] = 2;
	assert_int_equal(fill(READ), NEPT_MISCONFIG);
	assert_int_equal(pool.used, 2 + 3 + 1); /* nothing was filled */
}

/* What L2 maps but does not have, or has with fewer rights, is neither filled nor L2's violation.
 */
static void memory_that_l2_does_not_have_is_not_filled(void **state)
{
	struct nept_range read_only = { PA2(CHAIN_PAGE), PA1(0x5000), 4096, NEPT_R, MEMTYPE_WB };
	struct reference_walk walk;

	(void)state;
	make_nept(1, false);
	assert_true(nept_map(&ept12, &read_only, NEPT_SHIFT_4K));
	assert_int_equal(fill(WRITE), NEPT_ABSENT);
	assert_int_equal(fault.pa2.v, CHAIN_PAGE + (CHAIN_ADDRESS & 0xfff));
	assert_int_equal(fault.access, NEPT_W);
	assert_int_equal(fill(READ), NEPT_FILLED);
	assert_int_equal(hardware(1, &walk), REFERENCE_OK);
	assert_int_equal(rights_of(&walk), NEPT_R);
	nept_table_clear(&nept.table);
	assert_true(nept_unmap(&ept12, PA2(CHAIN_PAGE), 4096));
	assert_int_equal(fill(READ), NEPT_ABSENT);
	/* Nor for an access of which hardware tells no kind: there would be no leaf to speak of. */
	assert_int_equal(fill(0), NEPT_ABSENT);
	assert_true(nept_table_is_empty(&nept.table));
}

/* L2 tracks dirty pages: a page is not writable in ept13 before L2's leaf is dirty. Making it so
 * later takes no INVEPT, since it only adds a right. */
static void a_page_is_writable_once_it_is_dirty(void **state)
{
	struct reference_walk walk;

	(void)state;
	make_nept(1, true);
	assert_int_equal(fill(READ), NEPT_FILLED);
	assert_int_equal(*chain.entry[1] & (EPT_ACCESSED | EPT_DIRTY), EPT_ACCESSED);
	assert_int_equal(hardware(5, &walk), REFERENCE_OK);
	assert_int_equal(hardware(2, &walk), REFERENCE_VIOLATION);
	assert_int_equal(fill(WRITE), NEPT_FILLED);
	assert_int_equal(*chain.entry[1] & EPT_DIRTY, EPT_DIRTY);
	assert_int_equal(hardware(2, &walk), REFERENCE_OK);
	assert_int_equal(nept.table.removals, 0);
	/* Dirty from the start: writable at once. */
	nept_table_clear(&nept.table);
	assert_int_equal(fill(READ), NEPT_FILLED);
	assert_int_equal(hardware(2, &walk), REFERENCE_OK);
}

/* "If bit 6 of the EPTP is 1, processor accesses to guest paging-structure entries are treated as
 * writes with regard to EPT violations": hardware does it for L2 when ept13 has the bit as well. */
static void ept13_tracks_flags_when_ept23_does(void **state)
{
	(void)state;
	make_nept(1, true);
	assert_int_equal(nept_root_pointer(&nept) & EPTP_AD, EPTP_AD);
	make_nept(1, false);
	assert_int_equal(nept_root_pointer(&nept) & EPTP_AD, 0);
	assert_int_equal(nept_root_pointer(&nept) & ~EPTP_ADDRESS, EPTP_WALK_4 | MEMTYPE_WB);
}

/* Hardware must not have to write flags into ept13: they are set from the start. */
static void flags_of_ept13_are_set_already(void **state)
{
	struct reference_walk walk;
	u64 *leaf;

	(void)state;
	make_nept(1, true);
	assert_int_equal(fill(WRITE), NEPT_FILLED);
	assert_int_equal(
		hardware_walk(nept_root_pointer(&nept) & ~EPTP_AD, CHAIN_ADDRESS, 2, &walk),
		REFERENCE_OK);
	assert_true(walk.was_dirty);
	leaf = &nept.table.root[(CHAIN_ADDRESS >> 39) & 511];
	assert_int_equal(*leaf & EPT_ACCESSED, EPT_ACCESSED);
}

/* L2 changed the size of a page and L3 faulted before L2's INVEPT: the new page replaces the old
 * ones, no page is lost, and the CPU must not go on with both sizes cached. */
static void a_page_of_another_size_replaces_the_old_ones(void **state)
{
	struct reference_walk walk;
	u64 small = 0x44444000 | 0x37;
	u32 used;

	(void)state;
	make_nept(2, false);
	used = pool.used;
	*chain.entry[2] &= ~(u64)NEPT_W;
	assert_int_equal(fill(READ), NEPT_FILLED);
	*chain.entry[2] = fake_page_address(7) | 7;
	chain.memory.page[7][(CHAIN_ADDRESS >> 12) & 511] = small;
	assert_int_equal(fill(WRITE), NEPT_FILLED);
	assert_int_equal(hardware(2, &walk), REFERENCE_OK);
	assert_int_equal(walk.physical, GIB + 0x44444000 + (CHAIN_ADDRESS & 0xfff));
	assert_int_equal(nept.table.removals, 1);
	assert_int_equal(hardware_walk(nept_root_pointer(&nept), CHAIN_ADDRESS ^ 4096, 1, &walk),
			 REFERENCE_VIOLATION);

	*chain.entry[2] = 0x45600000 | 0xb7;
	assert_int_equal(fill(FETCH), NEPT_FILLED);
	assert_int_equal(hardware(4, &walk), REFERENCE_OK);
	assert_int_equal(walk.page_size, 2 * MIB);
	assert_int_equal(nept.table.removals, 2);
	assert_int_equal(pool.used, used + 2); /* PML4's and PDPT's children; no page table */
	assert_true(merged_pool_is_clean(&pool));
}

static void an_empty_pool_is_told(void **state)
{
	struct reference_walk walk;

	(void)state;
	make_nept(1, false);
	while (nept_pool_available(&pool) > 2)
		assert_non_null(nept_pool_take(&pool));
	assert_int_equal(fill(READ), NEPT_NOMEM);
	assert_int_equal(hardware(1, &walk), REFERENCE_VIOLATION);
	nept_table_clear(&nept.table);
	assert_int_equal(nept_pool_available(&pool), 2);
	assert_true(merged_pool_is_clean(&pool));
}

static void another_cpus_changes_are_a_retry(void **state)
{
	(void)state;
	make_nept(1, true);
	chain.memory.races = ~0U;
	chain.memory.race_flips = BIT(62);
	assert_int_equal(fill(READ), NEPT_RETRY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_fault_is_filled, make_machine),
		cmocka_unit_test_setup(the_smallest_page_of_both_sides_is_filled, make_machine),
		cmocka_unit_test_setup(a_violation_is_l2s, make_machine),
		cmocka_unit_test_setup(memory_that_l2_does_not_have_is_not_filled, make_machine),
		cmocka_unit_test_setup(a_page_is_writable_once_it_is_dirty, make_machine),
		cmocka_unit_test_setup(ept13_tracks_flags_when_ept23_does, make_machine),
		cmocka_unit_test_setup(flags_of_ept13_are_set_already, make_machine),
		cmocka_unit_test_setup(a_page_of_another_size_replaces_the_old_ones, make_machine),
		cmocka_unit_test_setup(an_empty_pool_is_told, make_machine),
		cmocka_unit_test_setup(another_cpus_changes_are_a_retry, make_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
