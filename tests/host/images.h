/*
 * Small L2 images of every kind that the loader knows, made in memory.
 */
#ifndef TESTS_IMAGES_H
#define TESTS_IMAGES_H

#include "l1-hypervisor/leaf/types.h"

#define IMAGE_MAX   0x6000
#define IMAGE_TEXT  0x1000 /* bytes of its text segment */
#define IMAGE_CLEAR 0x3000 /* zeros behind its data segment */

struct image {
	u32 length;
	u8 bytes[IMAGE_MAX];
};

/* ELF32 with a Multiboot header: text at `to`, data and zeros behind it, entry at `to` + 0x20. */
void image_multiboot_elf(struct image *image, u32 to, u32 flags);

/* A raw image with the addresses in its Multiboot header, which lies at byte 0x100. */
void image_multiboot_raw(struct image *image, u32 to);

/* ELF64 as Linux's vmlinux is: virtual addresses in the top of the address space, text at physical
 * `to`, entry physical at `to`. */
void image_linux_elf(struct image *image, u64 to);

/* A bzImage of boot protocol 2.15 that prefers `to` and wants `init_size` bytes there. */
void image_linux_bz(struct image *image, u64 to, u32 init_size);

#endif
