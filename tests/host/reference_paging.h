/*
 * Paging as the manual tells it (SDM 3A, chapter "Paging"), mode by mode, with plain bit numbers:
 * what gpt_walk() is compared with. Shares only the description of the processor's state with it.
 */
#ifndef TESTS_REFERENCE_PAGING_H
#define TESTS_REFERENCE_PAGING_H

#include "nested-ept/gpt_walk.h"
#include "tests/host/fake_memory.h"

struct reference_paging {
	bool ok;
	u64 physical;
	u32 error_code;
};

/* Translates, and sets accessed and dirty flags in `memory`. Access as for gpt_walk(). */
struct reference_paging reference_page_walk(const struct gpt_context *cpu,
					    struct fake_memory *memory, u64 linear, u32 access);

#endif
