/*
 * Makes the test images. Their contents are numbers that tell one byte from its neighbours.
 */
#include "tests/host/images.h"

#include <elf.h>
#include <string.h>

#include "l1-hypervisor/leaf/linux_boot.h"
#include "l1-hypervisor/leaf/multiboot.h"

#define DATA_AT     0x2000
#define DATA_LENGTH 0x800
#define TEXT_AT     0x1000

static void fill(struct image *image)
{
	image->length = IMAGE_MAX;
	for (u32 i = 0; i < IMAGE_MAX; i++)
		image->bytes[i] = (u8)(i * 7 + i / 256 + 1);
	memset(image->bytes, 0, 0x400);
}

static void put(struct image *image, u32 at, const void *bytes, size_t length)
{
	memcpy(image->bytes + at, bytes, length);
}

void image_multiboot_elf(struct image *image, u32 to, u32 flags)
{
	const Elf32_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, 1 },
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = 1,
		.e_entry = to + 0x20,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 3,
	};
	const Elf32_Phdr program[] = {
		{ .p_type = PT_NOTE, .p_offset = 0x100, .p_filesz = 4, .p_memsz = 4 },
		{ .p_type = PT_LOAD,
		  .p_offset = TEXT_AT,
		  .p_vaddr = to,
		  .p_paddr = to,
		  .p_filesz = IMAGE_TEXT,
		  .p_memsz = IMAGE_TEXT },
		{ .p_type = PT_LOAD,
		  .p_offset = DATA_AT,
		  .p_vaddr = to + IMAGE_TEXT,
		  .p_paddr = to + IMAGE_TEXT,
		  .p_filesz = DATA_LENGTH,
		  .p_memsz = DATA_LENGTH + IMAGE_CLEAR },
	};
	const u32 multiboot[] = { MULTIBOOT_HEADER_MAGIC, flags,
				  -(MULTIBOOT_HEADER_MAGIC + flags) };

	fill(image);
	put(image, 0, &header, sizeof(header));
	put(image, sizeof(header), program, sizeof(program));
	put(image, TEXT_AT, multiboot, sizeof(multiboot));
}

void image_multiboot_raw(struct image *image, u32 to)
{
	const struct multiboot_header header = {
		.magic = MULTIBOOT_HEADER_MAGIC,
		.flags = (u32)MULTIBOOT_HAS_ADDRESSES,
		.checksum = -(MULTIBOOT_HEADER_MAGIC + (u32)MULTIBOOT_HAS_ADDRESSES),
		.header_addr = to + 0x80,
		.load_addr = to,
		.load_end_addr = to + IMAGE_TEXT,
		.bss_end_addr = to + IMAGE_TEXT + IMAGE_CLEAR,
		.entry_addr = to + 0x200,
	};

	fill(image);
	put(image, 0x100, &header, sizeof(header));
}

void image_linux_elf(struct image *image, u64 to)
{
	const u64 base = 0xffffffff80000000ULL;
	const Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1 },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = 1,
		.e_entry = to,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	};
	const Elf64_Phdr program[] = {
		{ .p_type = PT_LOAD,
		  .p_offset = TEXT_AT,
		  .p_vaddr = base + to,
		  .p_paddr = to,
		  .p_filesz = IMAGE_TEXT,
		  .p_memsz = IMAGE_TEXT },
		{ .p_type = PT_LOAD,
		  .p_offset = DATA_AT,
		  .p_vaddr = 0,
		  .p_paddr = to + IMAGE_TEXT,
		  .p_filesz = DATA_LENGTH,
		  .p_memsz = DATA_LENGTH + IMAGE_CLEAR },
	};

	fill(image);
	put(image, 0, &header, sizeof(header));
	put(image, sizeof(header), program, sizeof(program));
}

void image_linux_bz(struct image *image, u64 to, u32 init_size)
{
	const struct linux_setup_header setup = {
		.setup_sects = 3,
		.syssize = (IMAGE_MAX - 4 * LINUX_SECTOR) / 16,
		.boot_flag = LINUX_BOOT_FLAG,
		.jump = 0xeb,
		.jump_length = sizeof(setup) - offsetof(struct linux_setup_header, header),
		.header = LINUX_HEADER_MAGIC,
		.version = 0x20f,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 1U << 21,
		.relocatable_kernel = 1,
		.xloadflags = LINUX_XLF_KERNEL_64,
		.cmdline_size = 100,
		.pref_address = to,
		.init_size = init_size,
	};

	fill(image);
	put(image, 0x1f1, &setup, sizeof(setup));
}
