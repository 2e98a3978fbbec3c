/*
 * The loader: Multiboot images, the information block they get, modules in the way of the image,
 * and images that are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/loader.h"
#include "tests/host/images.h"
#include "tests/host/machine.h"

#define IMAGE_TO MIB

static struct boot_info boot;
static struct load_plan plan;
static struct image image;

static int setup(void **state)
{
	(void)state;
	machine_reset();
	machine_boot(&boot);
	image_multiboot_elf(&image, IMAGE_TO, 0);
	return 0;
}

static void load(void)
{
	struct refusal why = { "" };

	if (!load_make_plan(&plan, &boot, machine_at, &why))
		fail_msg("refused: %s", why.text);
	load_apply(&plan, machine_at);
}

static void expect_refusal(const char *sentence)
{
	struct refusal why = { "" };

	assert_false(load_make_plan(&plan, &boot, machine_at, &why));
	assert_string_equal(why.text, sentence);
}

static void expect_refusal_of(const struct image *bad, const char *sentence)
{
	machine_reset();
	machine_boot(&boot);
	machine_add_module(&boot, 4 * MIB, bad->bytes, bad->length, "l2");
	expect_refusal(sentence);
}

static void expect_zeros(u64 from, u64 length)
{
	const u8 *bytes = machine_at(from, length);

	for (u64 i = 0; i < length; i++)
		assert_int_equal(bytes[i], 0);
}

static void expect_elf_loaded(void)
{
	assert_int_equal(plan.mode, LOAD_PROTECTED);
	assert_int_equal(plan.entry, IMAGE_TO + 0x20);
	assert_memory_equal(machine_at(IMAGE_TO, IMAGE_TEXT), image.bytes + 0x1000, IMAGE_TEXT);
	assert_memory_equal(machine_at(IMAGE_TO + IMAGE_TEXT, 0x800), image.bytes + 0x2000, 0x800);
	expect_zeros(IMAGE_TO + IMAGE_TEXT + 0x800, IMAGE_CLEAR);
}

static const struct multiboot_info *loaded_info(void)
{
	return machine_at(plan.info, sizeof(struct multiboot_info));
}

static const char *text_at(u64 address)
{
	return machine_at(address, 1);
}

static void test_elf_image(void **state)
{
	(void)state;
	memset(machine_at(IMAGE_TO, MIB), 0xff, MIB);
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "l2 n=3 cold=on");
	load();
	expect_elf_loaded();
	assert_string_equal(text_at(loaded_info()->cmdline), "l2 n=3 cold=on");
	assert_string_equal(text_at(loaded_info()->boot_loader_name), "Nestbed");
	assert_int_equal(loaded_info()->mods_count, 0);
}

static void test_elf_image_in_its_own_way(void **state)
{
	(void)state;
	machine_add_module(&boot, IMAGE_TO + 0x800, image.bytes, image.length, "l2");
	load();
	expect_elf_loaded();
}

static void test_raw_image(void **state)
{
	(void)state;
	image_multiboot_raw(&image, IMAGE_TO);
	memset(machine_at(IMAGE_TO, MIB), 0xff, MIB);
	machine_add_module(&boot, IMAGE_TO + 0x100, image.bytes, image.length, "l2");
	load();
	assert_int_equal(plan.entry, IMAGE_TO + 0x200);
	assert_memory_equal(machine_at(IMAGE_TO, IMAGE_TEXT), image.bytes + 0x80, IMAGE_TEXT);
	expect_zeros(IMAGE_TO + IMAGE_TEXT, IMAGE_CLEAR);
}

static void test_raw_image_without_ends_is_loaded_whole(void **state)
{
	struct multiboot_header header;

	(void)state;
	image_multiboot_raw(&image, IMAGE_TO);
	memcpy(&header, image.bytes + 0x100, sizeof(header));
	header.load_end_addr = 0;
	header.bss_end_addr = 0;
	memcpy(image.bytes + 0x100, &header, sizeof(header));
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "l2");
	load();
	assert_memory_equal(machine_at(IMAGE_TO, IMAGE_MAX - 0x80), image.bytes + 0x80,
			    IMAGE_MAX - 0x80);
}

/* Multiboot 0.6.96 "Boot information format": mem_upper ends at the first hole, mmap entries hold a
 * size that does not count itself. */
