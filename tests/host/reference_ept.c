/*
 * The reference EPT walk and the maker of random EPT tables.
 */
#include "tests/host/reference_ept.h"

static unsigned bit(u64 value, unsigned n)
{
	return (unsigned)(value >> n) & 1;
}

static u64 bits(u64 value, unsigned high, unsigned low)
{
	u64 result = 0;
	unsigned n;

	for (n = low; n <= high; n++)
		result |= (u64)bit(value, n) << (n - low);
	return result;
}

/* `level` 4 is a PML4E, 3 a PDPTE, 2 a PDE, 1 a PTE. */
static bool maps_a_page(u64 entry, int level)
{
	return level == 1 || (level < 4 && bit(entry, 7));
}

static bool reserved_bit_is_set(const struct reference_cpu *cpu, u64 entry, int level)
{
	if (bits(entry, 51, cpu->physical_bits))
		return true;
	switch (level) {
	case 4:
		return bits(entry, 7, 3) != 0;
	case 3:
		if (bit(entry, 7))
			return !cpu->pages_1g || bits(entry, 29, 12);
		return bits(entry, 6, 3) != 0;
	case 2:
		if (bit(entry, 7))
			return !cpu->pages_2m || bits(entry, 20, 12);
		return bits(entry, 6, 3) != 0;
	default:
		return false;
	}
}

static bool is_misconfigured(const struct reference_cpu *cpu, u64 entry, int level)
{
	u64 type = bits(entry, 5, 3);

	if (bits(entry, 2, 0) == 2 || bits(entry, 2, 0) == 6)
		return true;
	if (bits(entry, 2, 0) == 4 && !cpu->execute_only)
		return true;
	if (reserved_bit_is_set(cpu, entry, level))
		return true;
	return maps_a_page(entry, level) && (type == 2 || type == 3 || type == 7);
}

static u64 *entry_of_level(const struct reference_cpu *cpu, u64 table, u64 address, int level)
{
	unsigned low = (unsigned)(12 + 9 * (level - 1));

	return cpu->entry(cpu->ctx, table + 8 * bits(address, low + 8, low));
}

static void find_page(u64 entry, u64 address, int level, struct reference_walk *walk)
{
	unsigned low = (unsigned)(12 + 9 * (level - 1));

	walk->page_size = 1ULL << low;
	walk->physical = (bits(entry, 51, low) << low) | bits(address, low - 1, 0);
	walk->type = (unsigned)bits(entry, 5, 3);
	walk->ignore_pat = bit(entry, 6);
	walk->was_dirty = bit(entry, 9);
}

enum reference_result reference_ept_walk(const struct reference_cpu *cpu, u64 eptp, u64 address,
					 unsigned access, struct reference_walk *walk)
{
	u64 *used[5] = { 0 };
	u64 table = bits(eptp, 51, 12) << 12;
	int level = 4;
	int n;

	walk->r = walk->w = walk->x = 0;
	if (bits(address, 63, 48))
		return REFERENCE_VIOLATION;
	for (;;) {
		u64 *where = entry_of_level(cpu, table, address, level);
		u64 entry = where ? *where : ~0ULL;

		if (bits(entry, 2, 0) == 0) {
			walk->r = walk->w = walk->x = 0;
			return REFERENCE_VIOLATION;
		}
		if (is_misconfigured(cpu, entry, level))
			return REFERENCE_MISCONFIG;
		walk->r = bit(entry, 0) & (level == 4 ? 1 : walk->r);
		walk->w = bit(entry, 1) & (level == 4 ? 1 : walk->w);
		walk->x = bit(entry, 2) & (level == 4 ? 1 : walk->x);
		used[level] = where;
		if (maps_a_page(entry, level)) {
			find_page(entry, address, level, walk);
			break;
		}
		table = bits(entry, 51, 12) << 12;
		level--;
	}
	if ((bit(access, 0) && !walk->r) || (bit(access, 1) && !walk->w) ||
	    (bit(access, 2) && !walk->x))
		return REFERENCE_VIOLATION;
	if (bit(eptp, 6)) {
		for (n = 4; n >= level; n--)
			*used[n] |= 1ULL << 8;
		if (bit(access, 1))
			*used[level] |= 1ULL << 9;
	}
	return REFERENCE_OK;
}

u64 random_ept_entry(struct fake_random *random, unsigned physical_bits)
{
	static const unsigned types[] = { 0, 1, 4, 5, 6 };
	/* Bits that an entry may have without meaning: 9, 11, 63:52 and, where off, 8 and 10. */
	u64 entry = fake_random(random) & ((0xfffULL << 52) | (0xfULL << 8));
	u64 page = fake_random(random) & ((1ULL << physical_bits) - 1);

	if (fake_once_in(random, 40))
		return fake_random(random);
	if (fake_once_in(random, 30))
		return entry & ~7ULL;
	entry |= fake_once_in(random, 4) ? (u64[]){ 1, 3, 4, 5 }[fake_below(random, 4)] : 7;
	switch (fake_below(random, 10)) {
	case 0: /* a leaf if level 1 to 3 */
		return entry | 0x80 | types[fake_below(random, 5)] << 3 |
		       (fake_random(random) & 0x40) | (page & ~0x3fffffffULL);
	case 1: /* a leaf if level 1 or 2 */
		return entry | 0x80 | types[fake_below(random, 5)] << 3 |
		       (fake_random(random) & 0x40) | (page & ~0x1fffffULL);
	case 2: /* a leaf if level 1 */
		return entry | types[fake_below(random, 5)] << 3 | (page & ~0xfffULL);
	default:
		return entry | fake_page_address(fake_below(random, FAKE_PAGES));
	}
}

void fill_with_random_ept(struct fake_memory *memory, struct fake_random *random,
			  unsigned physical_bits)
{
	u32 page, i;

	for (page = 0; page < FAKE_PAGES; page++)
		for (i = 0; i < 512; i++)
			memory->page[page][i] = random_ept_entry(random, physical_bits);
}
