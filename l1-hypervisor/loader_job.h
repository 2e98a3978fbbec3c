/*
 * What the parts of the loader share while a plan is made: the image as bytes, the pieces it wants
 * in L2's memory, and what else must not be overwritten. Private to loader*.c.
 */
#ifndef L1_LOADER_JOB_H
#define L1_LOADER_JOB_H

#include "l1-hypervisor/loader.h"

#define SEGMENTS_MAX 16
#define FOUR_GIB     BIT(32)

/* A piece of the image in L2's memory: `length` bytes from the image, then `clear` zeros. It owns
 * `claim` bytes, which may be more than both together. */
struct load_segment {
	u64 to;
	u64 offset;
	u64 length;
	u64 clear;
	u64 claim;
};

struct load_job {
	struct load_plan *plan;
	const struct boot_info *boot;
	physical_at *at;
	struct refusal *why;
	const u8 *image;
	u64 image_length;
	struct load_segment segment[SEGMENTS_MAX];
	u32 segment_count;
	/* L2's modules where they will be when it starts; index 0 is the first that L2 sees. */
	struct memory_range module[BOOT_MODULES_MAX];
	u32 module_count;
	u64 module_align;
	u64 module_ceiling;
	/* Sources and destinations: no place that is handed out touches one of these. */
	struct memory_range busy[SEGMENTS_MAX + 2 * BOOT_MODULES_MAX + 2];
	u32 busy_count;
};

/* One kind of image. `scan` reads the image and states its segments and entry; `describe` builds
 * the block that tells L2 of its memory, modules and words. Both refuse in the job. */
struct image_kind {
	bool (*matches)(const struct load_job *job);
	bool (*scan)(struct load_job *job);
	bool (*describe)(struct load_job *job);
};

extern const struct image_kind image_multiboot;
extern const struct image_kind image_bzimage;
extern const struct image_kind image_vmlinux;

/* Copies `length` bytes at `offset` of the image; false when the image is too short. */
bool job_read(const struct load_job *job, u64 offset, void *to, u64 length);

/* Adds a segment of the image. Refuses when the file is too short for it, or too many. */
bool job_add_segment(struct load_job *job, struct load_segment segment);

/* Takes `length` zeroed bytes of the plan's block, aligned to `align`, and says where L2 will find
 * them. Refuses with NULL when the block is full. */
void *job_block(struct load_job *job, u64 length, u64 align, u64 *physical);

/* As job_block, for a text with its end. */
bool job_block_text(struct load_job *job, const char *text, u64 *physical);

/* The segments and the physical entry of an ELF image of either class. */
bool elf_matches(const struct load_job *job, u8 class);
bool elf_scan(struct load_job *job);

#define ELF_CLASS_32 1
#define ELF_CLASS_64 2

#endif
