/*
 * Reads a Multiboot 1 information block (Multiboot Specification 0.6.96, "Boot information
 * format") into a structure of L1's own.
 */
#include "l1-hypervisor/boot_info.h"

#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/leaf/string.h"

#define KIB_SHIFT 10
#define ONE_MIB   BIT(20)

/* Copies `length` bytes at physical `from`; refuses naming `what` when they cannot be reached. */
static bool copy_in(void *to, u64 from, u64 length, physical_at *at, const char *what,
		    struct refusal *why)
{
	const void *source = at(from, length);

	if (!source)
		return refuse(why, "the boot loader's %s at 0x%llx lies outside of memory", what,
			      (unsigned long long)from);
	memcpy(to, source, length);
	return true;
}

static bool copy_text(struct boot_info *boot, u64 from, physical_at *at, const char **text,
		      struct refusal *why)
{
	char *to = boot->texts + boot->texts_used;

	*text = to;
	for (;;) {
		if (boot->texts_used == BOOT_TEXT_MAX)
			return refuse(why, "the command lines are longer than %d bytes together",
				      BOOT_TEXT_MAX);
		if (!copy_in(to, from, 1, at, "command line", why))
			return false;
		boot->texts_used++;
		if (!*to)
			return true;
		to++;
		from++;
	}
}

static bool read_modules(struct boot_info *boot, const struct multiboot_info *info, physical_at *at,
			 struct refusal *why)
{
	u32 count = info->flags & MULTIBOOT_INFO_MODULES ? info->mods_count : 0;

	if (count > BOOT_MODULES_MAX)
		return refuse(why, "%u modules are more than the %d that L1 can hold", count,
			      BOOT_MODULES_MAX);
	for (u32 i = 0; i < count; i++) {
		struct boot_module *module = &boot->module[i];
		struct multiboot_module raw;

		if (!copy_in(&raw, info->mods_addr + (u64)i * sizeof(raw), sizeof(raw), at,
			     "module list", why))
			return false;
		if (raw.end < raw.start || !at(raw.start, raw.end - raw.start))
			return refuse(why, "module %u at 0x%x to 0x%x lies outside of memory", i,
				      raw.start, raw.end);
		*module = (struct boot_module){ raw.start, raw.end, "" };
		if (raw.text && !copy_text(boot, raw.text, at, &module->text, why))
			return false;
	}
	boot->module_count = count;
	return true;
}

static bool read_mmap(struct memory_map *map, const struct multiboot_info *info, physical_at *at,
		      struct refusal *why)
{
	u64 here = info->mmap_addr;
	u64 end = here + info->mmap_length;
	struct multiboot_mmap entry;

	while (here + sizeof(entry) <= end) {
		if (!copy_in(&entry, here, sizeof(entry), at, "memory map", why))
			return false;
		if (entry.size < sizeof(entry) - sizeof(entry.size))
			return refuse(why, "the boot loader's memory map has an entry of %u bytes",
				      entry.size);
		if (!memory_map_add(map, entry.base, entry.length, entry.type, why))
			return false;
		here += sizeof(entry.size) + (u64)entry.size;
	}
	return true;
}

static bool read_memory(struct memory_map *map, const struct multiboot_info *info, physical_at *at,
			struct refusal *why)
{
	if (info->flags & MULTIBOOT_INFO_MMAP)
		return read_mmap(map, info, at, why);
	if (!(info->flags & MULTIBOOT_INFO_MEMORY))
		return refuse(why, "the boot loader does not say how much memory there is");
	return memory_map_add(map, 0, (u64)info->mem_lower << KIB_SHIFT, MEMORY_RAM, why) &&
	       memory_map_add(map, ONE_MIB, (u64)info->mem_upper << KIB_SHIFT, MEMORY_RAM, why);
}

bool boot_info_read(struct boot_info *boot, u64 info_at, physical_at *at, struct refusal *why)
{
	struct multiboot_info info;

	boot->words = "";
	boot->module_count = 0;
	boot->map.count = 0;
	boot->texts_used = 0;
	if (!copy_in(&info, info_at, sizeof(info), at, "information block", why))
		return false;
	if ((info.flags & MULTIBOOT_INFO_CMDLINE) &&
	    !copy_text(boot, info.cmdline, at, &boot->words, why))
		return false;
	return read_modules(boot, &info, at, why) && read_memory(&boot->map, &info, at, why);
}
