/*
 * ept13 against both references at once: random tables of L2, a random ept12, random faults. After
 * each fill hardware's walk of ept13 gives what the walk of ept23 followed by that of ept12 gives,
 * and nowhere does ept13 allow what either of the two does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/host/merged_machine.h"

#define MACHINES      12
#define FAULTS        1500
#define PHYSICAL_BITS 32
#define ADDRESSES     64

static struct fake_memory ours, theirs; /* L2's memory, and what the reference makes of it */
static struct nept_pool pool;
static struct nept_table ept12;
static struct nept_rules rules;
static struct nept_memory memory;
static struct nept_lookup12 lookup12;
static struct nept nept;
static u64 eptp23;
static u64 filled[ADDRESSES]; /* where faults were filled, to look again later */
static u32 results[NEPT_RESULTS];

static u64 *their_entry(void *ctx, u64 at)
{
	return fake_entry(ctx, at);
}

/* What L3 may do at an address and where it leads; `verdict` of L2's side. */
struct expectation {
	enum reference_result verdict;
	unsigned rights;
	u64 physical, page_size;
	struct reference_walk walk23;
};

/* With EPTP_AD in `eptp` flags are set in `tables`. */
static struct expectation expect(struct fake_memory *tables, u64 eptp, u64 address, unsigned access)
{
	struct reference_cpu l2s_cpu = { .entry = their_entry,
					 .ctx = tables,
					 .physical_bits = PHYSICAL_BITS,
					 .pages_2m = true,
					 .pages_1g = true,
					 .execute_only = true };
	struct expectation e = { 0 };
	struct reference_walk walk12;

	e.verdict = reference_ept_walk(&l2s_cpu, eptp, address, access, &e.walk23);
	if (e.verdict != REFERENCE_OK)
		return e;
	if (hardware_read(&ept12, e.walk23.physical, &walk12) != REFERENCE_OK)
		return e;
	e.rights = rights_of(&e.walk23) & rights_of(&walk12);
	if ((eptp23 & EPTP_AD) && !e.walk23.was_dirty && !(access & NEPT_W))
		e.rights &= ~NEPT_W;
	e.physical = walk12.physical;
	e.page_size = e.walk23.page_size < walk12.page_size ? e.walk23.page_size : walk12.page_size;
	return e;
}

static enum nept_result result_of(const struct expectation *e, unsigned access)
{
	if (e->verdict == REFERENCE_VIOLATION)
		return NEPT_VIOLATION;
	if (e->verdict == REFERENCE_MISCONFIG)
		return NEPT_MISCONFIG;
	return access & ~e->rights ? NEPT_ABSENT : NEPT_FILLED;
}

static void make_machine(struct fake_random *random, bool tracks)
{
	struct nept_features features = { .physical_bits = PHYSICAL_BITS,
					  .max_shift = NEPT_SHIFT_1G,
					  .execute_only = true };

	merged_pool_init(&pool, POOL_PAGES);
	assert_true(nept_table_init(&ept12, &nept_format_ept, &pool));
	assert_true(map_random_ept12(&ept12, random));
	fill_with_random_ept(&ours, random, PHYSICAL_BITS);
	memcpy(theirs.page, ours.page, sizeof(ours.page));
	nept_format_ept.make_rules(&features, &rules);
	memory = fake_memory_access(&ours);
	lookup12 = (struct nept_lookup12){ &ept12, nept_table_find };
	eptp23 = fake_page_address(0) | EPTP_WALK_4 | MEMTYPE_WB | (tracks ? EPTP_AD : 0);
	nept = (struct nept){ .source = { &nept_format_ept, &rules, &memory,
					  nept_format_ept.root23(eptp23) },
			      .lookup12 = &lookup12 };
	assert_true(nept_table_init(&nept.table, &nept_format_ept, &pool));
	memset(filled, 0, sizeof(filled));
}

/* ept13 says nothing about `address` that the two tables do not say now. */
static void assert_ept13_gives_no_more(u64 address)
{
	struct reference_walk walk;
	struct expectation e;

	if (hardware_walk(nept_root_pointer(&nept) & ~EPTP_AD, address, 0, &walk) != REFERENCE_OK)
		return;
	e = expect(&ours, eptp23 & ~EPTP_AD, address, 0);
	assert_int_equal(e.verdict, REFERENCE_OK);
	assert_int_equal(rights_of(&walk) & ~e.rights, 0);
	assert_int_equal(walk.physical, e.physical);
	assert_int_equal(walk.type, e.walk23.type);
	assert_int_equal(walk.ignore_pat, e.walk23.ignore_pat);
}

