/*
 * A machine of 16 MiB for the tests of code that reads and writes physical memory: RAM in an array,
 * with a memory map like a real one, and a boot loader's way of laying out images and modules.
 */
#ifndef TESTS_MACHINE_H
#define TESTS_MACHINE_H

#include "l1-hypervisor/boot_info.h"
#include "l1-hypervisor/leaf/types.h"

#define KIB          1024ULL
#define MIB          (1024ULL * KIB)
#define MACHINE_SIZE (16 * MIB)
#define MACHINE_LOW  0x9f000ULL

/* Clears the memory. */
void machine_reset(void);

/* Physical memory of the machine: NULL for what it does not have. */
void *machine_at(u64 address, u64 length);

/* Copies bytes into memory. */
void machine_put(u64 address, const void *bytes, u64 length);

/* A boot_info with the machine's memory map, no modules and no words. */
void machine_boot(struct boot_info *boot);

/* Puts bytes at `address` and appends them to the modules. */
void machine_add_module(struct boot_info *boot, u64 address, const void *bytes, u64 length,
			const char *text);

/* A repeatable pseudo-random number (xorshift). */
u64 machine_random(u64 *state);

#endif
