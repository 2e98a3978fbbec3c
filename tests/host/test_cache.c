/*
 * The merged tables of one CPU: which table an EPTP gets, what INVEPT removes, when the core is
 * told to execute INVEPT itself, and what happens when the pool is empty.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nested-ept/cache.h"
#include "tests/host/merged_machine.h"

#define GIB (1ULL << 30)

static struct fake_memory memory;
static struct nept_pool pool;
static struct nept_table ept12;
static struct nept_cache cache;

/* Page n of L2's memory is a PML4 with one 1-GiB page for each of 16 addresses, n GiB further. */
static u64 eptp_of(u32 n)
{
	return fake_page_address(n) | EPTP_WALK_4 | MEMTYPE_WB;
}

static void make_ept23(u32 n)
{
	u32 i;

	memory.page[n][0] = fake_page_address(n + 12) | 7;
	for (i = 0; i < 16; i++)
		memory.page[n + 12][i] = (i + n) * GIB | 0xb7;
}

static int make_cache_of(u32 pages)
{
	struct nept_features features = { .physical_bits = 40,
					  .max_shift = NEPT_SHIFT_1G,
					  .execute_only = true };
	struct nept_range all = { PA2(0), PA1(0), 64 * GIB, NEPT_RWX, MEMTYPE_WB };
	struct nept_cache_config config = { .format = &nept_format_ept,
					    .memory = fake_memory_access(&memory),
					    .lookup12 = { &ept12, nept_table_find },
					    .pool = &pool };
	u32 n;

	nept_format_ept.make_rules(&features, &config.rules);
	for (n = 0; n < 12; n++)
		make_ept23(n);
	merged_pool_init(&pool, pages);
	if (!nept_table_init(&ept12, &nept_format_ept, &pool) ||
	    !nept_map(&ept12, &all, NEPT_SHIFT_1G))
		return -1;
	return nept_cache_init(&cache, &config) ? 0 : -1;
}

static int make_cache(void **state)
{
	(void)state;
	return make_cache_of(POOL_PAGES);
}

static enum nept_result fill(struct nept_slot *slot, u64 address)
{
	struct nept_fault fault;

	return nept_cache_fill(&cache, slot, PA3(address), EPT_VIOLATION_READ, &fault);
}

static bool is_mapped(const struct nept_slot *slot, u64 address, u64 to)
{
	struct reference_walk walk;

	return hardware_walk(nept_root_pointer(&slot->nept), address, 1, &walk) == REFERENCE_OK &&
	       walk.physical == to;
}

static void an_eptp_keeps_its_table(void **state)
{
	struct nept_slot *one = nept_cache_load(&cache, eptp_of(1));
	struct nept_slot *two;

	(void)state;
	assert_int_equal(fill(one, 0), NEPT_FILLED);
	two = nept_cache_load(&cache, eptp_of(2));
	assert_ptr_not_equal(one, two);
	assert_int_equal(fill(two, 0), NEPT_FILLED);
	assert_true(is_mapped(one, 0, GIB));
	assert_true(is_mapped(two, 0, 2 * GIB));
	assert_ptr_equal(nept_cache_load(&cache, eptp_of(1)), one);
	/* The memory type for the tables themselves makes no other address space. */
	assert_ptr_equal(nept_cache_load(&cache, eptp_of(1) & ~7ULL), one);
	assert_int_equal(cache.stats.hits, 2);
	assert_int_equal(cache.stats.misses, 2);
	assert_int_equal(cache.stats.results[NEPT_FILLED], 2);
}

/* With bit 6 of EPTP the same tables are walked by other rules. */
static void tracking_flags_is_another_table(void **state)
{
	struct nept_slot *plain = nept_cache_load(&cache, eptp_of(1));
	struct nept_slot *tracking = nept_cache_load(&cache, eptp_of(1) | EPTP_AD);

	(void)state;
	assert_ptr_not_equal(plain, tracking);
	assert_int_equal(nept_root_pointer(&tracking->nept) & EPTP_AD, EPTP_AD);
	assert_int_equal(nept_root_pointer(&plain->nept) & EPTP_AD, 0);
}

