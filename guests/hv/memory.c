/*
 * Lazy second-level tables; see memory.h. The tables of the last level exist from the start and lie
 * one after the other, so that filling is one store. An entry goes from not present to present,
 * which needs no invalidation (SDM 3C "Invalidating Cached Translation Information" (29.4.3), APM 2
 * "Translation-Lookaside Buffer (TLB)" (5.5)).
 */
#include "guests/hv/memory.h"

#define PAGE_TABLE_COVERS (2ULL << 20)
#define UPPER_TABLES      3

static u8 pages[UPPER_TABLES + VM_MEMORY / PAGE_TABLE_COVERS][PAGE_SIZE]
	__attribute__((aligned(4096)));
static struct stage2 tables;
u64 *memory_leaves;

const struct stage2 *memory_create(void)
{
	stage2_init(&tables, pages, ARRAY_SIZE(pages));
	memory_leaves = stage2_entry(&tables, 0, PAGE_SHIFT);
	for (u64 at = PAGE_TABLE_COVERS; at < VM_MEMORY; at += PAGE_TABLE_COVERS)
		stage2_entry(&tables, at, PAGE_SHIFT);
	return &tables;
}
