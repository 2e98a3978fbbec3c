/*
 * The rules of AMD's nested tables, each as the manual (APM 2, chapters "Page Translation and
 * Protection" and "Secure Virtual Machine") has it, on hand-made tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nested-ept/npt.h"
#include "tests/host/merged_machine.h"

/* "Nested versus Guest Page Faults": the fault was at the address itself, or at a guest table. */
#define NPF_FINAL BIT(32)
#define NPF_TABLE BIT(33)

/* Different indexes at each level, so that a mixed-up level is seen. */
#define ADDRESS 0x123456789abcULL
#define PAGE    0x8765432000ULL

static const struct nept_features machine = { .physical_bits = 40,
					      .max_shift = NEPT_SHIFT_1G,
					      .no_execute = true };

static struct fake_memory memory;
static struct nept_memory access;
static struct nept_rules rules;
static struct nept_source source;
static struct nept_walk walk;
static u64 *entry[5]; /* of ADDRESS, by level */

/* Tables that map ADDRESS to PAGE by a leaf of this level, with every right. */
static void make(u32 leaf_level, const struct nept_features *features)
{
	memset(&memory, 0, sizeof(memory));
	access = fake_memory_access(&memory);
	nept_format_npt.make_rules(features, &rules);
	source = (struct nept_source){ .format = &nept_format_npt,
				       .rules = &rules,
				       .memory = &access };
	source.root = nept_format_npt.root23(npt_root_pointer23(fake_page_address(0), 7));
	for (u32 level = 4; level >= leaf_level; level--) {
		u32 shift = 3 + 9 * level;

		entry[level] = &memory.page[4 - level][(ADDRESS >> shift) & 511];
		*entry[level] = PTE_P | PTE_W | PTE_U;
		*entry[level] |= level > leaf_level
					 ? fake_page_address(5 - level)
					 : (PAGE & ~(BIT(shift) - 1)) | (level > 1 ? PTE_PS : 0);
	}
}

static enum nept_walk_result walk_for(u32 rights)
{
	return nept_walk(&source, PA3(ADDRESS), rights, &walk);
}

static void pages_of_each_size_are_translated(void **state)
{
	(void)state;
	for (u32 level = 1; level <= 3; level++) {
		u64 offset = BIT(3 + 9 * level) - 1;

		make(level, &machine);
		assert_int_equal(walk_for(NEPT_RWX), NEPT_WALK_OK);
		assert_int_equal(walk.shift, 3 + 9 * level);
		assert_int_equal(walk.pa2.v, (PAGE & ~offset) | (ADDRESS & offset));
		assert_int_equal(walk.rights, NEPT_RWX);
		assert_int_equal(memory.reads, 5 - level);
	}
}

/* "The page is present if P is 1"; of an entry that is not present "all other bits are available".
 */
static void an_entry_that_is_not_present(void **state)
{
	(void)state;
	for (u32 level = 1; level <= 4; level++) {
		make(1, &machine);
		*entry[level] = ~PTE_P;
		assert_int_equal(walk_for(NEPT_R), NEPT_WALK_VIOLATION);
		assert_int_equal(nept_format_npt.violation(PF_W | PF_P | NPF_FINAL, walk.rights),
				 PF_W | PF_U | NPF_FINAL);
	}
}

/* "A page is writable ... only if R/W is set in every entry"; NX in any denies fetches. And
 * "nested page table ... accesses are treated as user": U/S clear in any denies everything. */
