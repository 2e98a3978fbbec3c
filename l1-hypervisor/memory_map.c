/*
 * Keeps the memory map sorted and disjoint, and finds room in it. Pure arithmetic on ranges: it
 * never touches the memory it speaks of.
 */
#include "l1-hypervisor/memory_map.h"

#define TWO_MIB   BIT(21)
#define FOUR_GIB  BIT(32)
#define MIB_SHIFT 20

static u64 lower(u64 a, u64 b)
{
	return a < b ? a : b;
}

static u64 higher(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* Type of memory that two regions claim. RAM is the lowest type, so everything else beats it; a
 * type 0, which no specification knows, must not beat RAM by being lower. */
static u32 stronger(u32 a, u32 b)
{
	return a > b ? a : b;
}

/* Appends [start, end) after all other regions, joined to the last one when it continues it. */
static bool append(struct memory_map *map, u64 start, u64 end, u32 type)
{
	struct memory_region *last = map->count ? &map->region[map->count - 1] : NULL;

	if (start >= end)
		return true;
	if (last && last->range.end == start && last->type == type) {
		last->range.end = end;
		return true;
	}
	if (map->count == MEMORY_REGIONS_MAX)
		return false;
	map->region[map->count++] = (struct memory_region){ { start, end }, type };
	return true;
}

bool memory_map_add(struct memory_map *map, u64 start, u64 length, u32 type, struct refusal *why)
{
	u64 end = length > MEMORY_TOP - lower(start, MEMORY_TOP) ? MEMORY_TOP : start + length;
	u64 done = start; /* the new region is settled up to here */
	struct memory_map next = { .count = 0 };
	bool fits = true;

	if (type < MEMORY_RAM)
		type = MEMORY_RESERVED;
	if (start >= end)
		return true;
	for (u32 i = 0; i < map->count; i++) {
		struct memory_range old = map->region[i].range;
		u32 old_type = map->region[i].type;

		fits = fits && append(&next, done, lower(end, old.start), type);
		fits = fits && append(&next, old.start, lower(old.end, start), old_type);
		fits = fits && append(&next, higher(old.start, start), lower(old.end, end),
				      stronger(old_type, type));
		fits = fits && append(&next, higher(old.start, end), old.end, old_type);
		done = higher(done, lower(end, old.end));
	}
	if (!fits || !append(&next, done, end, type))
		return refuse(why, "the memory map has more than %d regions, more than L1 can hold",
			      MEMORY_REGIONS_MAX);
	*map = next;
	return true;
}

/* The highest start of `bytes` below `top` within `room` that touches none of `busy`. */
static bool find_below(struct memory_range room, u64 bytes, u64 align,
		       const struct memory_range *busy, u32 busy_count, u64 *start)
{
	u64 top = room.end;

	while (top >= bytes) {
		u64 at = ALIGN_DOWN(top - bytes, align);
		u32 i = 0;

		if (at < room.start)
			return false;
		while (i < busy_count &&
		       !memory_ranges_overlap((struct memory_range){ at, at + bytes }, busy[i]))
			i++;
		if (i == busy_count) {
			*start = at;
			return true;
		}
		top = busy[i].start;
	}
	return false;
}

bool memory_map_find(const struct memory_map *map, u64 bytes, u64 align, u64 floor, u64 ceiling,
		     const struct memory_range *busy, u32 busy_count, u64 *start)
{
	for (u32 i = map->count; i-- > 0;) {
		struct memory_range room = map->region[i].range;

		room.start = higher(room.start, floor);
		room.end = lower(room.end, ceiling);
		if (map->region[i].type == MEMORY_RAM && room.start < room.end &&
		    find_below(room, bytes, align, busy, busy_count, start))
			return true;
	}
	return false;
}

bool memory_map_take(struct memory_map *map, u64 bytes, const struct memory_range *busy,
		     u32 busy_count, struct memory_range *taken, struct refusal *why)
{
	u64 start;

	if (!memory_map_find(map, bytes, TWO_MIB, TWO_MIB, FOUR_GIB, busy, busy_count, &start))
		return refuse(why,
			      "too little memory: L1 needs %llu MiB of free RAM in one piece below "
			      "4 GiB and the machine has %llu MiB in all; give it more, or L1 less "
			      "by memory=MiB",
			      (unsigned long long)(bytes >> MIB_SHIFT),
			      (unsigned long long)(memory_map_ram(map) >> MIB_SHIFT));
	*taken = (struct memory_range){ start, start + bytes };
	return memory_map_add(map, start, bytes, MEMORY_RESERVED, why);
}

u64 memory_map_ram_from(const struct memory_map *map, u64 start)
{
	u64 end = start;

	for (u32 i = 0; i < map->count; i++) {
		const struct memory_region *r = &map->region[i];

		if (r->type == MEMORY_RAM && r->range.start <= end && r->range.end > end)
			end = r->range.end;
	}
	return end - start;
}

bool memory_map_is_ram(const struct memory_map *map, struct memory_range range)
{
	return range.start <= range.end &&
	       memory_map_ram_from(map, range.start) >= range.end - range.start;
}

u64 memory_map_ram(const struct memory_map *map)
{
	u64 sum = 0;

	for (u32 i = 0; i < map->count; i++) {
		if (map->region[i].type == MEMORY_RAM)
			sum += map->region[i].range.end - map->region[i].range.start;
	}
	return sum;
}

u64 memory_map_top(const struct memory_map *map)
{
	u64 top = 0;

	for (u32 i = 0; i < map->count; i++) {
		if (map->region[i].type == MEMORY_RAM)
			top = map->region[i].range.end;
	}
	return top;
}
