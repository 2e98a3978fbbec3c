/*
 * The loader: Linux as bzImage and as vmlinux, the boot_params, page tables and GDT they get, and
 * where the initrd goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/leaf/linux_boot.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/loader.h"
#include "tests/host/images.h"
#include "tests/host/machine.h"

#define KERNEL_TO (2 * MIB)
#define BZ_OFFSET (4 * LINUX_SECTOR)

static struct boot_info boot;
static struct load_plan plan;
static struct image image;
static u8 initrd[0x2345];

static int setup(void **state)
{
	(void)state;
	machine_reset();
	machine_boot(&boot);
	image_linux_bz(&image, KERNEL_TO, 3 * MIB);
	memset(initrd, 0x5a, sizeof(initrd));
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

static const struct linux_boot_params *loaded_params(void)
{
	return machine_at(plan.info, sizeof(struct linux_boot_params));
}

static struct linux_setup_header *image_setup(void)
{
	return (struct linux_setup_header *)(void *)(image.bytes + 0x1f1);
}

static void expect_initrd(u64 floor, u64 ceiling)
{
	const struct linux_setup_header *s = &loaded_params()->setup;

	assert_int_equal(s->ramdisk_size, sizeof(initrd));
	assert_int_equal(s->ramdisk_image % PAGE_SIZE, 0);
	assert_true(s->ramdisk_image >= floor);
	assert_true(s->ramdisk_image + s->ramdisk_size <= ceiling);
	assert_memory_equal(machine_at(s->ramdisk_image, sizeof(initrd)), initrd, sizeof(initrd));
}

/* Linux x86 Boot Protocol, "64-bit Boot Protocol". */
static void expect_long_mode(void)
{
	const u64 *root = machine_at(plan.cr3, PAGE_SIZE);
	const u64 *directory = machine_at(root[0] & ~PAGE_MASK, PAGE_SIZE);
	const u64 *gdt = machine_at(plan.gdt, plan.gdt_limit + 1);

	assert_int_equal(plan.mode, LOAD_LONG);
	assert_int_equal(plan.cr3 % PAGE_SIZE, 0);
	for (u64 gib = 0; gib < 4; gib++) {
		const u64 *pages = machine_at(directory[gib] & ~PAGE_MASK, PAGE_SIZE);

		for (u64 i = 0; i < 512; i++)
			assert_int_equal(pages[i],
					 ((gib << 30) + (i << 21)) | PTE_P | PTE_W | PTE_PS);
	}
	assert_int_equal(plan.gdt_limit, LOAD_LONG_DS + 7);
	assert_int_equal(gdt[LOAD_LONG_CS / 8] >> 40 & 0xffff, 0xaf9b);
	assert_int_equal(gdt[LOAD_LONG_DS / 8] >> 40 & 0xffff, 0xcf93);
}

static void test_bzimage(void **state)
{
	const struct linux_boot_params *params;

	(void)state;
	machine_add_module(&boot, KERNEL_TO + 0x100, image.bytes, image.length,
			   "vmlinuz console=ttyS0 quiet");
	machine_add_module(&boot, KERNEL_TO + 0x10000, initrd, sizeof(initrd), "initrd");
	load();
	expect_long_mode();
	assert_int_equal(plan.entry, KERNEL_TO + 0x200);
	assert_memory_equal(machine_at(KERNEL_TO, IMAGE_MAX - BZ_OFFSET), image.bytes + BZ_OFFSET,
			    IMAGE_MAX - BZ_OFFSET);
	/* Out of init_size, which the kernel uses before it knows of an initrd. */
	expect_initrd(KERNEL_TO + 3 * MIB, MACHINE_SIZE);
	params = loaded_params();
	assert_int_equal(params->setup.header, LINUX_HEADER_MAGIC);
	assert_int_equal(params->setup.version, 0x20f);
	assert_int_equal(params->setup.init_size, 3 * MIB);
	assert_int_equal(params->setup.type_of_loader, 0xff);
	assert_string_equal(machine_at(params->setup.cmd_line_ptr, 1), "console=ttyS0 quiet");
	assert_int_equal(params->e820_count, 3);
	assert_int_equal(params->e820[2].base, MIB);
	assert_int_equal(params->e820[2].length, 15 * MIB);
	assert_int_equal(params->e820[2].type, 1);
}

static void test_bzimage_moves_when_it_must(void **state)
{
	(void)state;
	image_setup()->pref_address = 32 * MIB;
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "vmlinuz");
	load();
	assert_int_equal((plan.entry - 0x200) % (2 * MIB), 0);
	assert_memory_equal(machine_at(plan.entry - 0x200, 0x1000), image.bytes + BZ_OFFSET,
			    0x1000);
	assert_string_equal(machine_at(loaded_params()->setup.cmd_line_ptr, 1), "");
}