static void the_least_recently_used_table_is_reused(void **state)
{
	struct nept_slot *slot[NEPT_CACHE_SLOTS];
	struct nept_slot *other;
	u32 n;

	(void)state;
	for (n = 0; n < NEPT_CACHE_SLOTS; n++) {
		slot[n] = nept_cache_load(&cache, eptp_of(n));
		assert_int_equal(fill(slot[n], GIB), NEPT_FILLED);
	}
	assert_int_equal(cache.stats.evictions, 0);
	nept_cache_load(&cache, eptp_of(0));
	other = nept_cache_load(&cache, eptp_of(10));
	assert_ptr_equal(other, slot[1]);
	assert_int_equal(cache.stats.evictions, 1);
	/* Hardware caches by the root's address, and the root is still the same page. */
	assert_true(nept_slot_take_invept(&cache, other));
	assert_false(is_mapped(other, GIB, 2 * GIB));
	assert_int_equal(fill(other, GIB), NEPT_FILLED);
	assert_true(is_mapped(other, GIB, 11 * GIB));
	assert_ptr_equal(nept_cache_load(&cache, eptp_of(0)), slot[0]);
	assert_true(is_mapped(slot[0], GIB, GIB));
}

/* The core executes INVEPT exactly when something was removed, and once. */
static void invept_is_asked_for_exactly_when_needed(void **state)
{
	struct nept_slot *slot = nept_cache_load(&cache, eptp_of(1));

	(void)state;
	assert_false(nept_slot_take_invept(&cache, slot)); /* new, empty */
	nept_cache_drop_all(&cache);
	assert_false(nept_slot_take_invept(&cache, slot)); /* nothing was removed */
	assert_int_equal(fill(slot, 0), NEPT_FILLED);
	assert_false(nept_slot_take_invept(&cache, slot)); /* only added */
	nept_cache_drop_all(&cache);
	nept_cache_drop_all(&cache);
	assert_true(nept_slot_take_invept(&cache, slot));
	assert_false(nept_slot_take_invept(&cache, slot));
	assert_int_equal(cache.stats.invepts, 1);
	assert_int_equal(cache.stats.drops, 1);
}

/* "INVEPT - Single-context invalidation": "all mappings associated with bits 51:12 of the EPT
 * pointer (EPTP) specified in the INVEPT descriptor", so with either value of bit 6. */
static void single_context_drops_one_address_space(void **state)
{
	struct nept_slot *one = nept_cache_load(&cache, eptp_of(1));
	struct nept_slot *tracking = nept_cache_load(&cache, eptp_of(1) | EPTP_AD);
	struct nept_slot *two = nept_cache_load(&cache, eptp_of(2));

	(void)state;
	assert_int_equal(fill(one, 0), NEPT_FILLED);
	assert_int_equal(fill(tracking, 0), NEPT_FILLED);
	assert_int_equal(fill(two, 0), NEPT_FILLED);
	/* L2 moves the page first, as it would. */
	memory.page[13][0] = 30 * GIB | 0xb7;
	nept_cache_drop_context(&cache, eptp_of(1) & EPTP_ADDRESS);
	assert_true(nept_slot_take_invept(&cache, one));
	assert_true(nept_slot_take_invept(&cache, tracking));
	assert_false(nept_slot_take_invept(&cache, two));
	assert_true(is_mapped(two, 0, 2 * GIB));
	assert_false(is_mapped(one, 0, GIB));
	assert_int_equal(fill(one, 0), NEPT_FILLED);
	assert_true(is_mapped(one, 0, 30 * GIB));
	/* Unknown ones, and the key of unused slots. */
	nept_cache_drop_context(&cache, eptp_of(9));
	nept_cache_drop_context(&cache, ~0ULL);
	assert_int_equal(cache.stats.drops, 2);
	assert_false(nept_slot_take_invept(&cache, one));
}