static void rights_of_all_levels_are_combined(void **state)
{
	(void)state;
	for (u32 level = 1; level <= 4; level++) {
		make(1, &machine);
		*entry[level] &= ~PTE_W;
		assert_int_equal(walk_for(NEPT_R | NEPT_X), NEPT_WALK_OK);
		assert_int_equal(walk_for(NEPT_R | NEPT_W), NEPT_WALK_VIOLATION);
		assert_int_equal(walk.rights, NEPT_R | NEPT_X);
		assert_int_equal(nept_format_npt.violation(PF_W | NPF_TABLE, walk.rights),
				 PF_P | PF_W | PF_U | NPF_TABLE);
		*entry[level] |= PTE_NX | PTE_W;
		assert_int_equal(walk_for(NEPT_R | NEPT_W), NEPT_WALK_OK);
		assert_int_equal(walk_for(NEPT_R | NEPT_X), NEPT_WALK_VIOLATION);
		assert_int_equal(nept_format_npt.violation(PF_I | PF_RSVD, walk.rights),
				 PF_P | PF_U | PF_I);
		make(1, &machine);
		*entry[level] &= ~PTE_U;
		assert_int_equal(walk_for(NEPT_R), NEPT_WALK_VIOLATION);
		assert_int_equal(walk.rights, NEPT_DENIED);
		assert_int_equal(nept_format_npt.violation(0, walk.rights), PF_P | PF_U);
	}
}

/* Walks with each bit of `mask` set in turn in the entry of `level`. */
static void each_bit_gives(u64 mask, u32 leaf_level, u32 level, const struct nept_features *on,
			   enum nept_walk_result expected)
{
	for (u32 n = 0; n < 64; n++) {
		if (!(mask & BIT(n)))
			continue;
		make(leaf_level, on);
		*entry[level] |= BIT(n);
		assert_int_equal(walk_for(NEPT_R), expected);
	}
}

/* The formats of the entries: "MBZ", and address bits beyond the physical-address width. */
static void reserved_bits(void **state)
{
	struct nept_features without_nx = machine;
	u64 beyond = BITS(51, 40);
	u64 available = BITS(62, 52) | BITS(11, 9) | PTE_NX;
	u64 caching = PTE_PWT | PTE_PCD;

	(void)state;
	each_bit_gives(beyond | PTE_G | PTE_PS, 1, 4, &machine, NEPT_WALK_MISCONFIG);
	each_bit_gives(beyond, 1, 3, &machine, NEPT_WALK_MISCONFIG);
	each_bit_gives(beyond, 1, 2, &machine, NEPT_WALK_MISCONFIG);
	each_bit_gives(beyond, 1, 1, &machine, NEPT_WALK_MISCONFIG);
	each_bit_gives(beyond | BITS(29, 13), 3, 3, &machine, NEPT_WALK_MISCONFIG);
	each_bit_gives(beyond | BITS(20, 13), 2, 2, &machine, NEPT_WALK_MISCONFIG);
	each_bit_gives(available | caching | PTE_D, 1, 4, &machine, NEPT_WALK_OK);
	each_bit_gives(available | caching | PTE_D | PTE_G, 1, 3, &machine, NEPT_WALK_OK);
	each_bit_gives(available | caching | PTE_D | PTE_G, 1, 2, &machine, NEPT_WALK_OK);
	each_bit_gives(available | caching | PTE_G | BIT(7), 1, 1, &machine, NEPT_WALK_OK);
	each_bit_gives(available | caching | PTE_G | BIT(12), 2, 2, &machine, NEPT_WALK_OK);
	each_bit_gives(available | caching | PTE_G | BIT(12), 3, 3, &machine, NEPT_WALK_OK);
	/* "NX ... if EFER.NXE is cleared to 0, this bit is MBZ." */
	without_nx.no_execute = false;
	for (u32 level = 1; level <= 4; level++)
		each_bit_gives(PTE_NX, 1, level, &without_nx, NEPT_WALK_MISCONFIG);
	assert_int_equal(npt_reserved_fault(PF_W | NPF_TABLE),
			 PF_P | PF_W | PF_U | PF_RSVD | NPF_TABLE);
}

/* Without 1-GByte pages PS is reserved in a PDPE. */
static void page_sizes_that_are_not_offered(void **state)
{
	struct nept_features small = machine;

	(void)state;
	small.max_shift = NEPT_SHIFT_2M;
	make(3, &small);
	assert_int_equal(walk_for(NEPT_R), NEPT_WALK_MISCONFIG);
	make(2, &small);
	assert_int_equal(walk_for(NEPT_R), NEPT_WALK_OK);
}