static void test_memory_that_l2_is_told(void **state)
{
	struct memory_range taken;
	struct refusal why;

	(void)state;
	assert_true(memory_map_take(&boot.map, 8 * MIB, NULL, 0, &taken, &why));
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "l2");
	load();
	const struct multiboot_info *info = loaded_info();
	const struct multiboot_mmap *mmap = machine_at(info->mmap_addr, info->mmap_length);

	assert_true(plan.block_at + LOAD_BLOCK_MAX <= MACHINE_LOW);
	assert_int_equal(info->mem_lower, MACHINE_LOW / KIB);
	assert_int_equal(info->mem_upper, 7 * KIB);
	assert_int_equal(info->mmap_length, 4 * sizeof(*mmap));
	assert_int_equal(mmap[3].size, 20);
	assert_int_equal(mmap[3].base, 8 * MIB);
	assert_int_equal(mmap[3].length, 8 * MIB);
	assert_int_equal(mmap[3].type, MEMORY_RESERVED);
}

static void expect_module(u32 i, const u8 *bytes, u64 length, const char *text)
{
	const struct multiboot_info *info = loaded_info();
	const struct multiboot_module *list =
		machine_at(info->mods_addr, info->mods_count * sizeof(*list));

	assert_true(i < info->mods_count);
	assert_int_equal(list[i].end - list[i].start, length);
	assert_memory_equal(machine_at(list[i].start, length), bytes, length);
	assert_string_equal(text_at(list[i].text), text);
}

static void test_modules_stay_where_they_can(void **state)
{
	static u8 first[0x3000], second[0x1234];
	const struct multiboot_module *list;

	(void)state;
	memset(first, 0x11, sizeof(first));
	memset(second, 0x22, sizeof(second));
	machine_add_module(&boot, IMAGE_TO + 0x2000, image.bytes, image.length, "l2");
	/* In the way of the image's zeros, right behind the image's source. */
	machine_add_module(&boot, IMAGE_TO + 0x1800, first, 0x500, "l3 words");
	machine_put(IMAGE_TO + 0x2000, image.bytes, image.length);
	machine_add_module(&boot, 5 * MIB + 7, second, sizeof(second), "env");
	load();
	expect_elf_loaded();
	assert_int_equal(loaded_info()->mods_count, 2);
	expect_module(0, first, 0x500, "l3 words");
	expect_module(1, second, sizeof(second), "env");
	list = machine_at(loaded_info()->mods_addr, 2 * sizeof(*list));
	assert_true(list[0].start >= IMAGE_TO + IMAGE_TEXT + 0x800 + IMAGE_CLEAR);
	assert_int_equal(list[1].start, 5 * MIB + 7);
}

static void test_modules_are_aligned_when_the_image_asks(void **state)
{
	static const u8 bytes[100] = { 1, 2, 3 };
	const struct multiboot_module *list;

	(void)state;
	image_multiboot_elf(&image, IMAGE_TO, (u32)MULTIBOOT_WANTS_PAGE_ALIGN);
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "l2");
	machine_add_module(&boot, 5 * MIB + 16, bytes, sizeof(bytes), "m");
	load();
	expect_module(0, bytes, sizeof(bytes), "m");
	list = machine_at(loaded_info()->mods_addr, sizeof(*list));
	assert_int_equal(list->start % PAGE_SIZE, 0);
}

static void test_module_outside_of_l2s_memory_is_moved(void **state)
{
	static const u8 bytes[100] = { 1, 2, 3 };
	const struct multiboot_module *list;
	struct memory_range taken;
	struct refusal why;

	(void)state;
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "l2");
	machine_add_module(&boot, 15 * MIB, bytes, sizeof(bytes), "m");
	assert_true(memory_map_take(&boot.map, 4 * MIB, NULL, 0, &taken, &why));
	load();
	expect_module(0, bytes, sizeof(bytes), "m");
	list = machine_at(loaded_info()->mods_addr, sizeof(*list));
	assert_true(list->end <= taken.start);
}

static void test_block_goes_high_when_low_memory_is_taken(void **state)
{
	(void)state;
	image_multiboot_elf(&image, 0x10000, 0);
	boot.map.count = 0;
	struct refusal why;

	assert_true(memory_map_add(&boot.map, 0, 0x18000, MEMORY_RAM, &why));
	assert_true(memory_map_add(&boot.map, MIB, 15 * MIB, MEMORY_RAM, &why));
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "l2");
	load();
	assert_true(plan.block_at >= MIB);
	assert_string_equal(text_at(loaded_info()->cmdline), "l2");
}

static void test_no_image(void **state)
{
	(void)state;
	expect_refusal("no L2 image: give one as the first Multiboot module");
	memset(image.bytes, 0, sizeof(image.bytes));
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "l2");
	expect_refusal("the L2 image is no Multiboot 1 image, no Linux bzImage and no Linux "
		       "vmlinux");
	boot.module[0].end = boot.module[0].start;
	expect_refusal("the L2 image is no Multiboot 1 image, no Linux bzImage and no Linux "
		       "vmlinux");
}

