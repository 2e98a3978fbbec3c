/*
 * Plans how an L2 image is brought to life: what is copied where, in which order, and in which
 * state the first processor enters it. Planning reads the image and writes nothing but the plan, so
 * a refused image leaves the machine as it was; applying the plan is a list of copies.
 * The image, its modules and its words are untrusted: every offset and length in them is checked.
 * Assumes that L1 already runs in the range it took out of the memory map.
 */
#ifndef L1_LOADER_H
#define L1_LOADER_H

#include "l1-hypervisor/boot_info.h"
#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/memory_map.h"
#include "l1-hypervisor/refusal.h"

#define LOAD_STEPS_MAX 64
#define LOAD_BLOCK_MAX (64 * 1024)

enum load_mode {
	/* Multiboot 1: 32-bit protected mode, flat segments, paging off. EAX =
	 * MULTIBOOT_BOOT_MAGIC, EBX = info. */
	LOAD_PROTECTED,
	/* Linux: 64-bit mode on the plan's page tables (identity, 4 GiB) and its GDT.
	 * RSI = info. */
	LOAD_LONG,
};

/* Copies `length` bytes and then clears `clear` bytes after them. */
struct load_step {
	u64 to;
	u64 from; /* physical address, or offset into the block */
	u64 length;
	u64 clear;
	bool from_block;
};

struct load_plan {
	enum load_mode mode;
	u64 entry;
	u64 info; /* Multiboot information block, or Linux's boot_params */
	u64 cr3;  /* LOAD_LONG only, as the two below */
	u64 gdt;  /* selectors LOAD_LONG_CS and LOAD_LONG_DS */
	u32 gdt_limit;
	u32 step_count;
	struct load_step step[LOAD_STEPS_MAX];
	/* What the loader itself makes for L2, contiguous at `block_at`. */
	u64 block_at;
	u32 block_length;
	u8 block[LOAD_BLOCK_MAX] __attribute__((aligned(4096)));
};

/* Linux's __BOOT_CS and __BOOT_DS (Linux x86 Boot Protocol, "64-bit Boot Protocol"). */
#define LOAD_LONG_CS 0x10
#define LOAD_LONG_DS 0x18

/* Plans loading boot->module[0] with the other modules and the module's text as its command line.
 * `boot->map` must already lack the range that L1 took. */
bool load_make_plan(struct load_plan *plan, const struct boot_info *boot, physical_at *at,
		    struct refusal *why);

/* Carries the plan out. Every address in a plan was checked to be L2's RAM. */
void load_apply(const struct load_plan *plan, physical_at *at);

#endif
