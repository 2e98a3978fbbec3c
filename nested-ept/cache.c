/*
 * The merged tables of one CPU: found by L2's root pointer, reused least recently used first.
 */
#include "nested-ept/cache.h"

/* No root pointer has this key: the keys of every format have zeros in their low bits. */
#define NO_KEY (~0ULL)

bool nept_cache_init(struct nept_cache *cache, const struct nept_cache_config *config)
{
	u32 i;

	*cache = (struct nept_cache){ .config = *config };
	for (i = 0; i < NEPT_CACHE_SLOTS; i++) {
		struct nept_slot *slot = &cache->slots[i];

		slot->key = NO_KEY;
		slot->nept.source.format = config->format;
		slot->nept.source.rules = &cache->config.rules;
		slot->nept.source.memory = &cache->config.memory;
		slot->nept.lookup12 = &cache->config.lookup12;
		if (!nept_table_init(&slot->nept.table, config->format, config->pool))
			return false;
	}
	return true;
}

static struct nept_slot *least_recently_used(struct nept_cache *cache)
{
	struct nept_slot *oldest = &cache->slots[0];
	u32 i;

	for (i = 1; i < NEPT_CACHE_SLOTS; i++)
		if (cache->slots[i].last_use < oldest->last_use)
			oldest = &cache->slots[i];
	return oldest;
}

struct nept_slot *nept_cache_load(struct nept_cache *cache, u64 root_pointer23)
{
	const struct nept_format *format = cache->config.format;
	u64 key = root_pointer23 & format->key;
	struct nept_slot *slot;
	u32 i;

	for (i = 0; i < NEPT_CACHE_SLOTS; i++) {
		if (cache->slots[i].key != key)
			continue;
		cache->stats.hits++;
		cache->slots[i].last_use = ++cache->clock;
		return &cache->slots[i];
	}
	cache->stats.misses++;
	slot = least_recently_used(cache);
	if (slot->key != NO_KEY)
		cache->stats.evictions++;
	nept_table_clear(&slot->nept.table);
	slot->key = key;
	slot->nept.source.root = format->root23(root_pointer23);
	slot->last_use = ++cache->clock;
	return slot;
}

/* The table to empty for the sake of `slot`: the one not used for longest, itself when every other
 * one is empty already. */
static struct nept_slot *victim_for(struct nept_cache *cache, struct nept_slot *slot)
{
	struct nept_slot *victim = slot;
	u32 i;

	for (i = 0; i < NEPT_CACHE_SLOTS; i++) {
		struct nept_slot *other = &cache->slots[i];

		if (other == slot || nept_table_is_empty(&other->nept.table))
			continue;
		if (victim == slot || other->last_use < victim->last_use)
			victim = other;
	}
	return victim;
}

/* The pool is empty: other tables are dropped until there is room. */
static enum nept_result fill_by_eviction(struct nept_cache *cache, struct nept_slot *slot,
					 pa3_t pa3, u64 info, struct nept_fault *fault)
{
	struct nept_slot *victim = NULL;
	enum nept_result result = NEPT_NOMEM;

	while (result == NEPT_NOMEM && victim != slot) {
		victim = victim_for(cache, slot);
		nept_table_clear(&victim->nept.table);
		cache->stats.evictions++;
		result = nept_fill(&slot->nept, pa3, info, fault);
	}
	return result;
}

enum nept_result nept_cache_fill(struct nept_cache *cache, struct nept_slot *slot, pa3_t pa3,
				 u64 info, struct nept_fault *fault)
{
	enum nept_result result = nept_fill(&slot->nept, pa3, info, fault);

	if (unlikely(result == NEPT_NOMEM))
		result = fill_by_eviction(cache, slot, pa3, info, fault);
	cache->stats.results[result]++;
	return result;
}

static void drop(struct nept_cache *cache, struct nept_slot *slot)
{
	if (nept_table_is_empty(&slot->nept.table))
		return;
	nept_table_clear(&slot->nept.table);
	cache->stats.drops++;
}

void nept_cache_drop_context(struct nept_cache *cache, u64 root_pointer23)
{
	u64 space = cache->config.format->space;
	u32 i;

	for (i = 0; i < NEPT_CACHE_SLOTS; i++) {
		struct nept_slot *slot = &cache->slots[i];

		if (!((slot->key ^ root_pointer23) & space))
			drop(cache, slot);
	}
}

void nept_cache_drop_all(struct nept_cache *cache)
{
	u32 i;

	for (i = 0; i < NEPT_CACHE_SLOTS; i++)
		drop(cache, &cache->slots[i]);
}

void nept_cache_set_features(struct nept_cache *cache, const struct nept_features *features)
{
	cache->config.format->make_rules(features, &cache->config.rules);
	nept_cache_drop_all(cache);
}
