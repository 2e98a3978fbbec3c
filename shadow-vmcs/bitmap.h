/*
 * Bitmaps of 4 KiB that say what exits: MSR bitmaps, I/O bitmaps, VMREAD and VMWRITE bitmaps. Bit n
 * of a page is bit n % 64 of its word n / 64, as the processor numbers them. Pure; pages are the
 * caller's own copies, never L2's live memory.
 */
#ifndef SHADOW_VMCS_BITMAP_H
#define SHADOW_VMCS_BITMAP_H

#include "l1-hypervisor/leaf/types.h"

#define BITMAP_WORDS (PAGE_SIZE / sizeof(u64))
#define BITMAP_BITS  (PAGE_SIZE * 8)

struct bitmap_page {
	u64 word[BITMAP_WORDS];
};

static inline bool bitmap_test(const struct bitmap_page *page, u32 bit)
{
	return page->word[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(struct bitmap_page *page, u32 bit)
{
	page->word[bit / 64] |= BIT(bit % 64);
}

static inline void bitmap_clear(struct bitmap_page *page, u32 bit)
{
	page->word[bit / 64] &= ~BIT(bit % 64);
}

/* *out = a | b: whatever either side intercepts exits. out may be a or b. */
void bitmap_merge(struct bitmap_page *out, const struct bitmap_page *a,
		  const struct bitmap_page *b);

/* The quarters of an MSR bitmap, SDM 3C "MSR-Bitmap Address" (25.6.9), as bit numbers. */
#define MSR_BITMAP_READ_LOW   0U
#define MSR_BITMAP_READ_HIGH  0x2000U
#define MSR_BITMAP_WRITE_LOW  0x4000U
#define MSR_BITMAP_WRITE_HIGH 0x6000U
#define MSR_BITMAP_RANGE      0x2000U
#define MSR_HIGH_FIRST        0xc0000000U

/*
 * Sets *bit to the bit of an MSR's reads (those of its writes are MSR_BITMAP_WRITE_LOW further on);
 * false for an MSR outside both ranges, whose accesses always exit.
 */
static inline bool msr_bitmap_bit(u32 msr, u32 *bit)
{
	if (msr < MSR_BITMAP_RANGE)
		*bit = MSR_BITMAP_READ_LOW + msr;
	else if (msr - MSR_HIGH_FIRST < MSR_BITMAP_RANGE)
		*bit = MSR_BITMAP_READ_HIGH + (msr - MSR_HIGH_FIRST);
	else
		return false;
	return true;
}

/* Whether RDMSR or WRMSR of this MSR exits by the bitmap (SDM 3C "Instructions That Cause VM Exits
 * Conditionally" (26.1.3)). */
bool msr_bitmap_read_exits(const struct bitmap_page *page, u32 msr);
bool msr_bitmap_write_exits(const struct bitmap_page *page, u32 msr);

/*
 * Whether an access of `size` bytes (1, 2 or 4) at `port` exits by the I/O bitmaps: when the bit of
 * any port it touches is set, or when it wraps around the end of the port space (SDM 3C
 * "Instructions That Cause VM Exits Conditionally" (26.1.3)). Page a has ports below 0x8000.
 */
bool io_bitmap_exits(const struct bitmap_page *a, const struct bitmap_page *b, u16 port, u32 size);

#endif
