/*
 * L1's own memory: one contiguous range at the top of RAM below 4 GiB. The image comes first, then
 * pages handed out once and kept. L1 sees all physical memory at DIRECT_MAP.
 */
#ifndef L1_MEMORY_H
#define L1_MEMORY_H

#include "l1-hypervisor/layout.h"
#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/memory_map.h"

/* A pointer to physical memory. No check: for addresses that L1 made itself. */
static inline void *physical(u64 address)
{
	return (void *)(DIRECT_MAP + address);
}

/* The end of what is mapped at DIRECT_MAP. */
u64 mapped_memory_end(void);

/* Where the boot loader put the image. */
struct memory_range memory_image_loaded(void);

/* The physical address of something in the image or in the direct map. */
pa1_t physical_of(const void *pointer);

/* Moves the image into `range`, builds the final page tables there and changes to them. `top` is
 * the end of the highest RAM. From here on memory_pages() works and low memory is free. */
void memory_move_high(struct memory_range range, u64 top);

/* `count` zeroed pages, physically contiguous, never given back. Ends L1 with a sentence when its
 * memory is used up; only called while it starts. */
void *memory_pages(u64 count);

/* How many pages memory_pages() can still hand out. */
u64 memory_pages_left(void);

/* The range that L1 took. */
struct memory_range memory_taken(void);

/* Maps the page at `address` at its own address too, writable and executable, for code that runs
 * with paging off. `address` must not be where the image is linked. */
void memory_map_identity(u64 address);
void memory_unmap_identity(u64 address);

/* CR3 of the final page tables. */
u64 memory_cr3(void);

#endif