/* "INVEPT - Global invalidation": "all mappings associated with all EPTPs". */
static void global_drops_all(void **state)
{
	u32 used = pool.used;
	struct nept_slot *one = nept_cache_load(&cache, eptp_of(1));
	struct nept_slot *two = nept_cache_load(&cache, eptp_of(2));

	(void)state;
	assert_int_equal(fill(one, 0), NEPT_FILLED);
	assert_int_equal(fill(two, 0), NEPT_FILLED);
	nept_cache_drop_all(&cache);
	assert_false(is_mapped(one, 0, GIB));
	assert_false(is_mapped(two, 0, 2 * GIB));
	assert_true(nept_slot_take_invept(&cache, one));
	assert_true(nept_slot_take_invept(&cache, two));
	assert_int_equal(pool.used, used);
	/* The tables still belong to their EPTPs. */
	assert_ptr_equal(nept_cache_load(&cache, eptp_of(1)), one);
}

/* An empty pool costs other address spaces their tables, the oldest first, then one's own. */
static void an_empty_pool_drops_the_oldest_tables(void **state)
{
	struct nept_slot *one, *two, *three;

	(void)state;
	/* Bookkeeping, ept12 with 2, the roots, and 2 pages to fill with. */
	assert_int_equal(make_cache_of(1 + 2 + NEPT_CACHE_SLOTS + 2), 0);
	one = nept_cache_load(&cache, eptp_of(1));
	assert_int_equal(fill(one, 0), NEPT_FILLED);
	two = nept_cache_load(&cache, eptp_of(2));
	assert_int_equal(fill(two, 0), NEPT_FILLED);
	three = nept_cache_load(&cache, eptp_of(3));
	assert_int_equal(fill(three, 0), NEPT_FILLED);
	assert_false(is_mapped(one, 0, GIB));
	assert_true(is_mapped(two, 0, 2 * GIB));
	assert_true(is_mapped(three, 0, 3 * GIB));
	assert_true(nept_slot_take_invept(&cache, one));
	assert_int_equal(cache.stats.evictions, 1);

	/* One's own table is dropped last, and INVEPT is asked for. */
	memory.page[3][1] = fake_page_address(15) | 7;
	memory.page[3][2] = fake_page_address(15) | 7;
	assert_int_equal(fill(three, 512 * GIB), NEPT_FILLED);
	assert_false(is_mapped(two, 0, 2 * GIB));
	assert_true(is_mapped(three, 0, 3 * GIB));
	assert_false(nept_slot_take_invept(&cache, three));
	assert_int_equal(fill(three, 1024 * GIB), NEPT_FILLED);
	assert_false(is_mapped(three, 0, 3 * GIB));
	assert_true(is_mapped(three, 1024 * GIB, 3 * GIB));
	assert_true(nept_slot_take_invept(&cache, three));
}

static void a_pool_that_is_too_small_is_an_error(void **state)
{
	struct nept_slot *slot;

	(void)state;
	assert_int_equal(make_cache_of(1 + 2 + NEPT_CACHE_SLOTS - 1), -1);
	assert_int_equal(make_cache_of(1 + 2 + NEPT_CACHE_SLOTS), 0);
	slot = nept_cache_load(&cache, eptp_of(1));
	assert_int_equal(fill(slot, 0), NEPT_NOMEM);
	assert_int_equal(cache.stats.results[NEPT_NOMEM], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_eptp_keeps_its_table, make_cache),
		cmocka_unit_test_setup(tracking_flags_is_another_table, make_cache),
		cmocka_unit_test_setup(the_least_recently_used_table_is_reused, make_cache),
		cmocka_unit_test_setup(invept_is_asked_for_exactly_when_needed, make_cache),
		cmocka_unit_test_setup(single_context_drops_one_address_space, make_cache),
		cmocka_unit_test_setup(global_drops_all, make_cache),
		cmocka_unit_test_setup(an_empty_pool_drops_the_oldest_tables, make_cache),
		cmocka_unit_test_setup(a_pool_that_is_too_small_is_an_error, make_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
