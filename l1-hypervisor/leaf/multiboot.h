/*
 * The Multiboot 1 formats (Multiboot Specification 0.6.96): the header in an image, the information
 * block that a boot loader hands over, its module list and its memory map. Layouts only.
 */
#ifndef LEAF_MULTIBOOT_H
#define LEAF_MULTIBOOT_H

#include "l1-hypervisor/leaf/types.h"

#define MULTIBOOT_HEADER_MAGIC 0x1badb002U
#define MULTIBOOT_BOOT_MAGIC   0x2badb002U /* in EAX at the image's entry */

/* The header lies 4-byte aligned and whole in the image's first 8 KiB. */
#define MULTIBOOT_HEADER_SEARCH 8192U
#define MULTIBOOT_HEADER_ALIGN  4U

#define MULTIBOOT_WANTS_PAGE_ALIGN BIT(0)
#define MULTIBOOT_WANTS_MEMORY     BIT(1)
#define MULTIBOOT_WANTS_VIDEO      BIT(2)
#define MULTIBOOT_MUST_UNDERSTAND  BITS(15, 0)
#define MULTIBOOT_HAS_ADDRESSES    BIT(16)

struct multiboot_header {
	u32 magic;
	u32 flags;
	u32 checksum;
	/* Only with MULTIBOOT_HAS_ADDRESSES. */
	u32 header_addr;
	u32 load_addr;
	u32 load_end_addr;
	u32 bss_end_addr;
	u32 entry_addr;
};

#define MULTIBOOT_INFO_MEMORY  BIT(0)
#define MULTIBOOT_INFO_CMDLINE BIT(2)
#define MULTIBOOT_INFO_MODULES BIT(3)
#define MULTIBOOT_INFO_MMAP    BIT(6)
#define MULTIBOOT_INFO_LOADER  BIT(9)

struct multiboot_info {
	u32 flags;
	u32 mem_lower; /* KiB from 0 */
	u32 mem_upper; /* KiB from 1 MiB */
	u32 boot_device;
	u32 cmdline;
	u32 mods_count;
	u32 mods_addr;
	u32 symbols[4];
	u32 mmap_length;
	u32 mmap_addr;
	u32 drives_length;
	u32 drives_addr;
	u32 config_table;
	u32 boot_loader_name;
};

struct multiboot_module {
	u32 start;
	u32 end; /* first byte after the module */
	u32 text;
	u32 reserved;
};

/* `size` does not count itself: the next entry lies size + 4 bytes further. */
struct multiboot_mmap {
	u32 size;
	u64 base;
	u64 length;
	u32 type;
} __attribute__((packed));

#endif
