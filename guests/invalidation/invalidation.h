/*
 * The invalidation guest's parts: what is common, and what VMX and SVM have of their own.
 */
#ifndef GUESTS_INVALIDATION_INVALIDATION_H
#define GUESTS_INVALIDATION_INVALIDATION_H

#include "l1-hypervisor/leaf/types.h"

#define PAGE_2M BIT(21)
#define L3_PAGE BIT(30) /* where L3 reads */
#define ROOTS   12      /* of second-level tables: more than L1 keeps */

/* Two pages of memory, which hold 0 and 1, and one of which L3 finds. */
extern u64 *pages[2];

/* What is done once a round. */
struct op {
	const char *name;
	void (*round)(u32 round);
	bool untagged; /* L3 runs without VPID */
	bool remaps;   /* L3 finds the other page in each round */
};

struct extension {
	const struct op *ops; /* ended by one without a name */
	const char *tagged;   /* the way in which L3's translations have a tag of their own */
	void (*init)(void);
	/* Makes an L3 that finds page 0. */
	void (*start)(const struct op *op);
	/* Lets L3 read, and checks what it found. */
	void (*run_l3)(u64 expected);
};

extern const struct extension vmx_extension, svm_extension;

#endif
