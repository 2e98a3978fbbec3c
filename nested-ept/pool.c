/*
 * Page pool: a list of pages that were given back, and behind it the pages never used so far.
 */
#include "nested-ept/pool.h"
#include "l1-hypervisor/leaf/string.h"

#define PAGES_PER_PAGE ((u32)(PAGE_SIZE / sizeof(struct nept_pool_page)))

void nept_pool_init(struct nept_pool *pool, void *base, pa1_t base1, u32 count)
{
	u32 bookkeeping = (count + PAGES_PER_PAGE - 1) / PAGES_PER_PAGE;

	pool->base = base;
	pool->distance = (uintptr_t)base - base1.v;
	pool->pages = base;
	pool->count = count;
	pool->untouched = bookkeeping;
	pool->free_list = 0;
	pool->used = bookkeeping;
}

u64 *nept_pool_take(struct nept_pool *pool)
{
	struct nept_pool_page *info;
	u32 index;

	if (pool->free_list) {
		index = pool->free_list - 1;
		pool->free_list = pool->pages[index].next_free;
	} else if (pool->untouched < pool->count) {
		index = pool->untouched++;
		memset(pool->base + index * PAGE_SIZE, 0, PAGE_SIZE);
	} else {
		return NULL;
	}
	info = &pool->pages[index];
	info->low = PAGE_SIZE / sizeof(u64);
	info->high = 0;
	pool->used++;
	return (u64 *)(void *)(pool->base + index * PAGE_SIZE);
}

void nept_pool_give(struct nept_pool *pool, u64 *page)
{
	struct nept_pool_page *info = nept_pool_page_of(pool, page);

	info->next_free = pool->free_list;
	pool->free_list = (u32)(info - pool->pages) + 1;
	pool->used--;
	pool->given++;
}

u32 nept_pool_available(const struct nept_pool *pool)
{
	return pool->count - pool->used;
}
