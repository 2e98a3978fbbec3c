/*
 * Random numbers that repeat with their seed.
 */
#ifndef GUESTS_HOSTILE_RANDOM_H
#define GUESTS_HOSTILE_RANDOM_H

#include "l1-hypervisor/leaf/types.h"

void random_seed(u64 seed);
u64 random_word(void);
/* Below `limit`, which is below 1 << 32. */
u64 random_below(u64 limit);

#endif
