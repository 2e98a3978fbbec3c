/*
 * The machine's physical memory as sorted, non-overlapping regions, and the range that L1 takes out
 * of it. The types are those of E820 and Multiboot. Knows nothing of how a map reached us.
 */
#ifndef L1_MEMORY_MAP_H
#define L1_MEMORY_MAP_H

#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/refusal.h"

#define MEMORY_REGIONS_MAX 64
#define MEMORY_TOP         BIT(52) /* regions are clipped to the architecture's widest address */

enum memory_type_e820 {
	MEMORY_RAM = 1,
	MEMORY_RESERVED = 2,
	MEMORY_ACPI = 3,
	MEMORY_NVS = 4,
	MEMORY_BAD = 5,
};

struct memory_range {
	u64 start;
	u64 end; /* first byte after the range */
};

struct memory_region {
	struct memory_range range;
	u32 type;
};

struct memory_map {
	struct memory_region region[MEMORY_REGIONS_MAX];
	u32 count;
};

static inline bool memory_ranges_overlap(struct memory_range a, struct memory_range b)
{
	return a.start < b.end && b.start < a.end;
}

/* Adds a region, keeping the map sorted and free of overlaps. Where two regions overlap, the one
 * that is not RAM wins, and of two such the higher type. Empty regions and what lies above
 * MEMORY_TOP are dropped. Refuses when the map would need more than MEMORY_REGIONS_MAX regions. */
bool memory_map_add(struct memory_map *map, u64 start, u64 length, u32 type, struct refusal *why);

/* Takes `bytes` (a multiple of 2 MiB) for L1: the highest 2 MiB aligned range of RAM below 4 GiB
 * that touches none of `busy` (what must survive until L1 has moved: itself, the modules). In the
 * map it becomes reserved. Refuses when there is no such range. */
bool memory_map_take(struct memory_map *map, u64 bytes, const struct memory_range *busy,
		     u32 busy_count, struct memory_range *taken, struct refusal *why);

/* Finds the highest RAM range of `bytes` between `floor` and `ceiling` aligned to `align` (a power
 * of two) that touches none of `busy`. Returns false when there is none. */
bool memory_map_find(const struct memory_map *map, u64 bytes, u64 align, u64 floor, u64 ceiling,
		     const struct memory_range *busy, u32 busy_count, u64 *start);

/* Whether all of `range` is RAM. */
bool memory_map_is_ram(const struct memory_map *map, struct memory_range range);

/* Length of the RAM that starts at `start` without a gap; 0 when there is none. */
u64 memory_map_ram_from(const struct memory_map *map, u64 start);

/* The end of the highest RAM; 0 when there is none. */
u64 memory_map_top(const struct memory_map *map);

/* All RAM, in bytes. */
u64 memory_map_ram(const struct memory_map *map);

#endif
