/*
 * Nested tables of AMD at random. The walk against the reference of paging, of which it is the
 * 4-level mode with every access a user's; and npt13, which gives what npt23 and npt12 both give
 * and no more. Hardware is gpt_walk(), which has tests of its own against that reference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "l1-hypervisor/leaf/x86.h"
#include "nested-ept/gpt_walk.h"
#include "nested-ept/npt.h"
#include "tests/host/merged_machine.h"
#include "tests/host/reference_paging.h"

#define TABLES    60
#define WALKS     2000
#define MACHINES  8
#define FAULTS    1500
#define ADDRESSES 64

static struct fake_memory ours, theirs, scratch;
static struct nept_features features;
static struct nept_rules rules;
static struct nept_memory memory;
static struct nept_source source;
static struct nept_pool pool;
static struct nept_table npt12;
static struct nept_lookup12 lookup12;
static struct nept nept;
static u64 filled[ADDRESSES];
static u32 results[NEPT_RESULTS];

static u64 random_entry(struct fake_random *random)
{
	u64 page = fake_random(random) & (BIT(features.physical_bits) - 1);
	u64 entry = PTE_P | PTE_W | PTE_U | (fake_random(random) & (BITS(62, 52) | BITS(11, 9)));

	if (fake_once_in(random, 40))
		return fake_random(random);
	if (fake_once_in(random, 30))
		return fake_random(random) & ~PTE_P;
	if (fake_once_in(random, 8))
		entry &= ~(fake_once_in(random, 3) ? PTE_U : PTE_W);
	if (fake_once_in(random, 8))
		entry |= PTE_NX;
	entry |= fake_random(random) & (PTE_PWT | PTE_PCD | PTE_A | PTE_D);
	switch (fake_below(random, 10)) {
	case 0: /* a leaf of level 1 to 3 */
		return entry | PTE_PS | (page & ~BITS(29, 13));
	case 1: /* ... of level 1 or 2 */
		return entry | PTE_PS | (page & ~BITS(20, 13)) | (fake_random(random) & PTE_G);
	case 2: /* ... of level 1 */
		return entry | (page & ~PAGE_MASK);
	default:
		return entry | fake_page_address(fake_below(random, FAKE_PAGES));
	}
}

static void make_tables(struct fake_random *random)
{
	for (u32 page = 0; page < FAKE_PAGES; page++)
		for (u32 i = 0; i < 512; i++)
			ours.page[page][i] = random_entry(random);
	memcpy(theirs.page, ours.page, sizeof(ours.page));
	nept_format_npt.make_rules(&features, &rules);
	memory = fake_memory_access(&ours);
	source = (struct nept_source){ &nept_format_npt, &rules, &memory, { PA2(0), false } };
}

/* The error code that a nested walk ends with, PF_P left out when it ends well. */
static struct reference_paging reference_walk(struct fake_memory *tables, u64 ncr3, u64 at,
					      u32 rights)
{
	struct gpt_context cpu = { .cr0 = CR0_PE | CR0_PG | CR0_WP,
				   .cr3 = ncr3,
				   .cr4 = CR4_PAE,
				   .efer = EFER_LMA | (features.no_execute ? EFER_NXE : 0),
				   .physical_bits = features.physical_bits,
				   .has_1g_pages = features.max_shift == NEPT_SHIFT_1G };
	u32 kinds = GPT_USER | (rights & NEPT_W ? GPT_WRITE : 0) |
		    (rights & NEPT_X ? GPT_FETCH : 0);
	u64 *top = fake_entry(tables, ncr3 + 8 * ((at >> 39) & 511));

	/* What AMD's PML4 entries have and Intel's have not. */
	if ((*top & PTE_P) && (*top & PTE_G))
		return (struct reference_paging){ .error_code = PF_P | PF_RSVD | PF_U };
	return reference_page_walk(&cpu, tables, at, kinds);
}

static enum nept_walk_result verdict_of(const struct reference_paging *expected)
{
	if (expected->ok)
		return NEPT_WALK_OK;
	return expected->error_code & PF_RSVD ? NEPT_WALK_MISCONFIG : NEPT_WALK_VIOLATION;
}

static u64 info_of(u32 rights)
{
	return (rights & NEPT_W ? PF_W : 0) | (rights & NEPT_X ? PF_I : 0);
}

static u32 random_access(struct fake_random *random)
{
	static const u32 accesses[] = { NEPT_R, NEPT_R | NEPT_W, NEPT_R | NEPT_X };

	return accesses[fake_below(random, 3)];
}

static void walks_agree_with_the_reference(void **state)
{
	struct fake_random random = { 2027 };
	u32 verdicts[4] = { 0 };

	(void)state;
	for (u32 table = 0; table < TABLES; table++) {
		features = (struct nept_features){ .physical_bits = 30 + fake_below(&random, 23),
						   .max_shift = fake_once_in(&random, 3)
									? NEPT_SHIFT_2M
									: NEPT_SHIFT_1G,
						   .no_execute = !fake_once_in(&random, 4) };
		make_tables(&random);
		for (u32 n = 0; n < WALKS; n++) {
			u64 ncr3 = fake_page_address(fake_below(&random, FAKE_PAGES));
			u64 at = fake_random(&random) >> 16;
			u32 rights = random_access(&random);
			struct reference_paging expected =
				reference_walk(&theirs, ncr3, at, rights);
			enum nept_walk_result verdict;
			struct nept_walk walk;

			source.root = nept_format_npt.root23(ncr3);
			verdict = nept_walk(&source, PA3(at), rights, &walk);
			assert_int_equal(verdict, verdict_of(&expected));
			verdicts[verdict]++;
			if (verdict == NEPT_WALK_OK)
				assert_int_equal(walk.pa2.v, expected.physical);
			if (verdict == NEPT_WALK_VIOLATION)
				assert_int_equal(
					nept_format_npt.violation(info_of(rights), walk.rights) |
						(features.no_execute ? 0 : PF_I),
					expected.error_code | (features.no_execute ? 0 : PF_I));
		}
		assert_memory_equal(ours.page, theirs.page, sizeof(ours.page));
	}
	for (u32 v = NEPT_WALK_OK; v <= NEPT_WALK_MISCONFIG; v++)
		assert_true(verdicts[v] >= TABLES * WALKS / 20);
}

