/*
 * The loader on damaged images: whatever the image says, a plan writes only L2's RAM, never reads
 * what an earlier step of it overwrote, and a refusal has a sentence. The sanitizers watch the
 * rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/loader.h"
#include "tests/host/images.h"
#include "tests/host/machine.h"

#define ROUNDS 4000

static struct boot_info boot;
static struct load_plan plan;
static struct image image;

/* Copies that are made before step `i` must not have destroyed what it reads. */
static void expect_source_intact(u32 i)
{
	const struct load_step *s = &plan.step[i];
	const struct memory_range source = { s->from, s->from + s->length };

	for (u32 k = 0; k < i && !s->from_block; k++) {
		const struct load_step *e = &plan.step[k];
		const struct memory_range written = { e->to, e->to + e->length + e->clear };
		bool moved_here = e->to <= s->from && source.end <= e->to + e->length;

		if (memory_ranges_overlap(source, written))
			assert_true(moved_here);
	}
}

static void expect_safe_plan(void)
{
	assert_true(plan.step_count <= LOAD_STEPS_MAX);
	assert_true(plan.entry < BIT(32));
	for (u32 i = 0; i < plan.step_count; i++) {
		const struct load_step *s = &plan.step[i];

		assert_true(memory_map_is_ram(
			&boot.map, (struct memory_range){ s->to, s->to + s->length + s->clear }));
		if (s->from_block)
			assert_true(s->from + s->length <= plan.block_length);
		else
			assert_non_null(machine_at(s->from, s->length));
		expect_source_intact(i);
	}
}

static void make_image(u64 kind, u32 to)
{
	switch (kind) {
	case 0:
		image_multiboot_elf(&image, to, 0);
		break;
	case 1:
		image_multiboot_raw(&image, to);
		break;
	case 2:
		image_linux_elf(&image, to);
		break;
	default:
		image_linux_bz(&image, to, MIB);
		break;
	}
}

static void damage(u64 *seed)
{
	/* Where the headers are; elsewhere damage changes nothing but contents. */
	static const u32 headers[][2] = { { 0, 0xc0 }, { 0x100, 0x20 }, { 0x1f1, 0x80 } };

	for (u64 n = machine_random(seed) % 5; n > 0; n--) {
		const u32 *h = headers[machine_random(seed) % ARRAY_SIZE(headers)];

		image.bytes[h[0] + machine_random(seed) % h[1]] = (u8)machine_random(seed);
	}
	if (machine_random(seed) % 8 == 0)
		image.length = (u32)(machine_random(seed) % (IMAGE_MAX + 1));
}

static void test_damaged_images(void **state)
{
	static const u8 bytes[0x800] = { 1 };
	u64 seed = 11;
	u32 loaded = 0;

	(void)state;
	machine_reset();
	for (int round = 0; round < ROUNDS; round++) {
		struct refusal why = { "" };

		machine_boot(&boot);
		make_image(machine_random(&seed) % 4, (u32)(MIB + machine_random(&seed) % 0x8000));
		damage(&seed);
		machine_add_module(&boot, MIB + machine_random(&seed) % 0x8000, image.bytes,
				   image.length, "l2 words");
		machine_add_module(&boot, MIB + machine_random(&seed) % 0x8000, bytes,
				   machine_random(&seed) % sizeof(bytes), "m");
		if (load_make_plan(&plan, &boot, machine_at, &why)) {
			expect_safe_plan();
			load_apply(&plan, machine_at);
			loaded++;
		} else {
			assert_true(strlen(why.text) > 10);
		}
	}
	/* Both outcomes were exercised. */
	assert_in_range(loaded, ROUNDS / 10, ROUNDS * 9 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
