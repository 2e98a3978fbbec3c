/*
 * Random instructions with random operands, of whichever extension: the loop around them, the
 * operands, and what must be as it was behind them. The instructions are the extension's.
 */
#ifndef GUESTS_HOSTILE_FUZZ_H
#define GUESTS_HOSTILE_FUZZ_H

#include "guests/hostile/hostile.h"

#define FUZZ_PAGES 4

/* What an extension brings. */
struct fuzz {
	const void *pages; /* FUZZ_PAGES of them, for instructions to take as their operands */
	const void *busy;  /* one that the CPU has in use all the time; NULL: there is none */
	void (*start)(void);
	/* Returns whether it was an entry, and was made. */
	bool (*execute_one)(void);
	/* Makes an ordinary entry, behind all others; returns whether it ended as it should. */
	bool (*still_enters)(void);
};

/* Mostly the extension's pages, else something odd. */
u64 fuzz_pointer(void);

u64 fuzz_value(void);

/* What the test `fuzz` of an extension does; returns the guest's status. */
int fuzz_run(const struct fuzz *extension, const struct hostile *h);

#endif
