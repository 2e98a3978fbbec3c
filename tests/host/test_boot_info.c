/*
 * The Multiboot information block that L1 is given: a good one, and every way of being bad.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/boot_info.h"
#include "l1-hypervisor/leaf/multiboot.h"
#include "tests/host/machine.h"

#define INFO_AT    0x1000
#define MODULES_AT 0x1100
#define MMAP_AT    0x1200
#define WORDS_AT   0x1400
#define TEXT_AT    0x1500

static struct boot_info boot;

static struct multiboot_info make_info(void)
{
	const struct multiboot_module module = { 0x200000, 0x201000, TEXT_AT, 0 };
	const struct multiboot_mmap mmap[] = {
		{ 20, 0, 0x9fc00, 1 },
		{ 20, MIB, 15 * MIB, 1 },
	};
	const struct multiboot_info info = {
		.flags = (u32)(MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE |
			       MULTIBOOT_INFO_MODULES | MULTIBOOT_INFO_MMAP),
		.mem_lower = 640,
		.mem_upper = 7 * 1024,
		.cmdline = WORDS_AT,
		.mods_count = 1,
		.mods_addr = MODULES_AT,
		.mmap_length = sizeof(mmap),
		.mmap_addr = MMAP_AT,
	};

	machine_reset();
	machine_put(MODULES_AT, &module, sizeof(module));
	machine_put(MMAP_AT, mmap, sizeof(mmap));
	machine_put(WORDS_AT, "nestbed.elf stats=off", 22);
	machine_put(TEXT_AT, "bench n=3", 10);
	return info;
}

static bool read_info(const struct multiboot_info *info, struct refusal *why)
{
	machine_put(INFO_AT, info, sizeof(*info));
	return boot_info_read(&boot, INFO_AT, machine_at, why);
}

static void expect_refusal(const struct multiboot_info *info, const char *sentence)
{
	struct refusal why = { "" };

	assert_false(read_info(info, &why));
	assert_string_equal(why.text, sentence);
}

static void test_all_is_copied(void **state)
{
	struct multiboot_info info = make_info();
	struct refusal why;

	(void)state;
	assert_true(read_info(&info, &why));
	machine_reset();
	assert_string_equal(boot.words, "nestbed.elf stats=off");
	assert_int_equal(boot.module_count, 1);
	assert_int_equal(boot.module[0].start, 0x200000);
	assert_int_equal(boot.module[0].end, 0x201000);
	assert_string_equal(boot.module[0].text, "bench n=3");
	assert_int_equal(boot.map.count, 2);
	assert_int_equal(boot.map.region[0].range.end, 0x9fc00);
	assert_int_equal(boot.map.region[1].range.end, 16 * MIB);
}

static void test_memory_without_a_map(void **state)
{
	struct multiboot_info info = make_info();
	struct refusal why;

	(void)state;
	info.flags = (u32)MULTIBOOT_INFO_MEMORY;
	assert_true(read_info(&info, &why));
	assert_string_equal(boot.words, "");
	assert_int_equal(boot.module_count, 0);
	assert_int_equal(memory_map_ram(&boot.map), 640 * KIB + 7 * MIB);
	info.flags = 0;
	expect_refusal(&info, "the boot loader does not say how much memory there is");
}

static void test_bad_modules(void **state)
{
	struct multiboot_info info = make_info();
	struct multiboot_module module = { 0x201000, 0x200fff, TEXT_AT, 0 };

	(void)state;
	machine_put(MODULES_AT, &module, sizeof(module));
	expect_refusal(&info, "module 0 at 0x201000 to 0x200fff lies outside of memory");
	module.end = 0x2000000;
	machine_put(MODULES_AT, &module, sizeof(module));
	expect_refusal(&info, "module 0 at 0x201000 to 0x2000000 lies outside of memory");
	info.mods_count = 17;
	expect_refusal(&info, "17 modules are more than the 16 that L1 can hold");
	info.mods_count = 1;
	info.mods_addr = 0xfffffff8;
	expect_refusal(&info, "the boot loader's module list at 0xfffffff8 lies outside of memory");
}

static void test_bad_memory_map(void **state)
{
	struct multiboot_info info = make_info();
	struct multiboot_mmap entry = { 16, 0, MIB, 1 };

	(void)state;
	machine_put(MMAP_AT, &entry, sizeof(entry));
	expect_refusal(&info, "the boot loader's memory map has an entry of 16 bytes");
	info.mmap_addr = 0xfffff000;
	expect_refusal(&info, "the boot loader's memory map at 0xfffff000 lies outside of memory");
}

static void test_texts_without_end(void **state)
{
	struct multiboot_info info = make_info();

	(void)state;
	memset(machine_at(WORDS_AT + 22, BOOT_TEXT_MAX), 'x', BOOT_TEXT_MAX);
	info.cmdline = WORDS_AT + 22;
	expect_refusal(&info, "the command lines are longer than 8192 bytes together");
	info.cmdline = MACHINE_SIZE - 1;
	memset(machine_at(MACHINE_SIZE - 1, 1), 'x', 1);
	expect_refusal(&info, "the boot loader's command line at 0x1000000 lies outside of memory");
}

static void test_random_blocks(void **state)
{
	u64 seed = 5;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct multiboot_info info = make_info();
		struct refusal why = { "" };

		for (u64 n = 1 + machine_random(&seed) % 6; n > 0; n--) {
			u8 byte = (u8)machine_random(&seed);

			if (machine_random(&seed) % 2)
				((u8 *)&info)[machine_random(&seed) % sizeof(info)] = byte;
			else
				machine_put(MODULES_AT + machine_random(&seed) % 0x180, &byte, 1);
		}
		if (!read_info(&info, &why))
			assert_true(strlen(why.text) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_is_copied),
		cmocka_unit_test(test_memory_without_a_map),
		cmocka_unit_test(test_bad_modules),
		cmocka_unit_test(test_bad_memory_map),
		cmocka_unit_test(test_texts_without_end),
		cmocka_unit_test(test_random_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
