/*
 * Linux as a bzImage or as an uncompressed vmlinux, entered by the 64-bit boot protocol ("The
 * Linux/x86 Boot Protocol"). A vmlinux is entered as the decompressor of a bzImage would: at its
 * physical entry, with the same boot_params.
 */
#include "l1-hypervisor/loader_job.h"

#include "l1-hypervisor/leaf/linux_boot.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define SETUP_AT          0x1f1U
#define DEFAULT_SECTORS   4 /* what setup_sects = 0 means */
#define DEFAULT_ALIGN     BIT(21)
#define INITRD_CEILING    BIT(31) /* initrd_addr_max of every x86 kernel so far, plus one */
#define VMLINUX_WORDS_MAX 2047U   /* COMMAND_LINE_SIZE of x86, without the end */
#define ONE_MIB           BIT(20)
#define LARGE_PAGE_SHIFT  21
#define TABLE_ENTRIES     512U
#define LARGE_PAGE_PDS    4U /* page directories for 4 GiB */

/* Flat segments for LOAD_LONG_CS and LOAD_LONG_DS. */
#define DESCRIPTOR_CODE_64 0x00af9b000000ffffULL
#define DESCRIPTOR_DATA    0x00cf93000000ffffULL

static bool read_setup(const struct load_job *job, struct linux_setup_header *setup)
{
	return job_read(job, SETUP_AT, setup, sizeof(*setup)) &&
	       setup->boot_flag == LINUX_BOOT_FLAG && setup->header == LINUX_HEADER_MAGIC;
}

static bool bzimage_matches(const struct load_job *job)
{
	struct linux_setup_header setup;

	return read_setup(job, &setup);
}

static bool check_initrd_count(struct load_job *job)
{
	if (job->module_count > 1)
		return refuse(job->why, "Linux takes one initrd, and %u modules are given",
			      job->module_count);
	return true;
}

/* Where the kernel goes: its preferred address, or anywhere if it can be moved and must. */
static bool place_kernel(struct load_job *job, const struct linux_setup_header *setup, u64 claim,
			 u64 *to)
{
	const struct memory_map *map = &job->boot->map;
	u64 preferred = setup->pref_address;
	u64 align = setup->kernel_alignment;

	*to = preferred;
	if (preferred < FOUR_GIB &&
	    memory_map_is_ram(map, (struct memory_range){ preferred, preferred + claim }))
		return true;
	if (setup->relocatable_kernel && align && !(align & (align - 1)) &&
	    memory_map_find(map, claim, align, ONE_MIB, FOUR_GIB, NULL, 0, to))
		return true;
	return refuse(job->why, "too little memory: the Linux kernel needs %llu KiB in one piece",
		      (unsigned long long)claim / 1024);
}

static bool bzimage_scan(struct load_job *job)
{
	struct linux_setup_header setup;
	u64 to;

	if (!read_setup(job, &setup) || setup.version < LINUX_VERSION_64_BIT ||
	    !(setup.xloadflags & LINUX_XLF_KERNEL_64))
		return refuse(job->why, "the Linux bzImage has no 64-bit entry: a 64-bit kernel "
					"of version 3.8 or later is needed");
	if (!check_initrd_count(job))
		return false;
	u64 sectors = 1U + (setup.setup_sects ? setup.setup_sects : DEFAULT_SECTORS);
	u64 offset = sectors * LINUX_SECTOR;
	u64 length = (u64)setup.syssize * 16;

	if (offset > job->image_length)
		return refuse(job->why, "the Linux bzImage is cut off in its first sectors");
	/* syssize is rounded up to 16 bytes, the file need not be. */
	u64 present = job->image_length - offset;

	if (length > present && length - present < 16)
		length = present;
	if (length <= LINUX_ENTRY_64)
		return refuse(job->why, "the Linux bzImage holds no kernel");
	u64 claim = setup.init_size > length ? setup.init_size : length;

	if (!place_kernel(job, &setup, claim, &to))
		return false;
	job->plan->mode = LOAD_LONG;
	job->plan->entry = to + LINUX_ENTRY_64;
	job->module_align = PAGE_SIZE;
	job->module_ceiling = setup.initrd_addr_max ? (u64)setup.initrd_addr_max + 1
						    : INITRD_CEILING;
	return job_add_segment(job, (struct load_segment){ to, offset, length, 0, claim });
}

static bool vmlinux_matches(const struct load_job *job)
{
	return elf_matches(job, ELF_CLASS_64);
}

static bool vmlinux_scan(struct load_job *job)
{
	job->plan->mode = LOAD_LONG;
	job->module_align = PAGE_SIZE;
	job->module_ceiling = INITRD_CEILING;
	return check_initrd_count(job) && elf_scan(job);
}

