/*
 * Tables that L1 maps (ept12): largest pages, holes, splits, scratch pages, memory types, and the
 * count of removals. What the table says is asked of the reference walk, as hardware would see it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/host/merged_machine.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

static struct nept_pool pool;
static struct nept_table table;

static int make_table(void **state)
{
	(void)state;
	merged_pool_init(&pool, POOL_PAGES);
	return nept_table_init(&table, &nept_format_ept, &pool) ? 0 : -1;
}

static void map_identity(u64 from, u64 size, u32 max_shift)
{
	struct nept_range range = { PA2(from), PA1(from), size, NEPT_RWX, MEMTYPE_WB };

	assert_true(nept_map(&table, &range, max_shift));
}

static void assert_maps(u64 address, u64 to, u64 page_size)
{
	struct reference_walk walk;
	struct nept_page12 page;

	assert_int_equal(hardware_read(&table, address, &walk), REFERENCE_OK);
	assert_int_equal(walk.physical, to);
	assert_int_equal(walk.page_size, page_size);
	nept_table_find(&table, PA2(address), &page);
	assert_int_equal(BIT(page.shift), page_size);
	assert_int_equal(page.base.v, to & ~(page_size - 1));
	assert_int_equal(page.rights, rights_of(&walk));
}

static void assert_hole(u64 address)
{
	struct reference_walk walk;
	struct nept_page12 page;

	assert_int_equal(hardware_read(&table, address, &walk), REFERENCE_VIOLATION);
	nept_table_find(&table, PA2(address), &page);
	assert_int_equal(page.rights, 0);
}

static void identity_uses_the_largest_pages(void **state)
{
	(void)state;
	map_identity(0, 4 * GIB + 6 * MIB + 0x3000, NEPT_SHIFT_1G);
	assert_maps(0x12345678, 0x12345678, GIB);
	assert_maps(4 * GIB - 1, 4 * GIB - 1, GIB);
	assert_maps(4 * GIB + 5 * MIB, 4 * GIB + 5 * MIB, 2 * MIB);
	assert_maps(4 * GIB + 6 * MIB + 0x2fff, 4 * GIB + 6 * MIB + 0x2fff, 4096);
	assert_hole(4 * GIB + 6 * MIB + 0x3000);
	/* Bookkeeping of 2 pages; one page for each level that is needed. */
	assert_int_equal(pool.used, 2 + 4);
}

static void page_size_is_limited_by_what_is_offered_and_aligned(void **state)
{
	struct nept_range shifted = { PA2(GIB), PA1(2 * GIB + 4096), 4 * MIB, NEPT_RWX,
				      MEMTYPE_WB };

	(void)state;
	map_identity(0, 4 * MIB, NEPT_SHIFT_4K);
	assert_maps(0x200000, 0x200000, 4096);
	map_identity(8 * MIB, 4 * MIB, NEPT_SHIFT_2M);
	assert_maps(9 * MIB, 9 * MIB, 2 * MIB);
	/* The other side is not aligned to more. */
	assert_true(nept_map(&table, &shifted, NEPT_SHIFT_1G));
	assert_maps(GIB + 2 * MIB, 2 * GIB + 4096 + 2 * MIB, 4096);
}

static void a_hole_splits_only_the_pages_it_cuts(void **state)
{
	(void)state;
	map_identity(0, 4 * GIB, NEPT_SHIFT_1G);
	assert_true(nept_unmap(&table, PA2(2 * GIB - 33 * MIB), 32 * MIB + 4096));
	assert_maps(GIB - 1, GIB - 1, GIB);
	assert_maps(2 * GIB, 2 * GIB, GIB);
	assert_maps(GIB, GIB, 2 * MIB);
	assert_maps(2 * GIB - 33 * MIB - 1, 2 * GIB - 33 * MIB - 1, 4096);
	assert_hole(2 * GIB - 33 * MIB);
	assert_hole(2 * GIB - 2 * MIB);
	assert_hole(2 * GIB - MIB);
	assert_maps(2 * GIB - MIB + 4096, 2 * GIB - MIB + 4096, 4096);
	/* A hole in a hole, and one beyond everything, need no pages. */
	assert_true(nept_unmap(&table, PA2(2 * GIB - 20 * MIB), 4 * MIB));
	assert_true(nept_unmap(&table, PA2(64 * GIB), 4 * GIB));
	assert_int_equal(pool.used, 2 + 5);
}

static void a_scratch_page_stands_for_a_whole_range(void **state)
{
	struct nept_range scratch = { PA2(16 * MIB - 4096), PA1(0xabc000), 2 * MIB + 8192,
				      NEPT_R | NEPT_W, MEMTYPE_WB };
	u64 at;

	(void)state;
	map_identity(0, GIB, NEPT_SHIFT_1G);
	assert_true(nept_map_scratch(&table, &scratch));
	for (at = 16 * MIB - 4096; at < 18 * MIB + 4096; at += 4096)
		assert_maps(at + 7, 0xabc007, 4096);
	assert_maps(16 * MIB - 4097, 16 * MIB - 4097, 4096);
	assert_maps(18 * MIB + 4096, 18 * MIB + 4096, 4096);
}

