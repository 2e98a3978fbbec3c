/*
 * The EPT walk against the reference, on random tables that refer to each other in every way: the
 * same verdict, address, rights, memory type, and the same accessed and dirty flags afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nested-ept/ept.h"
#include "nested-ept/walk.h"
#include "tests/host/reference_ept.h"

#define TABLES           60
#define WALKS_EACH       2000
#define WALKS_EACH_FLAGS 100 /* with a comparison of the whole memory after each */

static struct fake_memory ours, theirs;
static u32 verdicts[3]; /* by enum reference_result: the tables must give enough of each */

static u64 *their_entry(void *ctx, u64 at)
{
	return fake_entry(ctx, at);
}

static void compare_one_walk(const struct nept_source *source, const struct reference_cpu *cpu,
			     u64 eptp, u64 address, u32 access)
{
	static const enum nept_walk_result same[] = {
		[REFERENCE_OK] = NEPT_WALK_OK,
		[REFERENCE_VIOLATION] = NEPT_WALK_VIOLATION,
		[REFERENCE_MISCONFIG] = NEPT_WALK_MISCONFIG,
	};
	struct reference_walk expected;
	enum reference_result verdict;
	struct nept_walk walk;

	verdict = reference_ept_walk(cpu, eptp, address, access, &expected);
	assert_int_equal(nept_walk(source, PA3(address), access, &walk), same[verdict]);
	verdicts[verdict]++;
	if (verdict == REFERENCE_MISCONFIG)
		return;
	assert_int_equal(walk.rights, expected.r | expected.w << 1 | expected.x << 2);
	if (verdict == REFERENCE_VIOLATION)
		return;
	assert_int_equal(walk.pa2.v, expected.physical);
	assert_int_equal(BIT(walk.shift), expected.page_size);
	assert_int_equal(walk.caching, expected.type | expected.ignore_pat << 3);
	assert_int_equal(walk.dirty, !(eptp & BIT(6)) || expected.was_dirty || (access & NEPT_W));
}

static void compare_random_walks(bool tracks, u32 walks, bool compare_memory)
{
	struct fake_random random = { 2026 };
	struct nept_memory memory = fake_memory_access(&ours);
	u32 table, n;

	memset(verdicts, 0, sizeof(verdicts));
	for (table = 0; table < TABLES; table++) {
		struct nept_features features = { .physical_bits = 30 + fake_below(&random, 23),
						  .max_shift = 12 + 9 * fake_below(&random, 3),
						  .execute_only = fake_once_in(&random, 2) };
		struct reference_cpu cpu = { .entry = their_entry,
					     .ctx = &theirs,
					     .physical_bits = features.physical_bits,
					     .pages_2m = features.max_shift >= 21,
					     .pages_1g = features.max_shift >= 30,
					     .execute_only = features.execute_only };
		struct nept_rules rules;
		struct nept_source source = {
			&nept_format_ept, &rules, &memory, { PA2(0), false }
		};

		fill_with_random_ept(&ours, &random, features.physical_bits);
		memcpy(theirs.page, ours.page, sizeof(ours.page));
		nept_format_ept.make_rules(&features, &rules);
		for (n = 0; n < walks; n++) {
			u64 eptp = fake_page_address(fake_below(&random, FAKE_PAGES)) | 0x1e |
				   (tracks ? BIT(6) : 0);

			source.root = nept_format_ept.root23(eptp);
			compare_one_walk(&source, &cpu, eptp, fake_random(&random) >> 16,
					 1 + fake_below(&random, 7));
			if (compare_memory)
				assert_memory_equal(ours.page, theirs.page, sizeof(ours.page));
		}
		assert_memory_equal(ours.page, theirs.page, sizeof(ours.page));
	}
	for (n = 0; n < 3; n++)
		assert_true(verdicts[n] >= TABLES * walks / 20);
}

static void walks_agree_with_the_reference(void **state)
{
	(void)state;
	compare_random_walks(false, WALKS_EACH, false);
}

static void walks_with_flags_agree_with_the_reference(void **state)
{
	(void)state;
	compare_random_walks(true, WALKS_EACH, false);
	compare_random_walks(true, WALKS_EACH_FLAGS, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_agree_with_the_reference),
		cmocka_unit_test(walks_with_flags_agree_with_the_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
