/*
 * Multiboot 1 images (Multiboot Specification 0.6.96): ELF, or raw with the addresses in the
 * header; and the information block that they find in EBX.
 */
#include "l1-hypervisor/loader_job.h"

#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/leaf/string.h"

#define KIB_SHIFT 10
#define ONE_MIB   BIT(20)

/* Finds the header: "OS image format", "The layout of Multiboot header". */
static bool find_header(const struct load_job *job, struct multiboot_header *header, u32 *at)
{
	const u32 fixed = offsetof(struct multiboot_header, header_addr);

	for (*at = 0; *at + fixed <= MULTIBOOT_HEADER_SEARCH; *at += MULTIBOOT_HEADER_ALIGN) {
		memset(header, 0, sizeof(*header));
		if (!job_read(job, *at, header, fixed))
			return false;
		if (header->magic == MULTIBOOT_HEADER_MAGIC &&
		    !(header->magic + header->flags + header->checksum))
			return !(header->flags & MULTIBOOT_HAS_ADDRESSES) ||
			       job_read(job, *at, header, sizeof(*header));
	}
	return false;
}

static bool multiboot_matches(const struct load_job *job)
{
	struct multiboot_header header;
	u32 at;

	return find_header(job, &header, &at);
}

/* A raw image: "The address fields of Multiboot header". */
static bool scan_addresses(struct load_job *job, const struct multiboot_header *header, u32 at)
{
	u64 before = (u64)header->header_addr - header->load_addr;
	u64 length;

	if (header->load_addr > header->header_addr || before > at)
		return refuse(job->why, "the Multiboot header of the L2 image has addresses that "
					"contradict its place in the file");
	length = header->load_end_addr ? (u64)header->load_end_addr - header->load_addr
				       : job->image_length - (at - before);
	u64 claim = header->bss_end_addr ? (u64)header->bss_end_addr - header->load_addr : length;

	if ((header->load_end_addr && header->load_end_addr < header->load_addr) ||
	    (header->bss_end_addr && header->bss_end_addr < header->load_addr + length) ||
	    (u64)header->entry_addr - header->load_addr >= claim)
		return refuse(job->why, "the Multiboot header of the L2 image has addresses that "
					"contradict each other");
	job->plan->entry = header->entry_addr;
	return job_add_segment(job, (struct load_segment){ header->load_addr, at - before, length,
							   claim - length, claim });
}

static bool multiboot_scan(struct load_job *job)
{
	const u32 known = (u32)(MULTIBOOT_WANTS_PAGE_ALIGN | MULTIBOOT_WANTS_MEMORY);
	struct multiboot_header header;
	u32 at;

	if (!find_header(job, &header, &at))
		return refuse(job->why, "the L2 image has no Multiboot header");
	if (header.flags & MULTIBOOT_MUST_UNDERSTAND & ~known)
		return refuse(job->why,
			      "the L2 image asks its boot loader for what Nestbed does not do "
			      "(Multiboot header flags 0x%x)",
			      header.flags);
	if (header.flags & MULTIBOOT_WANTS_PAGE_ALIGN)
		job->module_align = PAGE_SIZE;
	job->plan->mode = LOAD_PROTECTED;
	if (header.flags & MULTIBOOT_HAS_ADDRESSES)
		return scan_addresses(job, &header, at);
	if (!elf_scan(job))
		return false;
	if (job->plan->entry >= FOUR_GIB)
		return refuse(job->why, "the Multiboot L2 image starts above 4 GiB");
	return true;
}

static bool describe_modules(struct load_job *job, struct multiboot_info *info)
{
	u64 list_at;
	struct multiboot_module *list =
		job_block(job, job->module_count * sizeof(*list), 4, &list_at);

	if (!list)
		return false;
	for (u32 i = 0; i < job->module_count; i++) {
		u64 text;

		if (!job_block_text(job, job->boot->module[i + 1].text, &text))
			return false;
		list[i] = (struct multiboot_module){ (u32)job->module[i].start,
						     (u32)job->module[i].end, (u32)text, 0 };
	}
	info->mods_count = job->module_count;
	info->mods_addr = (u32)list_at;
	info->flags |= (u32)MULTIBOOT_INFO_MODULES;
	return true;
}

static bool describe_memory(struct load_job *job, struct multiboot_info *info)
{
	const struct memory_map *map = &job->boot->map;
	u64 list_at;
	struct multiboot_mmap *list = job_block(job, map->count * sizeof(*list), 4, &list_at);

	if (!list)
		return false;
	for (u32 i = 0; i < map->count; i++) {
		const struct memory_region *r = &map->region[i];

		list[i] = (struct multiboot_mmap){ sizeof(*list) - sizeof(list->size),
						   r->range.start, r->range.end - r->range.start,
						   r->type };
	}
	info->mmap_addr = (u32)list_at;
	info->mmap_length = (u32)(map->count * sizeof(*list));
	info->mem_lower = (u32)(memory_map_ram_from(map, 0) >> KIB_SHIFT);
	info->mem_upper = (u32)(memory_map_ram_from(map, ONE_MIB) >> KIB_SHIFT);
	info->flags |= (u32)(MULTIBOOT_INFO_MMAP | MULTIBOOT_INFO_MEMORY);
	return true;
}

static bool multiboot_describe(struct load_job *job)
{
	struct multiboot_info *info = job_block(job, sizeof(*info), 8, &job->plan->info);
	u64 words, name;

	if (!info || !job_block_text(job, job->boot->module[0].text, &words) ||
	    !job_block_text(job, "Nestbed", &name))
		return false;
	info->cmdline = (u32)words;
	info->boot_loader_name = (u32)name;
	info->flags = (u32)(MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_LOADER);
	return describe_memory(job, info) && describe_modules(job, info);
}

const struct image_kind image_multiboot = { multiboot_matches, multiboot_scan, multiboot_describe };
