/*
 * Composition: the leaf of ept13 sends every byte where L2's leaf and then L1's page send it, is as
 * large as both allow, gives the rights that both give, and keeps L2's memory type.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nested-ept/compose.h"
#include "nested-ept/ept.h"
#include "tests/host/fake_memory.h"

static struct nept_leaf13 compose(u64 entry23, u32 level, u64 address, u32 rights23, bool dirty,
				  struct nept_page12 page)
{
	u64 offset_mask = BIT(3 + 9 * level) - 1;
	struct nept_walk walk = { .rights = rights23,
				  .shift = 3 + 9 * level,
				  .caching = (u32)(entry23 >> 3) & 15,
				  .dirty = dirty,
				  .pa2 = PA2((entry23 & BITS(51, 12) & ~offset_mask) |
					     (address & offset_mask)) };
	struct nept_leaf13 leaf;

	nept_compose(&nept_format_ept, &walk, &page, &leaf);
	return leaf;
}

static void the_smaller_page_wins(void **state)
{
	static const u32 shifts[] = { 12, 21, 30 };
	u32 a, b;

	(void)state;
	for (a = 0; a < 3; a++) {
		for (b = 0; b < 3; b++) {
			struct nept_page12 page = { PA1(0x1000000000ULL), shifts[b], NEPT_RWX };
			struct nept_leaf13 leaf =
				compose(0x40000000 | 0x37, a + 1, 0x12345678, NEPT_RWX, true, page);

			assert_int_equal(leaf.shift, shifts[a < b ? a : b]);
			assert_int_equal((leaf.entry >> 7) & 1, a && b);
		}
	}
}

static void rights_are_those_of_both_sides(void **state)
{
	u32 side12, side23;

	(void)state;
	for (side23 = 0; side23 <= NEPT_RWX; side23++) {
		for (side12 = 0; side12 <= NEPT_RWX; side12++) {
			struct nept_page12 page = { PA1(0x5000), 12, side12 };

			assert_int_equal(compose(0x3000 | 6 << 3, 1, 0, side23, true, page).rights,
					 side12 & side23);
			/* L2 still waits for its dirty flag: the first write must come to L1. */
			assert_int_equal(compose(0x3000 | 6 << 3, 1, 0, side23, false, page).rights,
					 side12 & side23 & ~NEPT_W);
		}
	}
}

/* "EPT memory type" and "Ignore PAT" of the leaf that L2 wrote. */
static void memory_type_is_l2s(void **state)
{
	u64 type;

	(void)state;
	for (type = 0; type < 16; type++) {
		struct nept_page12 page = { PA1(0x5000), 12, NEPT_RWX };
		struct nept_leaf13 leaf =
			compose(0x200000 | type << 3 | 0x87, 2, 0, NEPT_RWX, true, page);

		assert_int_equal((leaf.entry >> 3) & 15, type);
	}
}

static void every_byte_goes_where_both_translations_send_it(void **state)
{
	struct fake_random random = { 11 };
	u32 n, i;

	(void)state;
	for (n = 0; n < 20000; n++) {
		u32 level = 1 + fake_below(&random, 3);
		u64 size23 = BIT(3 + 9 * level);
		u64 address = fake_random(&random) & BITS(47, 0);
		u64 frame = fake_random(&random) & BITS(39, 12) & ~(size23 - 1);
		u64 pa2 = frame | (address & (size23 - 1));
		u32 shift12 = 12 + 9 * fake_below(&random, 3);
		u64 base12 = fake_random(&random) & BITS(39, 12) & ~(BIT(shift12) - 1);
		struct nept_page12 page = { PA1(base12), shift12, NEPT_RWX };
		struct nept_leaf13 leaf = compose(frame | 0x37 | (level > 1 ? 0x80 : 0), level,
						  address, NEPT_RWX, true, page);
		u64 size13 = BIT(leaf.shift);

		for (i = 0; i < 8; i++) {
			u64 offset = fake_random(&random) & (size13 - 1);
			u64 there2 = (pa2 & ~(size13 - 1)) | offset;
			u64 there1 = base12 + (there2 & (BIT(shift12) - 1));

			assert_int_equal((leaf.entry & BITS(51, 12) & ~(size13 - 1)) | offset,
					 there1);
		}
		/* No bit is reserved in the leaf that results. */
		assert_int_equal(leaf.entry & BITS(51, 12) & (size13 - 1), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smaller_page_wins),
		cmocka_unit_test(rights_are_those_of_both_sides),
		cmocka_unit_test(memory_type_is_l2s),
		cmocka_unit_test(every_byte_goes_where_both_translations_send_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
