/*
 * The descriptor table of the excursion to legacy modes; see legacy.h.
 */
#include "guests/paging/legacy.h"

#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/x86.h"

#define GATE_INTERRUPT32 0x8e00U

extern const char legacy_page_fault[];
extern const struct table_pointer legacy_idt_pointer;
void legacy_enter(struct legacy *access);

static u64 idt[EXC_PF + 1];
const struct table_pointer legacy_idt_pointer = { sizeof(idt) - 1, (u64)idt };

_Static_assert(offsetof(struct legacy, cr3) == LEGACY_CR3, "as in legacy.h");
_Static_assert(offsetof(struct legacy, cr4) == LEGACY_CR4, "as in legacy.h");
_Static_assert(offsetof(struct legacy, efer) == LEGACY_EFER, "as in legacy.h");
_Static_assert(offsetof(struct legacy, paged) == LEGACY_PAGED, "as in legacy.h");
_Static_assert(offsetof(struct legacy, address) == LEGACY_ADDRESS, "as in legacy.h");
_Static_assert(offsetof(struct legacy, writes) == LEGACY_WRITES, "as in legacy.h");
_Static_assert(offsetof(struct legacy, value) == LEGACY_VALUE, "as in legacy.h");
_Static_assert(offsetof(struct legacy, faulted) == LEGACY_FAULTED, "as in legacy.h");
_Static_assert(offsetof(struct legacy, error) == LEGACY_ERROR, "as in legacy.h");
_Static_assert(offsetof(struct legacy, cr2) == LEGACY_CR2, "as in legacy.h");

void legacy_init(void)
{
	u64 target = (u64)legacy_page_fault;

	idt[EXC_PF] = (target & 0xffff) | (u64)SEL_CODE32 << 16 | (u64)GATE_INTERRUPT32 << 32 |
		      (target >> 16 & 0xffff) << 48;
}

void legacy_run(struct legacy *access)
{
	access->faulted = 0;
	legacy_enter(access);
}
