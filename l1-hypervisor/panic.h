/*
 * Ends of L1 itself. panic(): a bug of ours, dumped with guest state and the last exits;
 * refuse_all(): the user's input or the platform makes going on impossible, one sentence. Both end
 * the platform.
 */
#ifndef L1_PANIC_H
#define L1_PANIC_H

#include "l1-hypervisor/leaf/types.h"

__attribute__((noreturn, format(printf, 1, 2))) void panic(const char *format, ...);
__attribute__((noreturn)) void end_with_error(const char *sentence);

/* Ends the platform: status 0 is good. Writes the `end` line first. */
__attribute__((noreturn)) void end_platform(u32 status);

#define assert(claim)                                                                       \
	do {                                                                                \
		if (unlikely(!(claim)))                                                     \
			panic("assertion failed: %s at %s:%d", #claim, __FILE__, __LINE__); \
	} while (0)

#endif
