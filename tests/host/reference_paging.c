/*
 * The reference walk of a guest's page tables: first the entries, then the rules one by one.
 */
#include "tests/host/reference_paging.h"

enum paging_mode { BITS_32, PAE, LEVELS_4, LEVELS_5 };

/* What the entries of a walk say together. */
struct found {
	bool present, reserved;
	bool user, writable, execute_disable;
	u64 leaf, physical;
	u64 used[5]; /* guest-physical addresses of the entries, the leaf last */
	int count;
};

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

static enum paging_mode mode_of(const struct gpt_context *cpu)
{
	if (!bit(cpu->cr4, 5))
		return BITS_32;
	if (!bit(cpu->efer, 10))
		return PAE;
	return bit(cpu->cr4, 12) ? LEVELS_5 : LEVELS_4;
}

static u64 read_64(struct fake_memory *memory, u64 at)
{
	u64 *entry = fake_entry(memory, at);

	return entry ? *entry : ~0ULL;
}

static u64 read_32(struct fake_memory *memory, u64 at)
{
	return bits(read_64(memory, at & ~7ULL), at & 4 ? 63 : 31, at & 4 ? 32 : 0);
}

static void combine(struct found *found, u64 entry, u64 at)
{
	found->user = found->user && bit(entry, 2);
	found->writable = found->writable && bit(entry, 1);
	found->execute_disable = found->execute_disable || bit(entry, 63);
	found->leaf = entry;
	found->used[found->count++] = at;
}

static void walk_32_bit(const struct gpt_context *cpu, struct fake_memory *memory, u64 linear,
			struct found *found)
{
	u64 at = (bits(cpu->cr3, 31, 12) << 12) + 4 * bits(linear, 31, 22);
	u64 pde = read_32(memory, at);
	u64 pte;

	if (!bit(pde, 0))
		return;
	if (bit(cpu->cr4, 4) && bit(pde, 7)) {
		unsigned m = cpu->physical_bits < 40 ? cpu->physical_bits : 40;

		found->present = true;
		found->reserved = bits(pde, 21, m - 19) != 0;
		found->physical = bits(linear, 21, 0) | bits(pde, 31, 22) << 22 |
				  bits(pde, 20, 13) << 32;
		combine(found, pde, at);
		return;
	}
	combine(found, pde, at);
	at = (bits(pde, 31, 12) << 12) + 4 * bits(linear, 21, 12);
	pte = read_32(memory, at);
	if (!bit(pte, 0))
		return;
	found->present = true;
	found->physical = bits(linear, 11, 0) | bits(pte, 31, 12) << 12;
	combine(found, pte, at);
}

static bool has_reserved_bit(const struct gpt_context *cpu, enum paging_mode mode, u64 entry,
			     int level)
{
	if (cpu->physical_bits < 52 && bits(entry, 51, cpu->physical_bits))
		return true;
	if (mode == PAE && bits(entry, 62, 52))
		return true;
	if (!bit(cpu->efer, 11) && bit(entry, 63))
		return true;
	if (level >= 4)
		return bit(entry, 7);
	if (level == 3 && bit(entry, 7))
		return !cpu->has_1g_pages || bits(entry, 29, 13);
	return level == 2 && bit(entry, 7) && bits(entry, 20, 13);
}

/* The levels whose entries have 8 bytes, rights and flags. */
static void walk_64_bit(const struct gpt_context *cpu, struct fake_memory *memory, u64 linear,
			u64 table, int level, struct found *found)
{
	for (;; level--) {
		unsigned low = (unsigned)(12 + 9 * (level - 1));
		u64 at = table + 8 * bits(linear, low + 8, low);
		u64 entry = read_64(memory, at);

		if (!bit(entry, 0))
			return;
		if (has_reserved_bit(cpu, mode_of(cpu), entry, level)) {
			found->present = found->reserved = true;
			return;
		}
		combine(found, entry, at);
		if (level == 1 || bit(entry, 7)) {
			found->present = true;
			found->physical = bits(linear, low - 1, 0) | bits(entry, 51, low) << low;
			return;
		}
		table = bits(entry, 51, 12) << 12;
	}
}

static void walk_pae(const struct gpt_context *cpu, struct fake_memory *memory, u64 linear,
		     struct found *found)
{
	u64 index = bits(linear, 31, 30);
	u64 pdpte = cpu->pdptes ? cpu->pdptes[index]
				: read_64(memory, (bits(cpu->cr3, 31, 5) << 5) + 8 * index);

