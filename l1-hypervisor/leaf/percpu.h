/*
 * The head of every CPU's own structure, at GS:0: what the lower rooms need of it, its virtual
 * CPU, and the counters of the instructions that L1 executes for nesting. Counting one is one
 * instruction; a build with NESTBED_COUNT_ACCESSES=0 (make COUNT=0) has none, to state the cost of
 * counting.
 */
#ifndef LEAF_PERCPU_H
#define LEAF_PERCPU_H

#include "l1-hypervisor/leaf/types.h"

#ifndef NESTBED_COUNT_ACCESSES
#define NESTBED_COUNT_ACCESSES 1
#endif

struct access_counters {
	/* of VMX */
	u64 vmreads;
	u64 vmwrites;
	u64 vmptrlds;
	u64 invepts;
	u64 invvpids;
	/* of SVM */
	u64 vmloads;
	u64 vmsaves;
	u64 map_words;   /* of permission maps, merged */
	u64 tlb_flushes; /* VMRUNs that flushed */
	u64 invlpgas;
};

struct vcpu;

struct cpu_head {
	void *self;
	struct vcpu *vcpu; /* the virtual CPU that is pinned here; NULL while L1 starts */
	/* Work to do before the next entry (PENDING_... of the core), which an NMI may add to. */
	volatile u32 pending;
	struct access_counters accesses;
};

static inline struct vcpu *this_vcpu(void)
{
	struct vcpu *vcpu;

	__asm__ volatile("mov %%gs:%c1, %0" : "=r"(vcpu) : "i"(offsetof(struct cpu_head, vcpu)));
	return vcpu;
}

static inline bool has_pending(void)
{
	bool pending;

	__asm__ volatile("cmpl $0, %%gs:%c1"
			 : "=@ccne"(pending)
			 : "i"(offsetof(struct cpu_head, pending)));
	return pending;
}

static inline bool is_pending(u32 bits)
{
	u32 pending;

	__asm__ volatile("mov %%gs:%c1, %0"
			 : "=r"(pending)
			 : "i"(offsetof(struct cpu_head, pending)));
	return pending & bits;
}

/* Each is one instruction, so that an NMI comes before it or after it. */
static inline void add_pending(u32 bits)
{
	__asm__ volatile("orl %0, %%gs:%c1"
			 :
			 : "ri"(bits), "i"(offsetof(struct cpu_head, pending))
			 : "cc", "memory");
}

static inline void remove_pending(u32 bits)
{
	__asm__ volatile("andl %0, %%gs:%c1"
			 :
			 : "ri"(~bits), "i"(offsetof(struct cpu_head, pending))
			 : "cc", "memory");
}

/* Adds to one of this CPU's counters. */
#define count_access(counter, n)                                                            \
	do {                                                                                \
		if (NESTBED_COUNT_ACCESSES)                                                 \
			__asm__ volatile("addq %0, %%gs:%c1"                                \
					 :                                                  \
					 : "re"((u64)(n)),                                  \
					   "i"(offsetof(struct cpu_head, accesses.counter)) \
					 : "cc");                                           \
	} while (0)

#endif
