/*
 * The two tasks, their descriptors and gates; see task.h.
 */
#include "guests/tasks/task.h"

#include "guests/lib/exceptions.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define VECTORS       256
#define ENTRY_SPACING 16 /* of task_entries */
#define GATE_USER     0xeeULL
#define TASK_GATE     0xe5ULL
#define STACK_SIZE    4096
#define GP_REGISTERS  8

extern u64 guest_pds[];
extern const char task_entries[];
void task_enter(const char *code, u32 eflags);

CODE(task_begins, 32, "nop" END_EXCURSION);

u64 task_pdpt[4] __attribute__((aligned(32)));
static u64 other_pdpt[4] __attribute__((aligned(32)));
static u64 idt[VECTORS] __attribute__((aligned(16)));
struct table_pointer task_idt_pointer = { sizeof(idt) - 1, (u64)idt };
struct task_seen task_seen;
struct tss32 old_task, new_task;
struct tss16 new_task16;
static struct tss32 last_task;
u32 task_registers[GP_REGISTERS];
static u8 stacks[2][STACK_SIZE] __attribute__((aligned(16)));

_Static_assert(offsetof(struct task_seen, dr7) == SEEN_DR7, "task.h");
_Static_assert(sizeof(struct tss32) == 0x68 && sizeof(struct tss16) == 0x2c, "the manual's sizes");
_Static_assert(SEL_NEW == 0x60 && SEL_GATE == 0x78, "task.h");

static u64 gate_to(u64 target)
{
	return (target & 0xffff) | SEL_CODE32 << 16 | GATE_USER << 40 | (target >> 16) << 48;
}

static u32 stack_top(u32 which)
{
	return (u32)(u64)(stacks[which] + STACK_SIZE);
}

static void make_tables(void)
{
	u64 entries = (u64)task_entries;

	for (u32 i = 0; i < ARRAY_SIZE(task_pdpt); i++) {
		task_pdpt[i] = ((u64)guest_pds + i * PAGE_SIZE) | PTE_P;
		other_pdpt[i] = task_pdpt[i];
	}
	for (u32 i = 0; i < TASK_EXCEPTIONS; i++)
		idt[i] = gate_to(entries + i * ENTRY_SPACING);
	idt[EXCURSION_END] = gate_to(entries + TASK_EXCEPTIONS * ENTRY_SPACING);
	task_gate(TASK_VECTOR);
	segment_set(SEL_GATE, (u64)SEL_NEW << 16 | TASK_GATE << 40);
	segment_set(SEL_OLD,
		    segment_descriptor((u32)(u64)&old_task, sizeof(old_task) - 1, TSS_AVAILABLE));
	segment_set(SEL_NEW,
		    segment_descriptor((u32)(u64)&new_task, sizeof(new_task) - 1, TSS_AVAILABLE));
	segment_set(SEL_LAST,
		    segment_descriptor((u32)(u64)&last_task, sizeof(last_task) - 1, TSS_AVAILABLE));
	segment_set(SEL_LDT, 0);
	segment_set(SEL_ODD, 0);
}

static void make_task(struct tss32 *task, u32 which)
{
	*task = (struct tss32){ .esp0 = stack_top(0),
				.ss0 = SEL_DATA,
				.cr3 = (u32)(u64)task_pdpt,
				.eip = (u32)(u64)task_begins,
				.eflags = NEW_EFLAGS,
				.eax = TASK_REGISTER(which, 0),
				.ecx = TASK_REGISTER(which, 1),
				.edx = TASK_REGISTER(which, 2),
				.ebx = TASK_REGISTER(which, 3),
				.esp = stack_top(1),
				.ebp = TASK_REGISTER(which, 5),
				.esi = TASK_REGISTER(which, 6),
				.edi = TASK_REGISTER(which, 7),
				.es = SEL_DATA,
				.cs = SEL_CODE32,
				.ss = SEL_DATA,
				.ds = SEL_DATA,
				.fs = SEL_DATA,
				.gs = SEL_DATA,
				.io_map = sizeof(*task) };
}

void task_reset(void)
{
	make_tables();
	make_task(&old_task, OLD_TASK);
	make_task(&new_task, NEW_TASK);
	new_task16 = (struct tss16){ 0 };
	for (u32 i = 0; i < GP_REGISTERS; i++)
		task_registers[i] = TASK_REGISTER(OLD_TASK, GP_REGISTERS - 1 - i);
}

void task_gate(u8 vector)
{
	idt[vector] = (u64)SEL_NEW << 16 | TASK_GATE << 40;
}

u32 task_other_cr3(void)
{
	return (u32)(u64)other_pdpt;
}

const struct task_frame *task_run(const char *code, u32 eflags)
{
	memset(&task_seen, 0, sizeof(task_seen));
	task_enter(code, eflags);
	segments_init();
	return (const struct task_frame *)(u64)task_seen.frame;
}

static bool is_busy(u16 selector)
{
	return guest_gdt[selector / 8] >> 41 & 1;
}

void expect_busy(bool old, bool new)
{
	test_equal("the busy flag of the old task", is_busy(SEL_OLD), old);
	test_equal("the busy flag of the new task", is_busy(SEL_NEW), new);
}
