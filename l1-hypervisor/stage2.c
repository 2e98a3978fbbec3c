/*
 * ept12 and L1's view of L2's memory; see stage2.h.
 */
#include "l1-hypervisor/stage2.h"

#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/vcpu.h"

#define POOL_PAGES 128
#define GIB        (1ULL << 30)

/* Each CPU may take this part of the memory that is left for its merged tables. */
#define POOL_SHARE(cpus) (memory_pages_left() / (2 * (u64)(cpus)))
#define POOL_PAGES_MAX   2048

static struct {
	struct nept_table table;
	struct nept_pool pool;
	const struct memory_map *map;
	struct memory_range main; /* the largest region of RAM */
	u8 *absent;               /* the page that all of L1's range shows */
	u32 max_shift;
	u32 physical_bits;
	u32 lock;
	pa2_t lent;
	bool is_lent;
} stage2;

static void lock(void)
{
	while (__atomic_exchange_n(&stage2.lock, 1, __ATOMIC_ACQUIRE))
		__asm__ volatile("pause");
}

static void unlock(void)
{
	__atomic_store_n(&stage2.lock, 0, __ATOMIC_RELEASE);
}

static void map(u64 from, u64 to, enum memory_type type)
{
	struct nept_range range = { PA2(from), PA1(from), to - from, NEPT_RWX, type };

	if (from < to && !nept_map(&stage2.table, &range, stage2.max_shift))
		panic("no memory left for L2's page tables");
}

static void map_absent(u64 from, u64 to, u32 rights)
{
	struct nept_range range = { PA2(from), physical_of(stage2.absent), to - from, rights,
				    MEMTYPE_WB };

	if (!nept_map_scratch(&stage2.table, &range))
		panic("no memory left for L2's page tables");
}

void stage2_init(const struct nept_format *format, const struct memory_map *memory, u32 max_shift,
		 u32 physical_bits)
{
	struct memory_range own = memory_taken();
	void *pages = memory_pages(POOL_PAGES);
	u64 at = 0;

	stage2.map = memory;
	stage2.max_shift = max_shift;
	stage2.physical_bits = physical_bits;
	stage2.absent = memory_pages(1);
	memset(stage2.absent, 0xff, PAGE_SIZE);
	nept_pool_init(&stage2.pool, pages, physical_of(pages), POOL_PAGES);
	assert(nept_table_init(&stage2.table, format, &stage2.pool));
	for (u32 i = 0; i < memory->count; i++) {
		const struct memory_region *r = &memory->region[i];
		u64 start = ALIGN_UP(r->range.start, PAGE_SIZE);
		u64 end = ALIGN_DOWN(r->range.end, PAGE_SIZE);

		if (r->type != MEMORY_RAM || end <= start)
			continue;
		if (end - start > stage2.main.end - stage2.main.start)
			stage2.main = (struct memory_range){ start, end };
		map(at, start, MEMTYPE_UC);
		map(start, end, MEMTYPE_WB);
		at = end;
	}
	guest_memory.plain = physical(stage2.main.start);
	guest_memory.plain_from = stage2.main.start;
	guest_memory.plain_size = stage2.main.end - stage2.main.start;
	map(at, 4 * GIB, MEMTYPE_UC);
	map_absent(own.start, own.end, NEPT_R | NEPT_X);
}

struct nept_table *stage2_table(void)
{
	return &stage2.table;
}

u64 stage2_root_pointer(void)
{
	return stage2.table.format->root_pointer(nept_table_root(&stage2.table), false);
}

void stage2_protect(pa2_t page, bool on)
{
	struct nept_range range = { page, PA1(page.v), PAGE_SIZE, on ? NEPT_R | NEPT_X : NEPT_RWX,
				    MEMTYPE_UC };

	lock();
	if (!nept_map(&stage2.table, &range, PAGE_SHIFT))
		panic("no memory left for L2's page tables");
	unlock();
}

pa1_t stage2_absent_page(void)
{
	return physical_of(stage2.absent);
}

bool stage2_is_absent(pa2_t at)
{
	struct memory_range own = memory_taken();

	return at.v >= own.start && at.v < own.end;
}

/* The part of the GiB around an address that is not RAM, and so was not mapped at the start. */
static struct memory_range gap_around(u64 at)
{
	struct memory_range gap = { ALIGN_DOWN(at, GIB), ALIGN_DOWN(at, GIB) + GIB };

