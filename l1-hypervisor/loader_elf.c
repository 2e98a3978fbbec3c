/*
 * Reads the program headers of an ELF executable (System V ABI, "Program Header"): the segments at
 * their physical addresses, and the physical entry. Both classes go through one path.
 */
#include "l1-hypervisor/loader_job.h"

#include "l1-hypervisor/leaf/string.h"

#define ELF_LITTLE_ENDIAN 1
#define ELF_TYPE_EXEC     2
#define ELF_MACHINE_386   3
#define ELF_MACHINE_AMD64 62
#define ELF_PT_LOAD       1

struct elf_ident {
	u8 magic[4];
	u8 class;
	u8 data;
	u8 rest[10];
};

struct elf32_header {
	struct elf_ident ident;
	u16 type, machine;
	u32 version, entry, phoff, shoff, flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_header {
	struct elf_ident ident;
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf32_program {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct elf64_program {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

/* The header of either class, as far as loading needs it. */
struct elf_file {
	u16 type, machine, phentsize, phnum;
	u64 entry, phoff;
	bool is_64;
};

bool elf_matches(const struct load_job *job, u8 class)
{
	struct elf_ident ident;

	return job_read(job, 0, &ident, sizeof(ident)) && !memcmp(ident.magic, "\177ELF", 4) &&
	       ident.class == class && ident.data == ELF_LITTLE_ENDIAN;
}

static bool read_header(const struct load_job *job, struct elf_file *file)
{
	struct elf64_header h64;
	struct elf32_header h32;

	if (elf_matches(job, ELF_CLASS_64) && job_read(job, 0, &h64, sizeof(h64))) {
		*file = (struct elf_file){ h64.type,  h64.machine, h64.phentsize, h64.phnum,
					   h64.entry, h64.phoff,   true };
		return true;
	}
	if (elf_matches(job, ELF_CLASS_32) && job_read(job, 0, &h32, sizeof(h32))) {
		*file = (struct elf_file){ h32.type,  h32.machine, h32.phentsize, h32.phnum,
					   h32.entry, h32.phoff,   false };
		return true;
	}
	return false;
}

static bool read_program(const struct load_job *job, const struct elf_file *file, u32 i,
			 struct elf64_program *p)
{
	u64 offset = (u64)i * file->phentsize;
	struct elf32_program p32;

	if (file->phoff > job->image_length)
		return false;
	offset += file->phoff;
	if (file->is_64)
		return file->phentsize >= sizeof(*p) && job_read(job, offset, p, sizeof(*p));
	if (file->phentsize < sizeof(p32) || !job_read(job, offset, &p32, sizeof(p32)))
		return false;
	*p = (struct elf64_program){
		.type = p32.type,
		.flags = p32.flags,
		.offset = p32.offset,
		.vaddr = p32.vaddr,
		.paddr = p32.paddr,
		.filesz = p32.filesz,
		.memsz = p32.memsz,
		.align = p32.align,
	};
	return true;
}

bool elf_scan(struct load_job *job)
{
	struct elf_file file;
	bool has_entry = false;

	if (!read_header(job, &file) || file.type != ELF_TYPE_EXEC ||
	    file.machine != (file.is_64 ? ELF_MACHINE_AMD64 : ELF_MACHINE_386))
		return refuse(job->why, "the L2 image is ELF, but no x86 executable");
	for (u32 i = 0; i < file.phnum; i++) {
		struct elf64_program p;

		if (!read_program(job, &file, i, &p) || p.filesz > p.memsz)
			return refuse(job->why, "program header %u of the L2 image is corrupt", i);
		if (p.type != ELF_PT_LOAD || !p.memsz)
			continue;
		if (!job_add_segment(job, (struct load_segment){ p.paddr, p.offset, p.filesz,
								 p.memsz - p.filesz, p.memsz }))
			return false;
		/* The entry is virtual in some images and physical in others. */
		if (file.entry - p.vaddr < p.memsz) {
			job->plan->entry = file.entry - p.vaddr + p.paddr;
			has_entry = true;
		} else if (!has_entry && file.entry - p.paddr < p.memsz) {
			job->plan->entry = file.entry;
			has_entry = true;
		}
	}
	if (!has_entry)
		return refuse(job->why,
			      "the entry 0x%llx of the L2 image is in none of its "
			      "segments",
			      (unsigned long long)file.entry);
	return true;
}
