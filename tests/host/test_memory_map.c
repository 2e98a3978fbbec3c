/*
 * The memory map: overlaps, sorting, clipping, taking a range for L1; against a plain model that
 * keeps one type a page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/memory_map.h"
#include "tests/host/machine.h"

#define MODEL_PAGES 256

static void add(struct memory_map *map, u64 start, u64 length, u32 type)
{
	struct refusal why;

	assert_true(memory_map_add(map, start, length, type, &why));
}

static void expect_region(const struct memory_map *map, u32 i, u64 start, u64 end, u32 type)
{
	assert_true(i < map->count);
	assert_int_equal(map->region[i].range.start, start);
	assert_int_equal(map->region[i].range.end, end);
	assert_int_equal(map->region[i].type, type);
}

static void test_unsorted_and_overlapping(void **state)
{
	struct memory_map map = { .count = 0 };

	(void)state;
	add(&map, MIB, 15 * MIB, MEMORY_RAM);
	add(&map, 0, 640 * KIB, MEMORY_RAM);
	add(&map, 8 * MIB, MIB, MEMORY_ACPI);
	add(&map, 7 * MIB, 4 * MIB, MEMORY_RAM);
	add(&map, 512 * KIB, 256 * KIB, MEMORY_RESERVED);
	assert_int_equal(map.count, 5);
	expect_region(&map, 0, 0, 512 * KIB, MEMORY_RAM);
	expect_region(&map, 1, 512 * KIB, 768 * KIB, MEMORY_RESERVED);
	expect_region(&map, 2, MIB, 8 * MIB, MEMORY_RAM);
	expect_region(&map, 3, 8 * MIB, 9 * MIB, MEMORY_ACPI);
	expect_region(&map, 4, 9 * MIB, 16 * MIB, MEMORY_RAM);
	assert_int_equal(memory_map_ram(&map), 14 * MIB + 512 * KIB);
	assert_int_equal(memory_map_ram_from(&map, 2 * MIB), 6 * MIB);
	assert_int_equal(memory_map_ram_from(&map, 8 * MIB), 0);
	assert_true(memory_map_is_ram(&map, (struct memory_range){ MIB, 8 * MIB }));
	assert_false(memory_map_is_ram(&map, (struct memory_range){ MIB, 8 * MIB + 1 }));
	assert_false(memory_map_is_ram(&map, (struct memory_range){ 2 * MIB, MIB }));
}

static void test_clipping(void **state)
{
	struct memory_map map = { .count = 0 };

	(void)state;
	add(&map, 4 * MIB, ~0ULL, MEMORY_RAM);
	add(&map, ~0ULL - 4096, 8192, MEMORY_RESERVED);
	add(&map, MIB, 0, MEMORY_RAM);
	assert_int_equal(map.count, 1);
	expect_region(&map, 0, 4 * MIB, MEMORY_TOP, MEMORY_RAM);
}

static void test_type_zero_is_not_ram(void **state)
{
	struct memory_map map = { .count = 0 };

	(void)state;
	add(&map, 0, 2 * MIB, MEMORY_RAM);
	add(&map, MIB, MIB, 0);
	expect_region(&map, 1, MIB, 2 * MIB, MEMORY_RESERVED);
}

static void test_too_many_regions(void **state)
{
	struct memory_map map = { .count = 0 };
	struct refusal why;

	(void)state;
	for (u64 i = 0; i < MEMORY_REGIONS_MAX; i++)
		add(&map, i * 2 * MIB, MIB, MEMORY_RAM);
	assert_false(memory_map_add(&map, 500 * MIB, MIB, MEMORY_RAM, &why));
	assert_string_equal(why.text, "the memory map has more than 64 regions, more than L1 can "
				      "hold");
	assert_int_equal(map.count, MEMORY_REGIONS_MAX);
}

static void test_take_highest_aligned_below_4_gib(void **state)
{
	struct memory_map map = { .count = 0 };
	struct memory_range taken;
	struct refusal why;

	(void)state;
	add(&map, MIB, 3071 * MIB + 12345, MEMORY_RAM);
	add(&map, 4096 * MIB, 1024 * MIB, MEMORY_RAM);
	assert_true(memory_map_take(&map, 16 * MIB, NULL, 0, &taken, &why));
	assert_int_equal(taken.start, 3056 * MIB);
	assert_int_equal(taken.end, 3072 * MIB);
	assert_false(
		memory_map_is_ram(&map, (struct memory_range){ taken.start, taken.start + 1 }));
	assert_true(memory_map_is_ram(&map, (struct memory_range){ MIB, taken.start }));
}

static void test_take_avoids_what_is_busy(void **state)
{
	struct memory_map map = { .count = 0 };
	const struct memory_range busy[] = { { 120 * MIB, 121 * MIB }, { 100 * MIB, 101 * MIB } };
	struct memory_range taken;
	struct refusal why;

	(void)state;
	add(&map, MIB, 127 * MIB, MEMORY_RAM);
	assert_true(memory_map_take(&map, 16 * MIB, busy, 2, &taken, &why));
	assert_int_equal(taken.start, 104 * MIB);
	assert_true(memory_map_take(&map, 16 * MIB, busy, 2, &taken, &why));
	assert_int_equal(taken.start, 84 * MIB);
}

static void test_too_little_memory(void **state)
{
	struct memory_map map = { .count = 0 };
	struct memory_range taken;
	struct refusal why;

	(void)state;
	add(&map, 0, 640 * KIB, MEMORY_RAM);
	add(&map, MIB, 15 * MIB, MEMORY_RAM);
	add(&map, 4096 * MIB, 64 * MIB, MEMORY_RAM);
	assert_false(memory_map_take(&map, 16 * MIB, NULL, 0, &taken, &why));
	assert_string_equal(why.text,
			    "too little memory: L1 needs 16 MiB of free RAM in one piece "
			    "below 4 GiB and the machine has 79 MiB in all; give it more, "
			    "or L1 less by memory=MiB");
}

static void add_to_model(u8 model[MODEL_PAGES], u64 start, u64 count, u32 type)
{
	for (u64 i = start; i < start + count && i < MODEL_PAGES; i++) {
		if (type > model[i])
			model[i] = (u8)type;
	}
}

static void compare_with_model(const struct memory_map *map, const u8 model[MODEL_PAGES])
{
	u8 seen[MODEL_PAGES] = { 0 };
	u64 last = 0;

	for (u32 i = 0; i < map->count; i++) {
		struct memory_range r = map->region[i].range;

		assert_true(r.start < r.end);
		assert_true(r.start >= last);
		if (i && r.start == last)
			assert_int_not_equal(map->region[i].type, map->region[i - 1].type);
		last = r.end;
		for (u64 page = r.start / PAGE_SIZE; page < r.end / PAGE_SIZE; page++)
			seen[page] = (u8)map->region[i].type;
	}
	assert_memory_equal(seen, model, MODEL_PAGES);
}

static void test_random_maps_equal_a_plain_model(void **state)
{
	u64 seed = 7;

	(void)state;
	for (int round = 0; round < 500; round++) {
		struct memory_map map = { .count = 0 };
		u8 model[MODEL_PAGES] = { 0 };

		for (int n = 0; n < 20; n++) {
			u64 start = machine_random(&seed) % MODEL_PAGES;
			u64 count = machine_random(&seed) % 60;
			u32 type = (u32)(machine_random(&seed) % 5) + 1;

			if (start + count > MODEL_PAGES)
				count = MODEL_PAGES - start;
			add(&map, start * PAGE_SIZE, count * PAGE_SIZE, type);
			add_to_model(model, start, count, type);
			compare_with_model(&map, model);
		}
	}
}

/* What memory_map_find() hands out is RAM, aligned, free; and it fails only when nothing fits. */
static void test_random_finds(void **state)
{
	u64 seed = 3;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct memory_map map = { .count = 0 };
		struct memory_range busy[4];
		u64 pages = 1 + machine_random(&seed) % 16;
		u64 align = 1ULL << machine_random(&seed) % 4;
		u64 best = ~0ULL;
		u64 found = 0;

		for (int n = 0; n < 6; n++)
			add(&map, machine_random(&seed) % MODEL_PAGES * PAGE_SIZE,
			    machine_random(&seed) % 64 * PAGE_SIZE, 1 + machine_random(&seed) % 2);
		for (int n = 0; n < 4; n++) {
			busy[n].start = machine_random(&seed) % MODEL_PAGES * PAGE_SIZE;
			busy[n].end = busy[n].start + machine_random(&seed) % 32 * PAGE_SIZE;
		}
		for (u64 page = 0; page <= 2 * MODEL_PAGES; page += align) {
			struct memory_range r = { page * PAGE_SIZE, (page + pages) * PAGE_SIZE };
			bool free = memory_map_is_ram(&map, r);

			for (int n = 0; n < 4; n++)
				free = free && (busy[n].start == busy[n].end ||
						!memory_ranges_overlap(r, busy[n]));
			if (free)
				best = r.start;
		}
		for (int n = 0; n < 4; n++) {
			if (busy[n].start == busy[n].end)
				busy[n] = (struct memory_range){ BIT(40), BIT(40) + 1 };
		}
		bool ok = memory_map_find(&map, pages * PAGE_SIZE, align * PAGE_SIZE, 0, BIT(32),
					  busy, 4, &found);

		assert_int_equal(ok, best != ~0ULL);
		if (ok)
			assert_int_equal(found, best);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unsorted_and_overlapping),
		cmocka_unit_test(test_clipping),
		cmocka_unit_test(test_type_zero_is_not_ram),
		cmocka_unit_test(test_too_many_regions),
		cmocka_unit_test(test_take_highest_aligned_below_4_gib),
		cmocka_unit_test(test_take_avoids_what_is_busy),
		cmocka_unit_test(test_too_little_memory),
		cmocka_unit_test(test_random_maps_equal_a_plain_model),
		cmocka_unit_test(test_random_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
