/*
 * What an excursion to 32-bit protected mode needs besides the switch itself: an IDT of 32-bit
 * gates, a page-directory-pointer table, a task-state segment. See legacy.h.
 */
#include "guests/lib/legacy.h"
#include "guests/lib/exceptions.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/x86.h"

#define VECTORS       256
#define ENTRY_SPACING 16 /* of legacy_entries */
#define GATE_USER     0xeeULL
#define TSS32_ACCESS  0x89
#define STACK_SIZE    4096

struct tss32 {
	u32 link, esp0, ss0;
	u32 rest[22];
	u32 io_map;
};

extern u64 guest_pds[];
extern const char legacy_entries[];
void legacy_switch(struct legacy_job *job);

u64 legacy_pdpt[4] __attribute__((aligned(32)));
static u64 idt[VECTORS] __attribute__((aligned(16)));
struct table_pointer legacy_job_idt = { sizeof(idt) - 1, (u64)idt };
static struct tss32 tss = { .ss0 = SEL_DATA, .io_map = sizeof(tss) << 16 };
static u8 stack[STACK_SIZE] __attribute__((aligned(16)));

_Static_assert(offsetof(struct legacy_job, inner_esp) == JOB_INNER_ESP, "legacy.h");
_Static_assert(offsetof(struct legacy_job, edi) == JOB_EDI, "legacy.h");
_Static_assert(offsetof(struct legacy_job, end) == JOB_END, "legacy.h");
_Static_assert(offsetof(struct legacy_end, eflags) == END_EFLAGS, "legacy.h");

static u64 gate_to(u64 target)
{
	return (target & 0xffff) | SEL_CODE32 << 16 | GATE_USER << 40 | (target >> 16) << 48;
}

static void make_tables(void)
{
	u64 entries = (u64)legacy_entries;

	for (u32 i = 0; i < ARRAY_SIZE(legacy_pdpt); i++)
		legacy_pdpt[i] = ((u64)guest_pds + i * PAGE_SIZE) | PTE_P;
	for (u32 i = 0; i < LEGACY_VECTORS; i++)
		idt[i] = gate_to(entries + i * ENTRY_SPACING);
	idt[EXCURSION_END] = gate_to(entries + LEGACY_VECTORS * ENTRY_SPACING);
	tss.esp0 = (u32)(u64)(stack + STACK_SIZE);
	segment_set(SEL_LEGACY_TSS,
		    segment_descriptor((u32)(u64)&tss, sizeof(tss) - 1, TSS32_ACCESS));
}

void legacy_job_run(struct legacy_job *job)
{
	make_tables();
	legacy_switch(job);
	segments_init();
}
