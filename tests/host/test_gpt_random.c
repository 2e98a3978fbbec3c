/*
 * The walk of a guest's page tables against the reference: random tables in every paging mode,
 * random control registers, every kind of access; result, error code and flags in memory agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "l1-hypervisor/leaf/x86.h"
#include "tests/host/reference_paging.h"

#define TABLES 40
#define WALKS  3000

static struct fake_memory ours, theirs;
static struct nept_memory memory;
static u32 verdicts[2]; /* faults, translations */

/* An entry, or a pair of 4-byte ones, that is mostly present, allowed and leads to a table. */
static u64 random_entry(struct fake_random *random, bool small, u32 physical_bits)
{
	u64 flags = fake_random(random) & BITS(11, 8);
	u64 page = fake_page_address(fake_below(random, FAKE_PAGES));

	if (fake_once_in(random, 30))
		return small ? (u32)fake_random(random) : fake_random(random);
	if (!fake_once_in(random, 20))
		flags |= PTE_P;
	if (!fake_once_in(random, 4))
		flags |= PTE_W;
	if (!fake_once_in(random, 4))
		flags |= PTE_U;
	flags |= fake_random(random) & (PTE_A | PTE_D | PTE_PWT | PTE_PCD);
	if (fake_once_in(random, 5)) {
		u64 bound = small ? BITS(31, 22) : BITS(physical_bits - 1, 30);

		flags |= PTE_PS;
		page = fake_random(random) & bound;
		if (small)
			page |= fake_random(random) &
				(fake_once_in(random, 3) ? BITS(21, 12) : BITS(16, 12));
		if (!small && fake_once_in(random, 3))
			page |= fake_random(random) & BITS(29, 12);
	}
	if (!small && fake_once_in(random, 12))
		flags |= PTE_NX;
	if (!small && fake_once_in(random, 8))
		flags |= fake_random(random) & BITS(62, 52);
	return flags | page;
}

static void fill_tables(struct fake_random *random, bool small, u32 physical_bits)
{
	u32 page, i;

	for (page = 0; page < FAKE_PAGES; page++) {
		for (i = 0; i < 512; i++) {
			u64 entry = random_entry(random, small, physical_bits);

			if (small)
				entry |= random_entry(random, true, physical_bits) << 32;
			ours.page[page][i] = entry;
		}
	}
	memcpy(theirs.page, ours.page, sizeof(ours.page));
}

/* `cr4` and `efer` choose the mode; the rest of the state is random. */
static struct gpt_context random_context(struct fake_random *random, u64 cr4, u64 efer)
{
	static u64 pdptes[4];
	u32 n;

	for (n = 0; n < 4; n++)
		pdptes[n] = fake_page_address(fake_below(random, FAKE_PAGES)) |
			    (fake_once_in(random, 8) ? 0 : 1);
	return (struct gpt_context){
		.cr0 = CR0_PG | CR0_PE | (fake_random(random) & CR0_WP),
		.cr3 = fake_page_address(fake_below(random, FAKE_PAGES)),
		.cr4 = cr4 |
		       (fake_random(random) & (CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS | CR4_PSE)),
		.efer = efer | (fake_random(random) & EFER_NXE),
		.rflags = fake_random(random) & RFLAGS_AC,
		.pdptes = fake_once_in(random, 2) ? pdptes : NULL,
		.pkru = (u32)(fake_random(random) & fake_random(random)),
		.pkrs = (u32)(fake_random(random) & fake_random(random)),
		.physical_bits = 32 + fake_below(random, 21),
		.has_1g_pages = fake_once_in(random, 2),
		.memory = &memory,
	};
}

static void compare_one_walk(const struct gpt_context *context, u64 linear, u32 access)
{
	struct reference_paging expected = reference_page_walk(context, &theirs, linear, access);
	struct gpt_walk walk = { .error_code = 0 };

	verdicts[expected.ok]++;
	assert_int_equal(gpt_walk(context, linear, access, &walk),
			 expected.ok ? GPT_OK : GPT_FAULT);
	if (expected.ok)
		assert_int_equal(walk.pa2.v, expected.physical);
	else
		assert_int_equal(walk.error_code, expected.error_code);
}

/* Any access but a fetch that writes. */
static u32 random_access(struct fake_random *random)
{
	u32 access = fake_below(random, 16);

	return access & GPT_FETCH ? access & ~GPT_WRITE : access;
}

static void compare_mode(u64 cr4, u64 efer, u64 linear_mask)
{
	struct fake_random random = { 31337 };
	bool small = !(cr4 & CR4_PAE);
	u32 table, n;

	memory = fake_memory_access(&ours);
	memset(verdicts, 0, sizeof(verdicts));
	for (table = 0; table < TABLES; table++) {
		u32 width = 32 + fake_below(&random, 21);

		fill_tables(&random, small, width);
		for (n = 0; n < WALKS; n++) {
			struct gpt_context context = random_context(&random, cr4, efer);

			if (!fake_once_in(&random, 8))
				context.physical_bits = width;
			compare_one_walk(&context, fake_random(&random) & linear_mask,
					 random_access(&random));
		}
		assert_memory_equal(ours.page, theirs.page, sizeof(ours.page));
	}
	assert_true(verdicts[0] > TABLES * WALKS / 20);
	assert_true(verdicts[1] > TABLES * WALKS / 20);
}

static void paging_of_32_bits_agrees(void **state)
{
	(void)state;
	compare_mode(0, 0, BITS(31, 0));
}

static void pae_paging_agrees(void **state)
{
	(void)state;
	compare_mode(CR4_PAE, 0, BITS(31, 0));
}

static void paging_of_4_levels_agrees(void **state)
{
	(void)state;
	compare_mode(CR4_PAE, EFER_LME | EFER_LMA, ~0ULL);
}

static void paging_of_5_levels_agrees(void **state)
{
	(void)state;
	compare_mode(CR4_PAE | CR4_LA57, EFER_LME | EFER_LMA, ~0ULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paging_of_32_bits_agrees),
		cmocka_unit_test(pae_paging_agrees),
		cmocka_unit_test(paging_of_4_levels_agrees),
		cmocka_unit_test(paging_of_5_levels_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
