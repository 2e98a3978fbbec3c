/*
 * Loading a Multiboot 1 kernel, an ELF32 image, into the guest's memory, as guests are built here.
 */
#ifndef GUESTS_HV_IMAGE_H
#define GUESTS_HV_IMAGE_H

#include "guests/hv/vm.h"
#include "l1-hypervisor/leaf/multiboot.h"

struct image_start {
	u32 eip;  /* entry */
	u32 info; /* Multiboot information: what EBX holds there */
};

/*
 * Loads the image in `module` and writes a Multiboot information block with `words` as its command
 * line, no modules. The image is checked, whatever is in it. Returns NULL, or a sentence that says
 * what is wrong with it.
 */
const char *image_load(struct vm *vm, const struct multiboot_module *module, const char *words,
		       struct image_start *start);

#endif
