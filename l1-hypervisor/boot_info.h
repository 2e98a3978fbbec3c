/*
 * What the boot loader handed over, copied out of its memory into a structure of our own: command
 * line, modules, memory map as given. Copied because all of it lies in memory that L2 gets.
 * Assumes nothing of the contents: every pointer and length is checked before it is used.
 */
#ifndef L1_BOOT_INFO_H
#define L1_BOOT_INFO_H

#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/memory_map.h"
#include "l1-hypervisor/refusal.h"

#define BOOT_MODULES_MAX 16
#define BOOT_TEXT_MAX    8192 /* all strings together */

/* Pointer to `length` bytes of physical memory, or NULL when they cannot be reached. L1 gives its
 * identity map, the host tests an array. */
typedef void *physical_at(u64 address, u64 length);

struct boot_module {
	u64 start;
	u64 end;
	const char *text;
};

/* The strings point into `texts`, so the structure must not be copied to another address. */
struct boot_info {
	const char *words; /* L1's command line, "" when there is none */
	struct boot_module module[BOOT_MODULES_MAX];
	u32 module_count;
	struct memory_map map;
	char texts[BOOT_TEXT_MAX];
	u32 texts_used;
};

/* Reads the Multiboot 1 information block at `info`. Refuses a block without a memory map, one that
 * points outside of reachable memory, and more modules or text than there is room for. */
bool boot_info_read(struct boot_info *boot, u64 info, physical_at *at, struct refusal *why);

#endif