	for (u32 i = 0; i < stage2.map->count; i++) {
		const struct memory_region *r = &stage2.map->region[i];
		u64 start = ALIGN_UP(r->range.start, PAGE_SIZE);
		u64 end = ALIGN_DOWN(r->range.end, PAGE_SIZE);

		if (r->type != MEMORY_RAM || end <= start)
			continue;
		if (end <= at && end > gap.start)
			gap.start = end;
		if (start > at && start < gap.end)
			gap.end = start;
	}
	return gap;
}

enum answer {
	MAPPED, /* run on */
	LENT,   /* run on, and take it back before anything else at the next exit */
	BEYOND, /* no such physical address on this machine */
};

/* What is below 4 GiB is mapped since the start: whoever misses there has met a right that another
 * CPU is giving just now. */
static enum answer miss(pa2_t at, u32 rights)
{
	enum answer answer = MAPPED;

	if (at.v >> stage2.physical_bits)
		return BEYOND;
	lock();
	if (stage2_is_absent(at)) {
		u64 page = ALIGN_DOWN(at.v, PAGE_SIZE);

		assert(rights & NEPT_W);
		if (stage2.is_lent)
			map_absent(stage2.lent.v, stage2.lent.v + PAGE_SIZE, NEPT_R | NEPT_X);
		map_absent(page, page + PAGE_SIZE, NEPT_RWX);
		stage2.lent = PA2(page);
		stage2.is_lent = true;
		answer = LENT;
	} else if (at.v >= 4 * GIB) {
		struct memory_range gap = gap_around(at.v);

		map(gap.start, gap.end, MEMTYPE_UC);
	}
	unlock();
	return answer;
}

void stage2_serve(pa2_t at, u32 rights)
{
	switch (miss(at, rights)) {
	case LENT:
		add_pending(PENDING_ABSENT_PAGE | PENDING_ABSENT_PAGE_NEW);
		break;
	case MAPPED:
		break;
	case BEYOND:
		panic("L2 reached physical address 0x%lx, which this CPU cannot have", at.v);
	}
}

bool stage2_touch(pa2_t at, u32 rights)
{
	return !stage2_is_absent(at) && miss(at, rights) == MAPPED;
}

bool stage2_take_back(void)
{
	if (!is_pending(PENDING_ABSENT_PAGE))
		return false;
	if (is_pending(PENDING_ABSENT_PAGE_NEW)) {
		remove_pending(PENDING_ABSENT_PAGE_NEW);
		return false;
	}
	remove_pending(PENDING_ABSENT_PAGE);
	lock();
	if (stage2.is_lent) {
		map_absent(stage2.lent.v, stage2.lent.v + PAGE_SIZE, NEPT_R | NEPT_X);
		stage2.is_lent = false;
	}
	memset(stage2.absent, 0xff, PAGE_SIZE);
	unlock();
	return true;
}

void stage2_make_cache(struct nept_cache *cache, const struct nept_format *format,
		       const struct nept_features *features)
{
	struct nept_pool *pool = memory_pages(ALIGN_UP(sizeof(*pool), PAGE_SIZE) / PAGE_SIZE);
	struct nept_cache_config config = {
		.format = format,
		.memory = guest_memory,
		.lookup12 = { &stage2.table, nept_table_find },
		.pool = pool,
	};
	u64 count = POOL_SHARE(CPUS_MAX);
	void *pages;

	count = count < POOL_PAGES_MAX ? count : POOL_PAGES_MAX;
	pages = memory_pages(count);
	nept_pool_init(pool, pages, physical_of(pages), (u32)count);
	format->make_rules(features, &config.rules);
	if (!nept_cache_init(cache, &config))
		end_with_error("Nestbed's own memory is too small for nesting; give it more with "
			       "memory=MiB");
}

bool guest_memory_is_ram(pa2_t at, u64 length)
{
	/* Most of L2's memory is one region. */
	if (likely(at.v - stage2.main.start < stage2.main.end - stage2.main.start &&
		   length <= stage2.main.end - at.v))
		return true;
	return at.v + length >= at.v &&
	       memory_map_is_ram(stage2.map, (struct memory_range){ at.v, at.v + length });
}

bool guest_read(pa2_t at, void *to, u64 length)
{
	if (!guest_memory_is_ram(at, length))
		return false;
	memcpy(to, physical(at.v), length);
	return true;
}

bool guest_write(pa2_t at, const void *from, u64 length)
{
	if (!guest_memory_is_ram(at, length))
		return false;
	memcpy(physical(at.v), from, length);
	return true;
}

static u64 *entry_pointer(void *ctx, pa2_t at)
{
	(void)ctx;
	return guest_memory_is_ram(at, sizeof(u64)) ? physical(at.v) : NULL;
}

struct nept_memory guest_memory = { .entry = entry_pointer };
