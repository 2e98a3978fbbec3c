/*
 * The reset ROM's way from C entry to the kernel's first instruction. Assumes that the tool wrote
 * the disk; everything on it is still checked, since a corrupt image must give a clear sentence.
 */
#include "l1-hypervisor/boot/rom/rom.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/string.h"

#define MIB            0x100000U
#define MEMORY_MIN_MIB 8U
#define MEMORY_MAX_MIB 3072U /* where the hole for devices begins */

void rom_main(void);

static void put(const char *text)
{
	for (; *text; text++)
		outb(NB_PORT_LOG, (u8)*text);
}

void rom_fail(const char *text)
{
	put("{\"ev\":\"error\",\"depth\":0,\"text\":\"");
	put(text);
	put("\"}\n");
	for (const char *c = "Shutdown"; *c; c++)
		outb(NB_PORT_BOCHS_EXIT, (u8)*c);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static const struct disk_header *read_header(void)
{
	struct disk_header *disk = (void *)ROM_HEADER;
	char *texts_end = (char *)disk + DISK_HEADER_SIZE - 1;

	disk_read(0, DISK_HEADER_SIZE / SECTOR_SIZE, disk);
	*texts_end = '\0';
	if (memcmp(disk->magic, DISK_MAGIC, sizeof(disk->magic)))
		rom_fail("The boot disk has no Nestbed header: let the nestbed tool write it.");
	if (disk->memory_mib < MEMORY_MIN_MIB || disk->memory_mib > MEMORY_MAX_MIB)
		rom_fail("The reset ROM handles 8 to 3072 MiB of memory.");
	if (disk->modules > DISK_MODULES_MAX)
		rom_fail("The boot disk names more than 32 modules.");
	return disk;
}

void rom_main(void)
{
	const struct disk_header *disk = read_header();
	u32 memory_top = disk->memory_mib * MIB;
	u32 free;
	u32 entry;

	machine_init(disk->cpus);
	mptable_build(disk->cpus);
	entry = kernel_load(&disk->kernel, memory_top, &free);
	info_build(disk, free, memory_top);
	enter_kernel(entry, ROM_INFO);
}
