/*
 * The reset ROM for Bochs: what firmware and boot loader would do, for a raw disk that the nestbed
 * tool writes. Owns the map of low memory below and the format of the disk's header, which
 * scripts/nestbed_lib/bootdisk.py writes. Refuses a disk without that header, with one sentence.
 */
#ifndef BOOT_ROM_ROM_H
#define BOOT_ROM_ROM_H

/* Low memory while the ROM runs; its variables (.bss) start at 0x2000. */
#define ROM_STACK_TOP          0x7000
#define ROM_AP_FEATURE_CONTROL 0x7000 /* u32: what each AP writes to IA32_FEATURE_CONTROL, or 0 */
#define ROM_AP_COUNT           0x7004 /* u32: APs that have run */
#define ROM_AP_PAGE            0x8000
#define ROM_INFO               0x9000 /* Multiboot information, memory map, module list */
#define ROM_HEADER             0x10000
#define ROM_BASE_MEMORY_END    0x9fc00 /* the last KiB below 640 KiB holds the MP table */

#define MULTIBOOT_LOADER_MAGIC     0x2badb002
#define MSR_NUMBER_FEATURE_CONTROL 0x3a

#ifndef __ASSEMBLER__

#include "l1-hypervisor/leaf/types.h"

#define SECTOR_SIZE      512U
#define DISK_MAGIC       "NBDISK01"
#define DISK_HEADER_SIZE 8192U
#define DISK_MODULES_MAX 32U

/* A file on the disk. `text` is the offset in the header of its command line, ended by a zero. */
struct disk_file {
	u32 sector;
	u32 size;
	u32 text;
};

/* The first DISK_HEADER_SIZE bytes of the disk; the texts follow the structure. */
struct disk_header {
	char magic[8];
	u32 memory_mib;
	u32 cpus;
	u32 modules;
	struct disk_file kernel;
	struct disk_file module[DISK_MODULES_MAX];
};

/* reset.S */
__attribute__((noreturn)) void enter_kernel(u32 entry, u32 info);
extern const u8 ap_code[], ap_code_end[];

/* Says what is wrong on port 0xe9, as an object of L1's log, and ends the emulator. */
__attribute__((noreturn)) void rom_fail(const char *text);

/* disk.c: reads whole sectors of the first ATA disk to `to`; fails by rom_fail. */
void disk_read(u32 sector, u32 count, void *to);

/* kernel.c: places the kernel and returns its entry point; *end is the first free byte above it. */
u32 kernel_load(const struct disk_file *file, u32 memory_top, u32 *end);

/* info.c: loads the modules from `free` on and describes everything at ROM_INFO. */
void info_build(const struct disk_header *disk, u32 free, u32 memory_top);

/* machine.c: interrupt controllers masked, VMX enabled on every CPU; fails when a CPU is missing.
 */
void machine_init(u32 cpus);

/* mptable.c: the Intel MultiProcessor table for `cpus` CPUs, at ROM_BASE_MEMORY_END. */
void mptable_build(u32 cpus);

#endif
#endif