/* "The processor sets the A bit ... the first time the table or physical page is read or written";
 * D in the last entry of a write. */
static void accessed_and_dirty_flags_are_always_kept(void **state)
{
	(void)state;
	for (u32 leaf = 1; leaf <= 3; leaf++) {
		make(leaf, &machine);
		assert_int_equal(walk_for(NEPT_R), NEPT_WALK_OK);
		assert_false(walk.dirty);
		for (u32 level = leaf; level <= 4; level++)
			assert_int_equal(*entry[level] & (PTE_A | PTE_D), PTE_A);
		assert_int_equal(walk_for(NEPT_R | NEPT_W), NEPT_WALK_OK);
		assert_true(walk.dirty);
		for (u32 level = leaf; level <= 4; level++)
			assert_int_equal(*entry[level] & (PTE_A | PTE_D),
					 level == leaf ? PTE_A | PTE_D : PTE_A);
	}
}

/* What an access needs, from the error code of #NPF. */
static void accesses_by_error_code(void **state)
{
	(void)state;
	assert_int_equal(nept_format_npt.access(NPF_FINAL | PF_P | PF_U), NEPT_R);
	assert_int_equal(nept_format_npt.access(PF_W), NEPT_R | NEPT_W);
	assert_int_equal(nept_format_npt.access(PF_I), NEPT_R | NEPT_X);
}

/* The PAT index of L2's leaf is that of ours, wherever the page size puts its bits. */
static void caching_is_handed_on(void **state)
{
	(void)state;
	for (u32 caching = 0; caching < 8; caching++) {
		for (u32 level = 1; level <= 3; level++) {
			u32 shift = 3 + 9 * level;

			make(level, &machine);
			*entry[level] |= (caching & 1 ? PTE_PWT : 0) | (caching & 2 ? PTE_PCD : 0);
			if (caching & 4)
				*entry[level] |= level == 1 ? BIT(7) : BIT(12);
			assert_int_equal(walk_for(NEPT_R), NEPT_WALK_OK);
			assert_int_equal(walk.caching, caching);
			assert_int_equal(walk.pa2.v & ~(BIT(shift) - 1), PAGE & ~(BIT(shift) - 1));
			/* Also when a large page of L2's is small in ours. */
			for (u32 ours = NEPT_SHIFT_4K; ours <= shift; ours += 9)
				assert_int_equal(
					nept_format_npt.caching(
						nept_format_npt.leaf_entry(ours, NEPT_R, caching),
						ours),
					caching);
		}
	}
	assert_int_equal(nept_format_npt.caching_of_type(MEMTYPE_UC), 0);
}

/* A merged table belongs to a nested CR3 and an ASID; a flush of an ASID finds all of its tables.
 */
static void roots_carry_an_asid(void **state)
{
	u64 one = npt_root_pointer23(0x5018, 1), two = npt_root_pointer23(0x5000, 2);

	(void)state;
	assert_int_equal(nept_format_npt.root23(one).table.v, 0x5000);
	assert_true(nept_format_npt.root23(one).tracks);
	assert_int_not_equal(one & nept_format_npt.key, two & nept_format_npt.key);
	assert_int_equal(one & nept_format_npt.space,
			 npt_root_pointer23(0x77000, 1) & nept_format_npt.space);
	assert_int_not_equal(one & nept_format_npt.space, two & nept_format_npt.space);
	assert_int_equal(nept_format_npt.root_pointer(PA1(0x6000), true), 0x6000);
}