static void one_fault(u64 address, unsigned access)
{
	struct nept_fault fault = { 0 };
	struct reference_walk walk;
	enum nept_result result;
	struct expectation e = expect(&theirs, eptp23, address, access);

	result = nept_fill(&nept, PA3(address), access, &fault);
	if (result == NEPT_NOMEM) {
		nept_table_clear(&nept.table);
		result = nept_fill(&nept, PA3(address), access, &fault);
	}
	assert_int_equal(result, result_of(&e, access));
	results[result]++;
	assert_memory_equal(ours.page, theirs.page, sizeof(ours.page));
	if (result == NEPT_VIOLATION)
		assert_int_equal(fault.info, access | rights_of(&e.walk23) << 3);
	if (result == NEPT_ABSENT)
		assert_int_equal(fault.pa2.v, e.walk23.physical);
	if (result != NEPT_FILLED)
		return;
	assert_int_equal(hardware_walk(nept_root_pointer(&nept), address, access, &walk),
			 REFERENCE_OK);
	assert_int_equal(walk.physical, e.physical);
	assert_int_equal(walk.page_size, e.page_size);
	assert_int_equal(rights_of(&walk), e.rights);
	filled[address % ADDRESSES] = address;
}

static void run_machines(bool tracks)
{
	struct fake_random random = { 99 };
	u32 machine, n, i;

	memset(results, 0, sizeof(results));
	for (machine = 0; machine < MACHINES; machine++) {
		u32 used;

		make_machine(&random, tracks);
		used = pool.used;
		for (n = 0; n < FAULTS; n++) {
			u64 near = filled[fake_below(&random, ADDRESSES)];
			u64 address = fake_once_in(&random, 3)
					      ? near ^ (fake_random(&random) & 0x3fffff)
					      : fake_random(&random) >> 16;

			one_fault(address, 1 + fake_below(&random, 7));
			for (i = n % 8; i < ADDRESSES; i += 8)
				assert_ept13_gives_no_more(filled[i]);
		}
		nept_table_clear(&nept.table);
		assert_int_equal(pool.used, used);
		assert_true(merged_pool_is_clean(&pool));
	}
	assert_true(results[NEPT_FILLED] > MACHINES * FAULTS / 20);
	assert_true(results[NEPT_VIOLATION] > MACHINES * FAULTS / 20);
	assert_true(results[NEPT_MISCONFIG] > MACHINES * FAULTS / 40);
	assert_true(results[NEPT_ABSENT] > MACHINES * FAULTS / 100);
}

static void merged_tables_agree_with_both_sides(void **state)
{
	(void)state;
	run_machines(false);
}

static void merged_tables_with_flags_agree_with_both_sides(void **state)
{
	(void)state;
	run_machines(true);
}

/* L2 rewrites its tables under L3's feet: whatever faults follow, pages are neither lost nor used
 * twice, and after L2's INVEPT the table again agrees with both sides. */
static void tables_rewritten_without_invept_do_no_harm(void **state)
{
	struct fake_random random = { 4242 };
	struct nept_fault fault;
	u32 round, n, used;

	(void)state;
	make_machine(&random, true);
	used = pool.used;
	for (round = 0; round < 40; round++) {
		for (n = 0; n < 100; n++) {
			u64 *entry = &ours.page[fake_below(&random, FAKE_PAGES)]
					       [fake_below(&random, 512)];
			u64 address = fake_random(&random) & 0x803fe03ff000ULL;

			*entry = random_ept_entry(&random, PHYSICAL_BITS);
			if (nept_fill(&nept, PA3(address), 1 + fake_below(&random, 7), &fault) ==
			    NEPT_NOMEM)
				nept_table_clear(&nept.table);
		}
		nept_table_clear(&nept.table);
		assert_int_equal(pool.used, used);
		assert_true(merged_pool_is_clean(&pool));
		memcpy(theirs.page, ours.page, sizeof(ours.page));
		one_fault(fake_random(&random) >> 16, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merged_tables_agree_with_both_sides),
		cmocka_unit_test(merged_tables_with_flags_agree_with_both_sides),
		cmocka_unit_test(tables_rewritten_without_invept_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
