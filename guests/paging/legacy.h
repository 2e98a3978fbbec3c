/*
 * One memory access outside long mode: with 32-bit paging, PAE paging or none. The caller brings
 * page tables whose first 4 MiB are an identity map; interrupts stay off.
 */
#ifndef GUESTS_PAGING_LEGACY_H
#define GUESTS_PAGING_LEGACY_H

/* Offsets for the assembly. */
#define LEGACY_CR3     0
#define LEGACY_CR4     4
#define LEGACY_EFER    8
#define LEGACY_PAGED   12
#define LEGACY_ADDRESS 16
#define LEGACY_WRITES  20
#define LEGACY_VALUE   24
#define LEGACY_FAULTED 28
#define LEGACY_ERROR   32
#define LEGACY_CR2     36

#ifndef __ASSEMBLER__

#include "l1-hypervisor/leaf/types.h"

struct legacy {
	/* In: the mode; EFER without LME, paging on or off; the access. */
	u32 cr3, cr4, efer, paged;
	u32 address, writes;
	u32 value; /* to write, or read */
	/* Out: whether it was a page fault, and which. */
	u32 faulted, error, cr2;
};

/* Once, before the first legacy_run(). */
void legacy_init(void);

void legacy_run(struct legacy *access);

#endif

#endif