/* "EPT memory type" in bits 5:3 with the numbers of the MTRRs; ignore-PAT stays 0. */
static void ranges_have_their_memory_types(void **state)
{
	static const enum memory_type types[] = { MEMTYPE_UC, MEMTYPE_WC, MEMTYPE_WT, MEMTYPE_WP,
						  MEMTYPE_WB };
	struct reference_walk walk;
	u32 n;

	(void)state;
	for (n = 0; n < 5; n++) {
		u64 at = n * 3 * MIB;
		struct nept_range range = { PA2(at), PA1(at), 3 * MIB, NEPT_RWX, types[n] };

		assert_true(nept_map(&table, &range, NEPT_SHIFT_1G));
	}
	for (n = 0; n < 5; n++) {
		assert_int_equal(hardware_read(&table, n * 3 * MIB + MIB, &walk), REFERENCE_OK);
		assert_int_equal(walk.type, types[n]);
		assert_int_equal(walk.ignore_pat, 0);
	}
	/* A split keeps them. */
	assert_true(nept_unmap(&table, PA2(10 * MIB), 4096));
	assert_int_equal(hardware_read(&table, 10 * MIB + 4096, &walk), REFERENCE_OK);
	assert_int_equal(walk.type, MEMTYPE_WP);
}

static void addresses_beyond_the_levels_are_no_aliases(void **state)
{
	struct nept_page12 page;

	(void)state;
	map_identity(0, GIB, NEPT_SHIFT_1G);
	nept_table_find(&table, PA2(BIT(48)), &page);
	assert_int_equal(page.rights, 0);
}

/* INVEPT is needed after a translation was taken away or changed, and not after one was added: "an
 * EPT violation invalidates any guest-physical mappings ... that would be used to translate the
 * guest-physical address that caused the EPT violation". */
static void removals_are_counted_and_additions_are_not(void **state)
{
	struct nept_range range = { PA2(0), PA1(0), 2 * MIB, NEPT_R, MEMTYPE_WB };
	u64 before;

	(void)state;
	assert_true(nept_map(&table, &range, NEPT_SHIFT_1G)); /* new */
	range.rights = NEPT_RWX;
	assert_true(nept_map(&table, &range, NEPT_SHIFT_1G)); /* more rights */
	assert_true(nept_map(&table, &range, NEPT_SHIFT_1G)); /* the same */
	assert_true(nept_unmap(&table, PA2(GIB), GIB));       /* nothing there */
	assert_int_equal(table.removals, 0);

	before = table.removals;
	range.rights = NEPT_R | NEPT_X;
	assert_true(nept_map(&table, &range, NEPT_SHIFT_1G));
	assert_true(table.removals > before);

	before = table.removals;
	range.to = PA1(2 * MIB);
	assert_true(nept_map(&table, &range, NEPT_SHIFT_1G));
	assert_true(table.removals > before);

	before = table.removals;
	range.type = MEMTYPE_UC;
	assert_true(nept_map(&table, &range, NEPT_SHIFT_1G));
	assert_true(table.removals > before);

	before = table.removals;
	assert_true(nept_unmap(&table, PA2(4096), 4096));
	assert_true(table.removals > before);

	before = table.removals;
	assert_true(nept_map(&table, &range, NEPT_SHIFT_1G)); /* small pages become one */
	assert_true(table.removals > before);

	before = table.removals;
	nept_table_clear(&table);
	assert_int_equal(table.removals, before + 1);
	nept_table_clear(&table); /* empty already */
	assert_int_equal(table.removals, before + 1);
}

static void clearing_gives_back_every_page_zeroed(void **state)
{
	struct fake_random random = { 5 };
	u32 used = pool.used;

	(void)state;
	assert_true(map_random_ept12(&table, &random));
	assert_true(pool.used > used + 10);
	nept_table_clear(&table);
	assert_int_equal(pool.used, used);
	assert_true(merged_pool_is_clean(&pool));
	assert_hole(0);
	assert_hole(GIB);
}

