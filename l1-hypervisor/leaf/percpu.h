/*
 * The head of every CPU's own structure, at GS:0: what the lower rooms need of it, which is only
 * the counters of the instructions that L1 executes for nesting. Counting one is one instruction;
 * a build with NESTBED_COUNT_ACCESSES=0 (make COUNT=0) has none, to state the cost of counting.
 */
#ifndef LEAF_PERCPU_H
#define LEAF_PERCPU_H

#include "l1-hypervisor/leaf/types.h"

#ifndef NESTBED_COUNT_ACCESSES
#define NESTBED_COUNT_ACCESSES 1
#endif

struct access_counters {
	u64 exits;
	u64 vmreads;
	u64 vmwrites;
	u64 vmptrlds;
	u64 invepts;
	u64 invvpids;
};

struct cpu_head {
	void *self;
	struct access_counters accesses;
};

/* Adds a constant to one of this CPU's counters. */
#define count_access(counter, n)                                                            \
	do {                                                                                \
		if (NESTBED_COUNT_ACCESSES)                                                 \
			__asm__ volatile("addq %0, %%gs:%c1"                                \
					 :                                                  \
					 : "i"(n),                                          \
					   "i"(offsetof(struct cpu_head, accesses.counter)) \
					 : "cc");                                           \
	} while (0)

#endif