	if (!bit(pdpte, 0))
		return;
	/* QUIRK(qemu-7.2): bit 5 of one in memory may be set, as if it were an accessed flag. */
	if (bits(pdpte, 2, 1) || bits(pdpte, 8, cpu->pdptes ? 5 : 6) ||
	    bits(pdpte, 63, cpu->physical_bits)) {
		found->present = found->reserved = true;
		return;
	}
	walk_64_bit(cpu, memory, linear, bits(pdpte, 51, 12) << 12, 2, found);
}

/* "For all instruction fetches, data reads and writes": 4.6.1, in its own order. */
static bool is_allowed(const struct gpt_context *cpu, const struct found *found, bool user_mode,
		       u32 access)
{
	bool write = access & GPT_WRITE;
	bool fetch = access & GPT_FETCH;
	bool wp = bit(cpu->cr0, 16);
	bool smep = bit(cpu->cr4, 20);
	bool smap = bit(cpu->cr4, 21);
	bool ac = bit(cpu->rflags, 18) && !(access & GPT_IMPLICIT);

	if (fetch && found->execute_disable)
		return false;
	if (!user_mode && !found->user) /* supervisor-mode access to supervisor-mode address */
		return fetch || !write || !wp || found->writable;
	if (!user_mode) { /* ... to a user-mode address */
		if (fetch)
			return !smep;
		if (smap && !ac)
			return false;
		return !write || !wp || found->writable;
	}
	if (!found->user)
		return false;
	return !write || found->writable;
}

/* 4.6.2: whether the protection key forbids a data access. */
static bool key_forbids(const struct gpt_context *cpu, const struct found *found, bool user_mode,
			u32 access)
{
	u32 rights = found->user ? cpu->pkru : cpu->pkrs;
	bool enabled = found->user ? bit(cpu->cr4, 22) : bit(cpu->cr4, 24);
	unsigned key = (unsigned)bits(found->leaf, 62, 59);
	bool access_disable = bit(rights, 2 * key);
	bool write_disable = bit(rights, 2 * key + 1);

	if (!enabled || mode_of(cpu) < LEVELS_4 || (access & GPT_FETCH))
		return false;
	if (access_disable)
		return true;
	return write_disable && (access & GPT_WRITE) && (user_mode || bit(cpu->cr0, 16));
}

static void set_flag(const struct gpt_context *cpu, struct fake_memory *memory, u64 at,
		     unsigned flag)
{
	u64 *entry = fake_entry(memory, at & ~7ULL);

	if (mode_of(cpu) == BITS_32 && (at & 4))
		flag += 32;
	if (entry) /* where there is nothing, every bit reads as set */
		*entry |= 1ULL << flag;
}

static u32 error_code(const struct gpt_context *cpu, const struct found *found, bool user_mode,
		      u32 access, bool by_key)
{
	u32 code = found->present ? 1 : 0;

	if (access & GPT_WRITE)
		code |= 1 << 1;
	if (user_mode)
		code |= 1 << 2;
	if (found->reserved)
		code |= 1 << 3;
	if ((access & GPT_FETCH) && (bit(cpu->cr4, 20) || (bit(cpu->cr4, 5) && bit(cpu->efer, 11))))
		code |= 1 << 4;
	if (by_key)
		code |= 1 << 5;
	return code;
}

struct reference_paging reference_page_walk(const struct gpt_context *cpu,
					    struct fake_memory *memory, u64 linear, u32 access)
{
	struct found found = { .user = true, .writable = true };
	bool user_mode = (access & GPT_USER) && !(access & GPT_IMPLICIT);
	bool by_key = false;
	int n;

	if (!bit(cpu->cr0, 31))
		return (struct reference_paging){ .ok = true, .physical = bits(linear, 31, 0) };
	switch (mode_of(cpu)) {
	case BITS_32:
		walk_32_bit(cpu, memory, linear, &found);
		break;
	case PAE:
		walk_pae(cpu, memory, linear, &found);
		break;
	case LEVELS_4:
	case LEVELS_5:
		walk_64_bit(cpu, memory, linear, bits(cpu->cr3, 51, 12) << 12,
			    mode_of(cpu) == LEVELS_5 ? 5 : 4, &found);
		break;
	}
	if (found.present && !found.reserved)
		by_key = key_forbids(cpu, &found, user_mode, access);
	if (!found.present || found.reserved || by_key ||
	    !is_allowed(cpu, &found, user_mode, access))
		return (struct reference_paging){ .error_code = error_code(cpu, &found, user_mode,
									   access, by_key) };
	for (n = 0; n < found.count; n++)
		set_flag(cpu, memory, found.used[n], 5);
	if (access & GPT_WRITE)
		set_flag(cpu, memory, found.used[found.count - 1], 6);
	return (struct reference_paging){ .ok = true, .physical = found.physical };
}
