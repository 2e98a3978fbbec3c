/*
 * Merging and asking the 4-KiB bitmaps that say what exits. Pure.
 */
#include "shadow-vmcs/bitmap.h"

#define PORTS_PER_PAGE 0x8000U
#define PORT_COUNT     0x10000U

void bitmap_merge(struct bitmap_page *out, const struct bitmap_page *a, const struct bitmap_page *b)
{
	/* Four words a turn: a merge at every entry is what the way merge=full pays for. */
	for (size_t i = 0; i < BITMAP_WORDS; i += 4) {
		out->word[i] = a->word[i] | b->word[i];
		out->word[i + 1] = a->word[i + 1] | b->word[i + 1];
		out->word[i + 2] = a->word[i + 2] | b->word[i + 2];
		out->word[i + 3] = a->word[i + 3] | b->word[i + 3];
	}
}

bool msr_bitmap_read_exits(const struct bitmap_page *page, u32 msr)
{
	u32 bit;

	return !msr_bitmap_bit(msr, &bit) || bitmap_test(page, bit);
}

bool msr_bitmap_write_exits(const struct bitmap_page *page, u32 msr)
{
	u32 bit;

	return !msr_bitmap_bit(msr, &bit) || bitmap_test(page, MSR_BITMAP_WRITE_LOW + bit);
}

bool io_bitmap_exits(const struct bitmap_page *a, const struct bitmap_page *b, u16 port, u32 size)
{
	if (port + size > PORT_COUNT)
		return true;
	for (u32 p = port; p < port + size; p++)
		if (bitmap_test(p < PORTS_PER_PAGE ? a : b, p % PORTS_PER_PAGE))
			return true;
	return false;
}
