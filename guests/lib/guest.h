/*
 * What every guest is given and how it ends. A guest is `int main(const struct guest_args *)`; it
 * runs at CPL 0 in 64-bit mode with the first 4 GiB identity-mapped, interrupts off, serial port
 * ready; what main returns is its status.
 */
#ifndef GUESTS_LIB_GUEST_H
#define GUESTS_LIB_GUEST_H

#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/leaf/multiboot.h"

struct guest_args {
	const char *words; /* the command line; its first word may be the image's name */
	const struct multiboot_module *modules;
	u32 module_count;
	u64 free_start; /* page-aligned; from here to free_end nothing is used */
	u64 free_end;
};

int main(const struct guest_args *args);

/* The module whose string starts with the word `name`, or NULL. */
const struct multiboot_module *guest_module(const struct guest_args *args, const char *name);

/* What follows the first word of a module's string: the command line meant for the module. */
const char *guest_module_words(const struct multiboot_module *module);

/* Ends the platform, the serial line drained: status 0 is good. */
_Noreturn void guest_exit(u32 status);

/* Prints a line beginning with "# " that says why, and ends with status 1. */
_Noreturn __attribute__((format(printf, 1, 2))) void guest_fail(const char *format, ...);

#endif