static void test_refused_multiboot_headers(void **state)
{
	struct multiboot_header header;

	(void)state;
	image_multiboot_elf(&image, IMAGE_TO, (u32)MULTIBOOT_WANTS_VIDEO);
	expect_refusal_of(&image, "the L2 image asks its boot loader for what Nestbed does not do "
				  "(Multiboot header flags 0x4)");
	image_multiboot_raw(&image, IMAGE_TO);
	memcpy(&header, image.bytes + 0x100, sizeof(header));
	header.entry_addr = IMAGE_TO + 16 * MIB;
	memcpy(image.bytes + 0x100, &header, sizeof(header));
	expect_refusal_of(&image, "the Multiboot header of the L2 image has addresses that "
				  "contradict each other");
	header.header_addr = IMAGE_TO + 0x101;
	memcpy(image.bytes + 0x100, &header, sizeof(header));
	expect_refusal_of(&image, "the Multiboot header of the L2 image has addresses that "
				  "contradict its place in the file");
}

static void test_corrupt_elf(void **state)
{
	(void)state;
	image_multiboot_elf(&image, IMAGE_TO, 0);
	image.length = 0x2100;
	expect_refusal_of(&image, "the L2 image is cut off: it ends at byte 8448");
	image_multiboot_elf(&image, IMAGE_TO, 0);
	image.bytes[0x12] = 40; /* e_machine: ARM */
	expect_refusal_of(&image, "the L2 image is ELF, but no x86 executable");
	image_multiboot_elf(&image, IMAGE_TO, 0);
	image.bytes[0x2a] = 1; /* e_phentsize */
	expect_refusal_of(&image, "program header 0 of the L2 image is corrupt");
	image_multiboot_elf(&image, IMAGE_TO, 0);
	image.bytes[0x1b] = 0x80; /* e_entry */
	expect_refusal_of(&image,
			  "the entry 0x80100020 of the L2 image is in none of its segments");
}

static void test_image_that_does_not_fit(void **state)
{
	(void)state;
	image_multiboot_elf(&image, 16 * MIB - 0x1000, 0);
	expect_refusal_of(&image, "too little memory: the L2 image wants 0x1000000 to 0x1003800, "
				  "which is not all RAM that L2 has");
	image_multiboot_elf(&image, 0xa0000, 0);
	expect_refusal_of(&image, "too little memory: the L2 image wants 0xa0000 to 0xa1000, which "
				  "is not all RAM that L2 has");
}

static void test_no_room_for_a_module(void **state)
{
	struct refusal why;

	(void)state;
	boot.map.count = 0;
	assert_true(memory_map_add(&boot.map, 0, MACHINE_LOW, MEMORY_RAM, &why));
	assert_true(memory_map_add(&boot.map, MIB, 0x5000, MEMORY_RAM, &why));
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "l2");
	machine_add_module(&boot, IMAGE_TO, image.bytes, image.length, "m");
	expect_refusal("too little memory: no room for a module of 24 KiB");
}

static void test_too_long_words(void **state)
{
	static char words[LOAD_BLOCK_MAX + 1];

	(void)state;
	memset(words, 'x', sizeof(words) - 1);
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, words);
	expect_refusal("what L2 is told at its start is longer than 64 KiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_elf_image, setup),
		cmocka_unit_test_setup(test_elf_image_in_its_own_way, setup),
		cmocka_unit_test_setup(test_raw_image, setup),
		cmocka_unit_test_setup(test_raw_image_without_ends_is_loaded_whole, setup),
		cmocka_unit_test_setup(test_memory_that_l2_is_told, setup),
		cmocka_unit_test_setup(test_modules_stay_where_they_can, setup),
		cmocka_unit_test_setup(test_modules_are_aligned_when_the_image_asks, setup),
		cmocka_unit_test_setup(test_module_outside_of_l2s_memory_is_moved, setup),
		cmocka_unit_test_setup(test_block_goes_high_when_low_memory_is_taken, setup),
		cmocka_unit_test_setup(test_no_image, setup),
		cmocka_unit_test_setup(test_refused_multiboot_headers, setup),
		cmocka_unit_test_setup(test_corrupt_elf, setup),
		cmocka_unit_test_setup(test_image_that_does_not_fit, setup),
		cmocka_unit_test_setup(test_no_room_for_a_module, setup),
		cmocka_unit_test_setup(test_too_long_words, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
