/*
 * The loader of the guest's image; see image.h. The information block, the command line and the
 * memory map lie below 1 MiB, where no segment is accepted.
 */
#include "guests/hv/image.h"

#include "l1-hypervisor/leaf/string.h"

#define INFO_ADDRESS  0x1000U
#define MMAP_ADDRESS  0x1800U
#define WORDS_ADDRESS 0x2000U
#define WORDS_MAX     0x1000U

#define LOW_END    0xa0000U
#define HIGH_START 0x100000U
#define KIBIBYTE   1024U

#define MMAP_AVAILABLE 1

#define ELF_MAGIC       0x464c457fU
#define ELF_CLASS_32    1
#define ELF_LITTLE      1
#define ELF_MACHINE_386 3
#define ELF_PT_LOAD     1

struct elf_header {
	u32 magic;
	u8 class, data, version, padding[9];
	u16 type, machine;
	u32 version2, entry, phoff, shoff, flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

static bool has_multiboot_header(const u8 *file, u64 size)
{
	u64 end = size < MULTIBOOT_HEADER_SEARCH ? size : MULTIBOOT_HEADER_SEARCH;

	for (u64 at = 0; at + 12 <= end; at += MULTIBOOT_HEADER_ALIGN) {
		u32 word[3];

		memcpy(word, file + at, sizeof(word));
		if (word[0] == MULTIBOOT_HEADER_MAGIC && word[0] + word[1] + word[2] == 0)
			return true;
	}
	return false;
}

static const char *load_segment(struct vm *vm, const u8 *file, u64 size,
				const struct elf_segment *s)
{
	void *to = vm_memory(vm, s->paddr, s->memsz);

	if (s->type != ELF_PT_LOAD || !s->memsz)
		return NULL;
	if (s->filesz > s->memsz || s->offset > size || s->filesz > size - s->offset)
		return "the image of l3 is cut short";
	if (s->paddr < HIGH_START)
		return "the image of l3 has a segment below 1 MiB, which hv keeps for the loader";
	if (!to)
		return "the image of l3 does not fit into its memory";
	memcpy(to, file + s->offset, s->filesz);
	memset((u8 *)to + s->filesz, 0, s->memsz - s->filesz);
	return NULL;
}

static const char *load_elf(struct vm *vm, const u8 *file, u64 size, u32 *entry)
{
	struct elf_header h;

	if (size < sizeof(h))
		return "the image of l3 is cut short";
	memcpy(&h, file, sizeof(h));
	if (h.magic != ELF_MAGIC || h.class != ELF_CLASS_32 || h.data != ELF_LITTLE ||
	    h.machine != ELF_MACHINE_386 || h.phentsize != sizeof(struct elf_segment))
		return "the image of l3 is no ELF32 image for x86";
	if (!has_multiboot_header(file, size))
		return "the image of l3 has no Multiboot header";
	if (h.phoff > size || (u64)h.phnum * h.phentsize > size - h.phoff)
		return "the image of l3 is cut short";
	for (u32 i = 0; i < h.phnum; i++) {
		struct elf_segment s;
		const char *refused;

		memcpy(&s, file + h.phoff + i * sizeof(s), sizeof(s));
		refused = load_segment(vm, file, size, &s);
		if (refused)
			return refused;
	}
	if (!vm_memory(vm, h.entry, 1))
		return "the image of l3 has its entry outside its memory";
	*entry = h.entry;
	return NULL;
}

static void write_info(struct vm *vm)
{
	struct multiboot_info *info = vm_memory(vm, INFO_ADDRESS, sizeof(*info));
	struct multiboot_mmap *mmap = vm_memory(vm, MMAP_ADDRESS, 2 * sizeof(*mmap));

	mmap[0] = (struct multiboot_mmap){ sizeof(*mmap) - sizeof(mmap->size), 0, LOW_END,
					   MMAP_AVAILABLE };
	mmap[1] = (struct multiboot_mmap){ sizeof(*mmap) - sizeof(mmap->size), HIGH_START,
					   VM_MEMORY - HIGH_START, MMAP_AVAILABLE };
	*info = (struct multiboot_info){
		.flags =
			(u32)(MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MMAP),
		.mem_lower = LOW_END / KIBIBYTE,
		.mem_upper = (u32)((VM_MEMORY - HIGH_START) / KIBIBYTE),
		.cmdline = WORDS_ADDRESS,
		.mmap_length = 2 * sizeof(*mmap),
		.mmap_addr = MMAP_ADDRESS,
	};
}

const char *image_load(struct vm *vm, const struct multiboot_module *module, const char *words,
		       struct image_start *start)
{
	const u8 *file = (const u8 *)(u64)module->start;
	const char *refused = load_elf(vm, file, module->end - module->start, &start->eip);

	if (refused)
		return refused;
	if (strlen(words) >= WORDS_MAX)
		return "the words for l3 are too long";
	memcpy(vm_memory(vm, WORDS_ADDRESS, WORDS_MAX), words, strlen(words) + 1);
	write_info(vm);
	start->info = INFO_ADDRESS;
	return NULL;
}
