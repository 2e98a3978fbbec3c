/*
 * The test machine's memory. It is allocated, so that the address sanitizer guards its ends.
 */
#include "tests/host/machine.h"

#include <stdlib.h>
#include <string.h>

static u8 *memory;

void machine_reset(void)
{
	if (!memory)
		memory = malloc(MACHINE_SIZE);
	if (!memory)
		abort();
	memset(memory, 0, MACHINE_SIZE);
}

void *machine_at(u64 address, u64 length)
{
	if (address > MACHINE_SIZE || length > MACHINE_SIZE - address)
		return NULL;
	return memory + address;
}

void machine_put(u64 address, const void *bytes, u64 length)
{
	memcpy(machine_at(address, length), bytes, length);
}

void machine_boot(struct boot_info *boot)
{
	struct refusal why;

	memset(boot, 0, sizeof(*boot));
	boot->words = "";
	if (!memory_map_add(&boot->map, 0, MACHINE_LOW, MEMORY_RAM, &why) ||
	    !memory_map_add(&boot->map, MACHINE_LOW, MIB - MACHINE_LOW, MEMORY_RESERVED, &why) ||
	    !memory_map_add(&boot->map, MIB, MACHINE_SIZE - MIB, MEMORY_RAM, &why))
		abort();
}

void machine_add_module(struct boot_info *boot, u64 address, const void *bytes, u64 length,
			const char *text)
{
	machine_put(address, bytes, length);
	boot->module[boot->module_count++] =
		(struct boot_module){ address, address + length, text };
}

u64 machine_random(u64 *state)
{
	u64 x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}
