/*
 * L1's own memory and page tables; see memory.h. The final tables give every section of the image
 * its own permissions and map all RAM at DIRECT_MAP, not executable.
 */
#include "l1-hypervisor/memory.h"

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/panic.h"

extern u8 image_text[], image_rodata[], image_data[], image_end[];
void move_high(void *to, const void *from, u64 length, u64 cr3);

#define GIB (1ULL << 30)

static struct memory_range taken;
static u64 next_page; /* physical address of the first page not handed out */
static u64 image_at = LOAD_BASE;
static u64 final_cr3;
static u64 mapped_end = 4 * GIB; /* by the boot page tables */

u64 mapped_memory_end(void)
{
	return mapped_end;
}

struct memory_range memory_image_loaded(void)
{
	return (struct memory_range){ LOAD_BASE, LOAD_BASE + (u64)image_end - IMAGE_BASE };
}

pa1_t physical_of(const void *pointer)
{
	u64 v = (u64)pointer;

	if (v >= DIRECT_MAP)
		return PA1(v - DIRECT_MAP);
	return PA1(v - IMAGE_BASE + image_at);
}

static u64 *page_table(u64 *entry)
{
	if (!(*entry & PTE_P))
		*entry = physical_of(memory_pages(1)).v | PTE_P | PTE_W;
	return physical(*entry & BITS(51, 12));
}

static u64 *entry_of(u64 cr3, u64 at, u32 level)
{
	u64 *table = physical(cr3);

	for (u32 l = 4; l > level; l--)
		table = page_table(&table[(at >> (3 + 9 * l)) & 511]);
	return &table[(at >> (3 + 9 * level)) & 511];
}

static void map_section(u64 cr3, const u8 *from, const u8 *to, u64 flags)
{
	for (u64 at = (u64)from; at < (u64)to; at += PAGE_SIZE)
		*entry_of(cr3, at, 1) = (at - IMAGE_BASE + taken.start) | PTE_P | flags;
}

static void map_all_memory(u64 cr3, u64 top)
{
	bool pages_1g = cpuid(0x80000000, 0).eax >= 0x80000001 &&
			(cpuid(0x80000001, 0).edx & BIT(26));
	u64 size = pages_1g ? GIB : GIB / 512;

	top = ALIGN_UP(top < 4 * GIB ? 4 * GIB : top, GIB);
	for (u64 at = 0; at < top; at += size)
		*entry_of(cr3, DIRECT_MAP + at, pages_1g ? 3 : 2) = at | PTE_P | PTE_W | PTE_PS |
								    PTE_NX;
}

void memory_move_high(struct memory_range range, u64 top)
{
	u64 image_bytes = (u64)image_end - IMAGE_BASE;
	u64 cr3;

	taken = range;
	next_page = range.start + image_bytes;
	cr3 = physical_of(memory_pages(1)).v;
	final_cr3 = cr3;
	/* The boot part between IMAGE_BASE and .text has done its work and is not mapped. */
	map_section(cr3, image_text, image_rodata, 0);
	map_section(cr3, image_rodata, image_data, PTE_NX);
	map_section(cr3, image_data, image_end, PTE_W | PTE_NX);
	map_all_memory(cr3, top);
	image_at = range.start;
	move_high(physical(range.start), physical(LOAD_BASE), image_bytes, cr3);
}

void *memory_pages(u64 count)
{
	void *pages = physical(next_page);

	if (next_page + count * PAGE_SIZE > taken.end)
		end_with_error("Nestbed's own memory is used up; give it more with memory=MiB");
	next_page += count * PAGE_SIZE;
	memset(pages, 0, count * PAGE_SIZE);
	return pages;
}

u64 memory_pages_left(void)
{
	return (taken.end - next_page) / PAGE_SIZE;
}

struct memory_range memory_taken(void)
{
	return taken;
}

void memory_map_identity(u64 address)
{
	*entry_of(final_cr3, ALIGN_DOWN(address, PAGE_SIZE), 1) = ALIGN_DOWN(address, PAGE_SIZE) |
								  PTE_P | PTE_W;
}

void memory_unmap_identity(u64 address)
{
	*entry_of(final_cr3, ALIGN_DOWN(address, PAGE_SIZE), 1) = 0;
	write_cr3(final_cr3);
}

u64 memory_cr3(void)
{
	return final_cr3;
}
