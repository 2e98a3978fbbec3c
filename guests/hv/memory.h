/*
 * The guest's memory through EPT or NPT, filled page by page as the guest touches it. The two
 * formats differ in a leaf's attributes only.
 */
#ifndef GUESTS_HV_MEMORY_H
#define GUESTS_HV_MEMORY_H

#include "guests/hv/vm.h"
#include "guests/lib/stage2.h"

/* The entries of 4-KiB pages, by page of the guest's memory. */
extern u64 *memory_leaves;

/* Empties the tables and returns them. */
const struct stage2 *memory_create(void);

/* Maps the page of `at`, with a leaf's attributes; breaks and returns false when the guest has no
 * memory there. */
static inline bool memory_fill(struct vm *vm, u64 at, u64 attributes)
{
	if (unlikely(at >= VM_MEMORY)) {
		vm_break(vm, "L3 went outside its memory at", at);
		return false;
	}
	memory_leaves[at >> PAGE_SHIFT] = ((u64)vm->memory + ALIGN_DOWN(at, PAGE_SIZE)) |
					  attributes;
	return true;
}

#endif
