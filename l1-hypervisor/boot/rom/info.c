/*
 * The Multiboot 1 information that the kernel gets, and the modules it speaks of, which are read to
 * page-aligned addresses above the kernel ("Boot information format", 3.3).
 */
#include "l1-hypervisor/boot/rom/rom.h"

#define INFO_MEMORY      BIT(0)
#define INFO_CMDLINE     BIT(2)
#define INFO_MODULES     BIT(3)
#define INFO_MEMORY_MAP  BIT(6)
#define INFO_LOADER_NAME BIT(9)

#define MEMORY_RAM      1
#define MEMORY_RESERVED 2
#define MIB             0x100000U
#define ROM_AREA_START  0xe0000U
#define ROM_START       0xffff0000U

struct memory_range {
	u32 size; /* of the rest */
	u64 base, length;
	u32 type;
} __attribute__((packed));

struct module {
	u32 start, end, text, reserved;
};

struct multiboot_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline;
	u32 mods_count, mods_addr, syms[4];
	u32 mmap_length, mmap_addr, drives_length, drives_addr, config_table, loader_name;
};

struct info_page {
	struct multiboot_info info;
	struct memory_range range[5];
	struct module module[DISK_MODULES_MAX];
};

static u32 text_address(const struct disk_header *disk, u32 offset)
{
	if (offset >= DISK_HEADER_SIZE)
		rom_fail("The boot disk's header is corrupt: a text lies outside of it.");
	return (u32)(uintptr_t)disk + offset;
}

static void load_modules(const struct disk_header *disk, u32 free, u32 memory_top,
			 struct module *module)
{
	for (u32 i = 0; i < disk->modules; i++) {
		const struct disk_file *file = &disk->module[i];
		u32 sectors = file->size / SECTOR_SIZE + (file->size % SECTOR_SIZE != 0);

		free = (u32)ALIGN_UP(free, PAGE_SIZE);
		if (free >= memory_top || sectors > (memory_top - free) / SECTOR_SIZE)
			rom_fail("The modules do not fit into memory: give the machine more.");
		disk_read(file->sector, sectors, (void *)free);
		module[i] = (struct module){ .start = free,
					     .end = free + file->size,
					     .text = text_address(disk, file->text) };
		free += sectors * SECTOR_SIZE;
	}
}

void info_build(const struct disk_header *disk, u32 free, u32 memory_top)
{
	struct info_page *page = (void *)ROM_INFO;
	const struct {
		u32 start, end, type;
	} ranges[ARRAY_SIZE(page->range)] = {
		{ 0, ROM_BASE_MEMORY_END, MEMORY_RAM },
		{ ROM_BASE_MEMORY_END, 0xa0000, MEMORY_RESERVED },
		{ ROM_AREA_START, MIB, MEMORY_RESERVED },
		{ MIB, memory_top, MEMORY_RAM },
		{ ROM_START, 0, MEMORY_RESERVED }, /* ends at 4 GiB */
	};

	for (u32 i = 0; i < ARRAY_SIZE(ranges); i++)
		page->range[i] = (struct memory_range){ .size = sizeof(page->range[i]) - 4,
							.base = ranges[i].start,
							.length = ranges[i].end - ranges[i].start,
							.type = ranges[i].type };
	load_modules(disk, free, memory_top, page->module);
	page->info = (struct multiboot_info){
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MEMORY_MAP |
			 INFO_LOADER_NAME,
		.mem_lower = ROM_BASE_MEMORY_END / 1024,
		.mem_upper = (memory_top - MIB) / 1024,
		.cmdline = text_address(disk, disk->kernel.text),
		.mods_count = disk->modules,
		.mods_addr = (u32)(uintptr_t)page->module,
		.mmap_length = sizeof(page->range),
		.mmap_addr = (u32)(uintptr_t)page->range,
		.loader_name = (u32)(uintptr_t) "nestbed-rom",
	};
}
