/*
 * Lazy EPT; see ept.h. The tables of the last level exist from the start and lie one after the
 * other, so that filling is one store. An entry goes from not present to present, which needs no
 * INVEPT (SDM 3C "Invalidating Cached Translation Information" (29.4.3)).
 */
#include "guests/hv/ept.h"

#define PAGE_TABLE_COVERS (2ULL << 20)
#define UPPER_TABLES      3

static u8 pages[UPPER_TABLES + VM_MEMORY / PAGE_TABLE_COVERS][PAGE_SIZE]
	__attribute__((aligned(4096)));
static u64 *leaves;

u64 ept_create(void)
{
	struct stage2 ept;

	stage2_init(&ept, pages, ARRAY_SIZE(pages));
	leaves = stage2_entry(&ept, 0, PAGE_SHIFT);
	for (u64 at = PAGE_TABLE_COVERS; at < VM_MEMORY; at += PAGE_TABLE_COVERS)
		stage2_entry(&ept, at, PAGE_SHIFT);
	return vmx_ept_pointer(&ept);
}

void exit_ept_violation(struct vm *vm)
{
	u64 at = vm_field(vm, GUEST_PHYSICAL_ADDRESS);

	if (unlikely(at >= VM_MEMORY)) {
		vm_break(vm, "L3 went outside its memory at", at);
		return;
	}
	leaves[at >> PAGE_SHIFT] = ((u64)vm->memory + ALIGN_DOWN(at, PAGE_SIZE)) | EPT_RAM;
	vm_redeliver(vm);
}
