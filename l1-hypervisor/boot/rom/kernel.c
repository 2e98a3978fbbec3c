/*
 * Loads a Multiboot 1 kernel: ELF32 program headers, or the address fields of its header (flags bit
 * 16), as "Multiboot Specification version 0.6.96" (3.1) says. The file is read to the top of
 * memory and its parts are copied down from there. Refuses what would fall outside 1 MiB .. file.
 */
#include "l1-hypervisor/boot/rom/rom.h"
#include "l1-hypervisor/leaf/string.h"

#define MULTIBOOT_HEADER_MAGIC 0x1badb002U
#define MULTIBOOT_SEARCH       8192U
#define FLAG_ADDRESSES         BIT(16)
#define FLAGS_UNKNOWN          0xfff8U /* of the flags that a loader must understand */
#define ELF_MAGIC              0x464c457fU
#define ELF_CLASS_32           1
#define PT_LOAD                1
#define LOAD_MIN               0x100000U

struct multiboot_header {
	u32 magic, flags, checksum;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

struct elf_header {
	u32 magic;
	u8 class, data, version, pad[9];
	u16 type, machine;
	u32 version2, entry, phoff, shoff, flags;
	u16 ehsize, phentsize, phnum;
};

struct program_header {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct image {
	const u8 *bytes;
	u32 size;
	u32 end; /* first byte above everything that was placed */
};

static const struct multiboot_header *find_header(const struct image *image, u32 *offset)
{
	for (*offset = 0; *offset < MULTIBOOT_SEARCH; *offset += 4) {
		const struct multiboot_header *h = (const void *)(image->bytes + *offset);

		if (*offset + sizeof(*h) > image->size)
			return NULL;
		if (h->magic == MULTIBOOT_HEADER_MAGIC && !(h->magic + h->flags + h->checksum))
			return h;
	}
	return NULL;
}

static void place(struct image *image, u32 at, u32 offset, u32 in_file, u32 in_memory)
{
	u32 limit = (u32)(uintptr_t)image->bytes;

	if (offset > image->size || in_file > image->size - offset || in_file > in_memory)
		rom_fail("The kernel image is corrupt: a part of it lies outside the file.");
	if (at < LOAD_MIN || at > limit || in_memory > limit - at)
		rom_fail("The kernel does not fit into memory: give the machine more.");
	memcpy((void *)at, image->bytes + offset, in_file);
	memset((void *)(at + in_file), 0, in_memory - in_file);
	if (at + in_memory > image->end)
		image->end = at + in_memory;
}

static u32 load_by_addresses(struct image *image, const struct multiboot_header *h, u32 offset)
{
	u32 start = offset - (h->header_addr - h->load_addr);
	u32 in_file = h->load_end_addr ? h->load_end_addr - h->load_addr : image->size - start;
	u32 in_memory = h->bss_end_addr ? h->bss_end_addr - h->load_addr : in_file;
	u32 entry = h->entry_addr;

	place(image, h->load_addr, start, in_file, in_memory);
	return entry;
}

static u32 load_elf(struct image *image)
{
	const struct elf_header *elf = (const void *)image->bytes;

	if (elf->magic != ELF_MAGIC || elf->class != ELF_CLASS_32 ||
	    elf->phentsize != sizeof(struct program_header))
		rom_fail("The kernel is neither an ELF32 image nor one with load addresses.");
	if (elf->phoff > image->size ||
	    elf->phnum > (image->size - elf->phoff) / sizeof(struct program_header))
		rom_fail("The kernel image is corrupt: its program headers lie outside the file.");
	for (u32 i = 0; i < elf->phnum; i++) {
		const struct program_header *p =
			(const struct program_header *)(const void *)(image->bytes + elf->phoff) +
			i;

		if (p->type == PT_LOAD && p->memsz)
			place(image, p->paddr, p->offset, p->filesz, p->memsz);
	}
	return elf->entry;
}

u32 kernel_load(const struct disk_file *file, u32 memory_top, u32 *end)
{
	u32 sectors = file->size / SECTOR_SIZE + (file->size % SECTOR_SIZE != 0);
	struct image image = { .size = file->size, .end = LOAD_MIN };
	const struct multiboot_header *header;
	u32 offset;
	u32 entry;

	if (sectors >= (memory_top - LOAD_MIN) / SECTOR_SIZE)
		rom_fail("The kernel does not fit into memory: give the machine more.");
	image.bytes = (const u8 *)(memory_top - sectors * SECTOR_SIZE);
	disk_read(file->sector, sectors, (void *)image.bytes);
	header = find_header(&image, &offset);
	if (!header || (header->flags & FLAGS_UNKNOWN))
		rom_fail("The kernel has no Multiboot 1 header that this ROM understands.");
	entry = header->flags & FLAG_ADDRESSES ? load_by_addresses(&image, header, offset)
					       : load_elf(&image);
	*end = image.end;
	return entry;
}