/* Page tables that map the first 4 GiB to themselves, and a GDT. */
static bool make_long_mode(struct load_job *job)
{
	struct load_plan *plan = job->plan;
	u64 root_at, directory_at, pages_at;
	u64 *root = job_block(job, PAGE_SIZE, PAGE_SIZE, &root_at);
	u64 *directory = job_block(job, PAGE_SIZE, PAGE_SIZE, &directory_at);
	u64 *pages = job_block(job, LARGE_PAGE_PDS * PAGE_SIZE, PAGE_SIZE, &pages_at);
	u64 *gdt = job_block(job, LOAD_LONG_DS + 8, 8, &plan->gdt);

	if (!root || !directory || !pages || !gdt)
		return false;
	root[0] = directory_at | PTE_P | PTE_W;
	for (u64 i = 0; i < LARGE_PAGE_PDS; i++)
		directory[i] = (pages_at + i * PAGE_SIZE) | PTE_P | PTE_W;
	for (u64 i = 0; i < LARGE_PAGE_PDS * TABLE_ENTRIES; i++)
		pages[i] = i << LARGE_PAGE_SHIFT | PTE_P | PTE_W | PTE_PS;
	gdt[LOAD_LONG_CS / 8] = DESCRIPTOR_CODE_64;
	gdt[LOAD_LONG_DS / 8] = DESCRIPTOR_DATA;
	plan->gdt_limit = LOAD_LONG_DS + 7;
	plan->cr3 = root_at;
	return true;
}

static void describe_memory(const struct load_job *job, struct linux_boot_params *params)
{
	const struct memory_map *map = &job->boot->map;

	for (u32 i = 0; i < map->count; i++) {
		const struct memory_region *r = &map->region[i];

		params->e820[i] = (struct linux_e820){ r->range.start,
						       r->range.end - r->range.start, r->type };
	}
	params->e820_count = (u8)map->count;
}

/* The module's text without its first word, which is a name. */
static const char *kernel_words(const struct load_job *job)
{
	const char *text = job->boot->module[0].text;
	const char *blank = strchr(text, ' ');

	return blank ? blank + 1 : "";
}

/* Fills in what the kernel's own header does not say, or all of it for a vmlinux. */
static bool fill_setup(struct load_job *job, struct linux_setup_header *setup)
{
	const char *words = kernel_words(job);
	u64 words_at;

	if (setup->cmdline_size && strlen(words) > setup->cmdline_size)
		return refuse(job->why, "Linux takes a command line of at most %u bytes",
			      setup->cmdline_size);
	if (!job_block_text(job, words, &words_at))
		return false;
	setup->boot_flag = LINUX_BOOT_FLAG;
	setup->header = LINUX_HEADER_MAGIC;
	setup->type_of_loader = LINUX_LOADER_OTHER;
	setup->loadflags |= (u8)LINUX_LOADED_HIGH;
	setup->cmd_line_ptr = (u32)words_at;
	if (job->module_count) {
		setup->ramdisk_image = (u32)job->module[0].start;
		setup->ramdisk_size = (u32)(job->module[0].end - job->module[0].start);
	}
	return true;
}

static bool describe(struct load_job *job, const struct linux_setup_header *setup)
{
	struct linux_boot_params *params;

	if (!make_long_mode(job))
		return false;
	params = job_block(job, sizeof(*params), PAGE_SIZE, &job->plan->info);
	if (!params)
		return false;
	params->setup = *setup;
	describe_memory(job, params);
	return fill_setup(job, &params->setup);
}

/* The kernel's header is copied as far as it says it reaches; the rest of boot_params is zero. */
static bool bzimage_describe(struct load_job *job)
{
	struct linux_setup_header setup = { 0 };
	u8 length;

	job_read(job, SETUP_AT + offsetof(struct linux_setup_header, jump_length), &length, 1);
	u64 size = offsetof(struct linux_setup_header, header) + length;

	job_read(job, SETUP_AT, &setup, size < sizeof(setup) ? size : sizeof(setup));
	return describe(job, &setup);
}

static bool vmlinux_describe(struct load_job *job)
{
	const struct linux_setup_header setup = {
		.version = LINUX_VERSION_64_BIT,
		.kernel_alignment = DEFAULT_ALIGN,
		.xloadflags = LINUX_XLF_KERNEL_64,
		.cmdline_size = VMLINUX_WORDS_MAX,
	};

	return describe(job, &setup);
}

const struct image_kind image_bzimage = { bzimage_matches, bzimage_scan, bzimage_describe };
const struct image_kind image_vmlinux = { vmlinux_matches, vmlinux_scan, vmlinux_describe };