/* A large page that only partly goes away is split with what it said of caching and rights. */
static void large_pages_are_split_alike(void **state)
{
	static struct nept_pool pool;
	struct nept_table table;
	struct nept_page12 page;
	u64 leaf = nept_format_npt.leaf_entry(NEPT_SHIFT_2M, NEPT_R | NEPT_X, 5);

	(void)state;
	merged_pool_init(&pool, POOL_PAGES);
	assert_true(nept_table_init(&table, &nept_format_npt, &pool));
	assert_true(nept_table_put(&table, 0x40000000, NEPT_SHIFT_2M, 0x80000000 | leaf));
	assert_true(nept_unmap(&table, PA2(0x40003000), PAGE_SIZE));
	nept_table_find(&table, PA2(0x40003000), &page);
	assert_int_equal(page.rights, 0);
	nept_table_find(&table, PA2(0x40004000), &page);
	assert_int_equal(page.rights, NEPT_R | NEPT_X);
	assert_int_equal(page.base.v, 0x80004000);
	assert_int_equal(page.shift, NEPT_SHIFT_4K);
	assert_int_equal(table.removals, 2);
}

/* The entries of ADDRESS as after a write: every flag is there. */
static void make_used(void)
{
	make(1, &machine);
	for (u32 level = 1; level <= 4; level++)
		*entry[level] |= PTE_A;
	*entry[1] |= PTE_D;
}

/* APM 2 "Page-Translation-Table Entry Fields" (5.4.1): the processor sets A when an entry is used,
 * D when a page is written. An access that has not been made yet may do neither. */
static void filling_ahead_writes_nothing_to_l2s_tables(void **state)
{
	struct nept_range all = { PA2(0), PA1(0), BIT(40), NEPT_RWX, MEMTYPE_WB };
	static struct nept_pool pool;
	struct nept_lookup12 lookup12;
	struct nept_page12 page;
	struct nept_table npt12;
	struct nept nept;

	(void)state;
	merged_pool_init(&pool, POOL_PAGES);
	assert_true(nept_table_init(&npt12, &nept_format_npt, &pool));
	assert_true(nept_map(&npt12, &all, NEPT_SHIFT_1G));
	assert_true(nept_table_init(&nept.table, &nept_format_npt, &pool));
	lookup12 = (struct nept_lookup12){ &npt12, nept_table_find };
	nept.lookup12 = &lookup12;
	for (u32 level = 0; level <= 4; level++) {
		u64 *lacking = entry[level ? level : 1], flag = level ? PTE_A : PTE_D;

		make_used();
		nept.source = source;
		*lacking &= ~flag;
		assert_int_equal(nept_fill_ahead(&nept, PA3(ADDRESS), PF_W), NEPT_RETRY);
		assert_false(*lacking & flag);
		nept_table_find(&nept.table, PA2(ADDRESS), &page);
		assert_int_equal(page.rights, 0);
	}
	/* Without D a read is filled, and the first write still is a miss. */
	make_used();
	*entry[1] &= ~PTE_D;
	assert_int_equal(nept_fill_ahead(&nept, PA3(ADDRESS), 0), NEPT_FILLED);
	nept_table_find(&nept.table, PA2(ADDRESS), &page);
	assert_int_equal(page.rights, NEPT_R | NEPT_X);
	make_used();
	assert_int_equal(nept_fill_ahead(&nept, PA3(ADDRESS), PF_W), NEPT_FILLED);
	nept_table_find(&nept.table, PA2(ADDRESS), &page);
	assert_int_equal(page.rights, NEPT_RWX);
	assert_int_equal(page.base.v, PAGE);
	*entry[1] = 0;
	assert_int_equal(nept_fill_ahead(&nept, PA3(ADDRESS), PF_W), NEPT_VIOLATION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_each_size_are_translated),
		cmocka_unit_test(an_entry_that_is_not_present),
		cmocka_unit_test(rights_of_all_levels_are_combined),
		cmocka_unit_test(reserved_bits),
		cmocka_unit_test(page_sizes_that_are_not_offered),
		cmocka_unit_test(accessed_and_dirty_flags_are_always_kept),
		cmocka_unit_test(accesses_by_error_code),
		cmocka_unit_test(caching_is_handed_on),
		cmocka_unit_test(roots_carry_an_asid),
		cmocka_unit_test(large_pages_are_split_alike),
		cmocka_unit_test(filling_ahead_writes_nothing_to_l2s_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