static void test_bzimage_that_cannot_move(void **state)
{
	(void)state;
	image_setup()->pref_address = 32 * MIB;
	image_setup()->relocatable_kernel = 0;
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "vmlinuz");
	expect_refusal("too little memory: the Linux kernel needs 3072 KiB in one piece");
}

static void test_initrd_stays_below_its_ceiling(void **state)
{
	(void)state;
	image_setup()->initrd_addr_max = 8 * MIB - 1;
	machine_add_module(&boot, 12 * MIB, image.bytes, image.length, "vmlinuz");
	machine_add_module(&boot, 10 * MIB, initrd, sizeof(initrd), "initrd");
	load();
	expect_initrd(KERNEL_TO + 3 * MIB, 8 * MIB);
}

static void test_initrd_stays_where_it_is_good(void **state)
{
	(void)state;
	machine_add_module(&boot, 12 * MIB, image.bytes, image.length, "vmlinuz");
	machine_add_module(&boot, 10 * MIB, initrd, sizeof(initrd), "initrd");
	load();
	expect_initrd(10 * MIB, 10 * MIB + sizeof(initrd));
}

static void test_old_or_32_bit_kernel(void **state)
{
	const char *sentence = "the Linux bzImage has no 64-bit entry: a 64-bit kernel of version "
			       "3.8 or later is needed";

	(void)state;
	image_setup()->version = 0x20b;
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "vmlinuz");
	expect_refusal(sentence);
	setup(NULL);
	image_setup()->xloadflags = 0;
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "vmlinuz");
	expect_refusal(sentence);
}

static void test_cut_off_bzimage(void **state)
{
	(void)state;
	machine_add_module(&boot, 4 * MIB, image.bytes, 0x1000, "vmlinuz");
	expect_refusal("the L2 image is cut off: it ends at byte 4096");
	boot.module[0].end = boot.module[0].start + 0x400;
	expect_refusal("the Linux bzImage is cut off in its first sectors");
}

static void test_too_many_words_or_initrds(void **state)
{
	char words[200] = "vmlinuz ";

	(void)state;
	memset(words + 8, 'x', sizeof(words) - 9);
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, words);
	expect_refusal("Linux takes a command line of at most 100 bytes");
	machine_add_module(&boot, 6 * MIB, initrd, sizeof(initrd), "a");
	machine_add_module(&boot, 7 * MIB, initrd, sizeof(initrd), "b");
	expect_refusal("Linux takes one initrd, and 2 modules are given");
}

static void test_vmlinux(void **state)
{
	(void)state;
	image_linux_elf(&image, KERNEL_TO);
	memset(machine_at(KERNEL_TO, MIB), 0xff, MIB);
	machine_add_module(&boot, KERNEL_TO - 0x2000, image.bytes, image.length, "vmlinux a=b");
	machine_add_module(&boot, 8 * MIB + 1, initrd, sizeof(initrd), "initrd");
	load();
	expect_long_mode();
	assert_int_equal(plan.entry, KERNEL_TO);
	assert_memory_equal(machine_at(KERNEL_TO, IMAGE_TEXT), image.bytes + 0x1000, IMAGE_TEXT);
	assert_memory_equal(machine_at(KERNEL_TO + IMAGE_TEXT, 0x800), image.bytes + 0x2000, 0x800);
	expect_initrd(MIB, MACHINE_SIZE);
	assert_string_equal(machine_at(loaded_params()->setup.cmd_line_ptr, 1), "a=b");
	assert_int_equal(loaded_params()->setup.boot_flag, LINUX_BOOT_FLAG);
	assert_int_equal(loaded_params()->e820_count, 3);
}

static void test_vmlinux_beyond_the_page_tables(void **state)
{
	struct refusal why;

	(void)state;
	assert_true(memory_map_add(&boot.map, 4096 * MIB, 4096 * MIB, MEMORY_RAM, &why));
	image_linux_elf(&image, 5000 * MIB);
	machine_add_module(&boot, 4 * MIB, image.bytes, image.length, "vmlinux");
	expect_refusal("too little memory: the L2 image wants 0x138800000 to 0x138801000, which is "
		       "not all RAM that L2 has");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bzimage, setup),
		cmocka_unit_test_setup(test_bzimage_moves_when_it_must, setup),
		cmocka_unit_test_setup(test_bzimage_that_cannot_move, setup),
		cmocka_unit_test_setup(test_initrd_stays_below_its_ceiling, setup),
		cmocka_unit_test_setup(test_initrd_stays_where_it_is_good, setup),
		cmocka_unit_test_setup(test_old_or_32_bit_kernel, setup),
		cmocka_unit_test_setup(test_cut_off_bzimage, setup),
		cmocka_unit_test_setup(test_too_many_words_or_initrds, setup),
		cmocka_unit_test_setup(test_vmlinux, setup),
		cmocka_unit_test_setup(test_vmlinux_beyond_the_page_tables, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