static void an_empty_pool_is_an_error_and_nothing_breaks(void **state)
{
	struct nept_range range = { PA2(0), PA1(4096), 64 * MIB, NEPT_RWX, MEMTYPE_WB };

	(void)state;
	merged_pool_init(&pool, 10);
	assert_true(nept_table_init(&table, &nept_format_ept, &pool));
	assert_false(nept_map(&table, &range, NEPT_SHIFT_1G)); /* needs 34 pages */
	assert_int_equal(nept_pool_available(&pool), 0);
	assert_maps(0, 4096, 4096);
	assert_hole(63 * MIB);
	nept_table_clear(&table);
	assert_int_equal(nept_pool_available(&pool), 8);
	map_identity(0, GIB, NEPT_SHIFT_1G);
	assert_true(nept_pool_take(&pool) && nept_pool_take(&pool) && nept_pool_take(&pool));
	assert_true(nept_pool_take(&pool) && nept_pool_take(&pool) && nept_pool_take(&pool));
	assert_true(nept_pool_take(&pool));
	assert_false(nept_unmap(&table, PA2(4096), 4096)); /* cannot split */
	assert_maps(0, 0, GIB);
	assert_false(nept_table_init(&table, &nept_format_ept, &pool));
}

#define AREA_PAGES 4096U
#define AREA_FROM  (GIB - 8 * MIB)

/* What one 4-KByte page of the area should be: 0 = a hole, else address, rights and type. */
static u64 model[AREA_PAGES];

static bool model_page_is_right(u32 page)
{
	struct reference_walk walk;
	u64 address = AREA_FROM + (u64)page * 4096;
	struct nept_page12 found;

	nept_table_find(&table, PA2(address), &found);
	if (hardware_read(&table, address, &walk) != REFERENCE_OK)
		return model[page] == 0 && found.rights == 0;
	return model[page] == (walk.physical | rights_of(&walk) | walk.type << 3) &&
	       found.base.v + (address & (BIT(found.shift) - 1)) == walk.physical &&
	       found.rights == rights_of(&walk);
}

/* One random operation on table and model; true when a page lost or changed its translation. */
static bool change_at_random(struct fake_random *random)
{
	static const u32 rights[] = { NEPT_R, NEPT_R | NEPT_W, NEPT_R | NEPT_X, NEPT_RWX };
	u32 unit = fake_once_in(random, 2) ? 1 : 512;
	u32 first = fake_below(random, AREA_PAGES / unit) * unit;
	u32 count = (1 + fake_below(random, unit == 1 ? 700 : 4)) * unit;
	u32 operation = fake_below(random, 5);
	struct nept_range range = { PA2(AREA_FROM + first * 4096ULL),
				    PA1((fake_random(random) & BITS(38, 12)) &
					~(unit * 4096ULL - 1)),
				    0, rights[fake_below(random, 4)], MEMTYPE_WB };
	bool lost = false;
	u32 n;

	if (first + count > AREA_PAGES)
		count = AREA_PAGES - first;
	range.size = count * 4096ULL;
	if (operation == 0)
		assert_true(nept_unmap(&table, range.from, range.size));
	else if (operation == 1)
		assert_true(nept_map_scratch(&table, &range));
	else
		assert_true(nept_map(&table, &range, fake_once_in(random, 2) ? 30 : 12));
	for (n = first; n < first + count; n++) {
		u64 offset = operation == 1 ? 0 : (n - first) * 4096ULL;
		u64 new = operation == 0 ? 0 : (range.to.v + offset) | range.rights | 6 << 3;
		bool only_more = ((model[n] ^ new) & ~7ULL) == 0 && !(model[n] & ~new);

		lost |= model[n] && !only_more;
		model[n] = new;
	}
	return lost;
}

static void random_changes_agree_with_a_list_of_pages(void **state)
{
	struct fake_random random = { 77 };
	u32 n, page;

	(void)state;
	memset(model, 0, sizeof(model));
	for (n = 0; n < 400; n++) {
		u64 before = table.removals;
		bool lost = change_at_random(&random);

		if (lost)
			assert_true(table.removals > before);
		for (page = fake_below(&random, 16); page < AREA_PAGES; page += 16)
			assert_true(model_page_is_right(page));
	}
	for (page = 0; page < AREA_PAGES; page++)
		assert_true(model_page_is_right(page));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(identity_uses_the_largest_pages, make_table),
		cmocka_unit_test_setup(page_size_is_limited_by_what_is_offered_and_aligned,
				       make_table),
		cmocka_unit_test_setup(a_hole_splits_only_the_pages_it_cuts, make_table),
		cmocka_unit_test_setup(a_scratch_page_stands_for_a_whole_range, make_table),
		cmocka_unit_test_setup(ranges_have_their_memory_types, make_table),
		cmocka_unit_test_setup(addresses_beyond_the_levels_are_no_aliases, make_table),
		cmocka_unit_test_setup(removals_are_counted_and_additions_are_not, make_table),
		cmocka_unit_test_setup(clearing_gives_back_every_page_zeroed, make_table),
		cmocka_unit_test_setup(an_empty_pool_is_an_error_and_nothing_breaks, make_table),
		cmocka_unit_test_setup(random_changes_agree_with_a_list_of_pages, make_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
