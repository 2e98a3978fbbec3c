/*
 * The guests' IDT, what becomes of an exception, and excursions; see exceptions.h.
 */
#include "guests/lib/exceptions.h"
#include "guests/lib/guest.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define VECTORS       256
#define ENTRY_SPACING 16 /* of exception_entries */
#define GATE_KERNEL   0x8e
#define GATE_USER     0xee

#define EXCURSION_STACK_SIZE 4096

struct gate {
	u16 offset_low, selector;
	u8 ist, access;
	u16 offset_middle;
	u32 offset_high;
	u32 reserved;
};

struct fixup {
	u64 insn, resume;
};

/* In the order in which excursion_enter() pops them. */
struct excursion_registers {
	u64 rax, rbx, rcx, rdx, rsi, rdi;
	u64 rip, cs, rflags, rsp, ss;
};

extern const char exception_entries[];
extern const struct fixup guest_fixups[], guest_fixups_end[];
extern const char excursion_return[];

void excursion_enter(const struct excursion_registers *registers, u64 *saved_rsp);
void exception_dispatch(struct exception_frame *frame);

static struct gate idt[VECTORS] __attribute__((aligned(16)));
static interrupt_handler handlers[VECTORS];
static struct fault last_fault;

static u8 excursion_stack[EXCURSION_STACK_SIZE] __attribute__((aligned(16)));
static struct exception_frame *excursion_end; /* not NULL: an excursion is under way */
static u64 excursion_saved_rsp;

static struct gate gate_to(u64 target, u8 ist, u8 access)
{
	return (struct gate){
		.offset_low = (u16)target,
		.selector = SEL_CODE64,
		.ist = ist,
		.access = access,
		.offset_middle = (u16)(target >> 16),
		.offset_high = (u32)(target >> 32),
	};
}

void exceptions_init(void)
{
	struct table_pointer pointer = { sizeof(idt) - 1, (u64)idt };

	for (u32 i = 0; i < VECTORS; i++)
		idt[i] = gate_to((u64)exception_entries + i * ENTRY_SPACING,
				 i == EXC_DF ? IST_DOUBLE_FAULT : 0,
				 i == EXCURSION_END ? GATE_USER : GATE_KERNEL);
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

interrupt_handler interrupt_handle(u8 vector, interrupt_handler handler)
{
	interrupt_handler before = handlers[vector];

	handlers[vector] = handler;
	return before;
}

void fault_clear(void)
{
	last_fault = (struct fault){ 0 };
}

struct fault fault_taken(void)
{
	return last_fault;
}

static bool fix_up(struct exception_frame *frame)
{
	for (const struct fixup *f = guest_fixups; f < guest_fixups_end; f++) {
		if (f->insn != frame->rip || frame->cs != SEL_CODE64)
			continue;
		last_fault = (struct fault){
			.raised = true,
			.vector = (u8)frame->vector,
			.error_code = (u32)frame->error_code,
			.address = frame->vector == EXC_PF ? read_cr2() : 0,
		};
		frame->rip = f->resume;
		return true;
	}
	return false;
}

/* Turns the frame into a return to excursion_run(). */
static void end_excursion(struct exception_frame *frame)
{
	*excursion_end = *frame;
	excursion_end = NULL;
	frame->rip = (u64)excursion_return;
	frame->cs = SEL_CODE64;
	frame->rflags = RFLAGS_FIXED;
	frame->rsp = excursion_saved_rsp;
	frame->ss = SEL_DATA;
}

/* Called by vectors.S for every vector. */
void exception_dispatch(struct exception_frame *frame)
{
	if (handlers[frame->vector])
		handlers[frame->vector](frame);
	else if (excursion_end)
		end_excursion(frame);
	else if (!fix_up(frame))
		guest_fail("unexpected vector %lu error code 0x%lx at %lx:0x%lx cr2 0x%lx",
			   frame->vector, frame->error_code, frame->cs, frame->rip, read_cr2());
}

void excursion_run(const struct excursion *start, struct exception_frame *end)
{
	struct excursion_registers registers = {
		.rax = start->rax,
		.rbx = start->rbx,
		.rcx = start->rcx,
		.rdx = start->rdx,
		.rsi = start->rsi,
		.rdi = start->rdi,
		.rip = start->rip,
		.cs = start->cs,
		.rflags = start->rflags | RFLAGS_FIXED,
		.rsp = (u64)(excursion_stack + EXCURSION_STACK_SIZE),
		.ss = start->ss,
	};

	excursion_end = end;
	excursion_enter(&registers, &excursion_saved_rsp);
}

struct fault try_rdmsr(u32 msr, u64 *value)
{
	u32 low = 0, high = 0;

	fault_clear();
	__asm__ volatile(TRY("rdmsr") : "+a"(low), "+d"(high) : "c"(msr) : "memory");
	*value = (u64)high << 32 | low;
	return fault_taken();
}

struct fault try_wrmsr(u32 msr, u64 value)
{
	fault_clear();
	__asm__ volatile(TRY("wrmsr")
			 :
			 : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
			 : "memory");
	return fault_taken();
}

struct fault try_write_cr0(u64 value)
{
	fault_clear();
	__asm__ volatile(TRY("mov %0, %%cr0") : : "r"(value) : "memory");
	return fault_taken();
}

struct fault try_write_cr4(u64 value)
{
	fault_clear();
	__asm__ volatile(TRY("mov %0, %%cr4") : : "r"(value) : "memory");
	return fault_taken();
}
