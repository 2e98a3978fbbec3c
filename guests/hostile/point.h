/*
 * Pointers of an extension to memory that is not ours: which places there are, and a test for each
 * pointer to each. What a pointer is for is the extension's.
 */
#ifndef GUESTS_HOSTILE_POINT_H
#define GUESTS_HOSTILE_POINT_H

#include "guests/hostile/hostile.h"

struct pointer {
	const char *name;
	/* Sets it and has it used; returns whether nothing was found there nor broken. */
	bool (*is_harmless)(u64 at);
};

/* What the test `point` of an extension does; returns the guest's status. */
int point_run(const struct pointer *pointers, size_t count, const struct hostile *h);

#endif