/* Whether hardware does the access on the tables of the pool at `root`. */
static bool hardware_does(u64 root, u64 at, u32 rights, u64 *pa1)
{
	struct nept_memory tables = merged_pool_memory();
	struct gpt_context cpu = { .cr0 = CR0_PE | CR0_PG | CR0_WP,
				   .cr3 = root,
				   .cr4 = CR4_PAE,
				   .efer = EFER_LMA | EFER_NXE,
				   .physical_bits = 48,
				   .has_1g_pages = true,
				   .memory = &tables };
	u32 kinds = GPT_USER | (rights & NEPT_W ? GPT_WRITE : 0) |
		    (rights & NEPT_X ? GPT_FETCH : 0);
	struct gpt_walk walk;

	if (gpt_walk(&cpu, at, kinds, &walk) != GPT_OK)
		return false;
	*pa1 = walk.pa2.v;
	return true;
}

static u64 ncr3_of_l2(void)
{
	return fake_page_address(0);
}

/* Whether both L2's table, as it is now, and L1's give the access, and where it leads. */
static bool both_give(u64 at, u32 rights, u64 *pa1)
{
	struct reference_paging l2s;

	memcpy(scratch.page, ours.page, sizeof(ours.page));
	l2s = reference_walk(&scratch, ncr3_of_l2(), at, rights);
	return l2s.ok && hardware_does(nept_table_root(&npt12).v, l2s.physical, rights, pa1);
}

static void npt13_gives_no_more(u64 at)
{
	static const u32 accesses[] = { NEPT_R, NEPT_R | NEPT_W, NEPT_R | NEPT_X };

	for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
		u64 pa1, expected = 0;

		if (!hardware_does(nept_root_pointer(&nept), at, accesses[i], &pa1))
			continue;
		assert_true(both_give(at, accesses[i], &expected));
		assert_int_equal(pa1, expected);
	}
}

static void one_fault(u64 at, u32 rights)
{
	struct reference_paging l2s = reference_walk(&theirs, ncr3_of_l2(), at, rights);
	struct nept_fault fault = { 0 };
	enum nept_result result;
	u64 pa1, expected = 0;
	bool given = both_give(at, rights, &expected);

	result = nept_fill(&nept, PA3(at), info_of(rights), &fault);
	if (result == NEPT_NOMEM) {
		nept_table_clear(&nept.table);
		result = nept_fill(&nept, PA3(at), info_of(rights), &fault);
	}
	results[result]++;
	assert_memory_equal(ours.page, theirs.page, sizeof(ours.page));
	if (!l2s.ok) {
		assert_int_equal(result,
				 l2s.error_code & PF_RSVD ? NEPT_MISCONFIG : NEPT_VIOLATION);
		if (result == NEPT_VIOLATION)
			assert_int_equal(fault.info, l2s.error_code);
		return;
	}
	assert_int_equal(result, given ? NEPT_FILLED : NEPT_ABSENT);
	if (!given)
		return;
	assert_true(hardware_does(nept_root_pointer(&nept), at, rights, &pa1));
	assert_int_equal(pa1, expected);
	filled[at % ADDRESSES] = at;
}

static void merged_tables_agree_with_both_sides(void **state)
{
	struct fake_random random = { 100 };

	(void)state;
	features = (struct nept_features){ .physical_bits = 32,
					   .max_shift = NEPT_SHIFT_1G,
					   .no_execute = true };
	for (u32 machine = 0; machine < MACHINES; machine++) {
		u32 used;

		merged_pool_init(&pool, POOL_PAGES);
		assert_true(nept_table_init(&npt12, &nept_format_npt, &pool));
		assert_true(map_random_ept12(&npt12, &random));
		make_tables(&random);
		source.root = nept_format_npt.root23(ncr3_of_l2());
		lookup12 = (struct nept_lookup12){ &npt12, nept_table_find };
		nept = (struct nept){ .source = source, .lookup12 = &lookup12 };
		assert_true(nept_table_init(&nept.table, &nept_format_npt, &pool));
		memset(filled, 0, sizeof(filled));
		used = pool.used;
		for (u32 n = 0; n < FAULTS; n++) {
			u64 near = filled[fake_below(&random, ADDRESSES)];
			u64 at = fake_once_in(&random, 3) ? near ^ (fake_random(&random) & 0x3fffff)
							  : fake_random(&random) >> 16;

			one_fault(at, random_access(&random));
			npt13_gives_no_more(filled[n % ADDRESSES]);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_agree_with_the_reference),
		cmocka_unit_test(merged_tables_agree_with_both_sides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
