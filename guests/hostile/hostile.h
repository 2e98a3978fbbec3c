/*
 * Guests that misbehave: each test either ends the guest in a bad way, or goes on and says so. None
 * of them may harm L1, nor what was printed before.
 */
#ifndef GUESTS_HOSTILE_HOSTILE_H
#define GUESTS_HOSTILE_HOSTILE_H

#include "guests/lib/guest.h"

/* What the words say. */
struct hostile {
	u64 seed;   /* of the random numbers */
	u64 count;  /* of random instructions */
	u64 theirs; /* an address behind our memory: L1's, as its own end is nobody's */
};

/* Each executes random instructions of its extension with random operands. */
int hostile_vmx_fuzz(const struct hostile *h);
int hostile_svm_fuzz(const struct hostile *h);

/* Each gives its extension pointers to memory that is not ours. */
int hostile_vmx_point(const struct hostile *h);
int hostile_svm_point(const struct hostile *h);

/* Does what would end the platform itself if L1 let it through. */
int hostile_svm_deadly(const struct hostile *h);

/* Intercepts a triple fault of its inner guest. */
int hostile_svm_shutdown(const struct hostile *h);

/* These do not return. */
int hostile_triple_fault(const struct hostile *h);
int hostile_spin(const struct hostile *h);
int hostile_vmx_spin_level3(const struct hostile *h);
int hostile_svm_spin_level3(const struct hostile *h);
int hostile_svm_shutdown_level3(const struct hostile *h);
int hostile_abort(const struct hostile *h);

#endif
