/*
 * The operations that the bench measures. Each is one asm block: RDTSC, the operation, RDTSC, with
 * nothing else between but the two moves that keep the first time stamp.
 */
#ifndef GUESTS_BENCH_OPS_H
#define GUESTS_BENCH_OPS_H

#include "guests/lib/guest.h"

/* In RCX, R10 and R11 when an operation starts. */
struct operands {
	u64 rcx, r10, r11;
};

struct op {
	const char *name;
	/* Runs the operation once and returns the ticks it took. */
	u64 (*once)(const struct operands *operands);
	/* Once before the first run; NULL when there is nothing to do. Ends the guest on failure.
	 */
	void (*start)(struct operands *operands);
	/* Before every run, not measured; NULL when there is nothing to do. */
	void (*prepare)(struct operands *operands);
	/* Once after the last run; NULL when there is nothing to do. */
	void (*stop)(void);
	bool needs_vmx; /* a VMX instruction: level 2 only */
};

/* Ended by an entry without name. The first one measures nothing: the cost of measuring. */
extern const struct op bench_ops[];

const struct op *op_of_name(const char *name);

/* Whether an operation can be run at this level on this CPU. */
bool op_is_possible(const struct op *op, u32 level);

/* Gives the operations pages that nobody has touched; `touch` takes one for each run. */
void ops_give_pages(u64 start, u64 end);

#endif
