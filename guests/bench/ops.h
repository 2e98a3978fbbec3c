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

/* Runs an operation once and returns the ticks it took. */
typedef u64 op_code(const struct operands *operands);

/* Whose instructions an operation measures. */
enum op_needs { OP_ANY, OP_VMX, OP_SVM };

struct op {
	const char *name;
	op_code *once;
	op_code *once_svm; /* the same on a CPU of AMD's; NULL when it does not differ */
	/* Once before the first run; NULL when there is nothing to do. Ends the guest on failure.
	 */
	void (*start)(struct operands *operands);
	/* Before every run, not measured; NULL when there is nothing to do. */
	void (*prepare)(struct operands *operands);
	/* Once after the last run; NULL when there is nothing to do. */
	void (*stop)(void);
	enum op_needs needs;
};

/* Ended by an entry without name. The first one measures nothing: the cost of measuring. */
extern const struct op bench_ops[];

const struct op *op_of_name(const char *name);

/* What this CPU lacks for an operation: "VMX", "SVM", or NULL. */
const char *op_lacks(const struct op *op);

/* The measured code of an operation on this CPU. */
op_code *op_measured(const struct op *op);

/* Gives the operations pages that nobody has touched; `touch` takes one for each run. */
void ops_give_pages(u64 start, u64 end);

#endif
