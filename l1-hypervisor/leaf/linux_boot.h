/*
 * The parts of Linux's boot_params ("The Linux/x86 Boot Protocol", "The Real-Mode Kernel Header"
 * and "Zero Page") that a 64-bit boot loader reads or fills. Layouts only.
 */
#ifndef LEAF_LINUX_BOOT_H
#define LEAF_LINUX_BOOT_H

#include "l1-hypervisor/leaf/types.h"

#define LINUX_BOOT_FLAG      0xaa55U
#define LINUX_HEADER_MAGIC   0x53726448U /* "HdrS" */
#define LINUX_VERSION_64_BIT 0x20cU      /* the first with xloadflags */
#define LINUX_XLF_KERNEL_64  BIT(0)
#define LINUX_LOADED_HIGH    BIT(0)
#define LINUX_LOADER_OTHER   0xffU /* "type_of_loader" of a loader without a number of its own */
#define LINUX_SECTOR         512U
#define LINUX_ENTRY_64       0x200U /* from the start of the protected-mode kernel */
#define LINUX_E820_MAX       128U

struct linux_setup_header {
	u8 setup_sects;
	u16 root_flags;
	u32 syssize;
	u16 ram_size;
	u16 vid_mode;
	u16 root_dev;
	u16 boot_flag;
	u8 jump;
	u8 jump_length; /* the header ends this many bytes after this field */
	u32 header;
	u16 version;
	u32 realmode_switch;
	u16 start_sys_seg;
	u16 kernel_version;
	u8 type_of_loader;
	u8 loadflags;
	u16 setup_move_size;
	u32 code32_start;
	u32 ramdisk_image;
	u32 ramdisk_size;
	u32 bootsect_kludge;
	u16 heap_end_ptr;
	u8 ext_loader_ver;
	u8 ext_loader_type;
	u32 cmd_line_ptr;
	u32 initrd_addr_max;
	u32 kernel_alignment;
	u8 relocatable_kernel;
	u8 min_alignment;
	u16 xloadflags;
	u32 cmdline_size;
	u32 hardware_subarch;
	u64 hardware_subarch_data;
	u32 payload_offset;
	u32 payload_length;
	u64 setup_data;
	u64 pref_address;
	u32 init_size;
	u32 handover_offset;
	u32 kernel_info_offset;
} __attribute__((packed));

struct linux_e820 {
	u64 base;
	u64 length;
	u32 type;
} __attribute__((packed));

struct linux_boot_params {
	u8 before_e820_count[0x1e8];
	u8 e820_count;
	u8 before_setup[0x1f1 - 0x1e9];
	struct linux_setup_header setup;
	u8 before_e820[0x2d0 - 0x1f1 - sizeof(struct linux_setup_header)];
	struct linux_e820 e820[LINUX_E820_MAX];
	u8 rest[0x1000 - 0x2d0 - LINUX_E820_MAX * sizeof(struct linux_e820)];
} __attribute__((packed));

_Static_assert(offsetof(struct linux_setup_header, header) == 0x202 - 0x1f1, "Boot Protocol");
_Static_assert(offsetof(struct linux_setup_header, init_size) == 0x260 - 0x1f1, "Boot Protocol");
_Static_assert(sizeof(struct linux_boot_params) == 4096, "Zero Page");

#endif
