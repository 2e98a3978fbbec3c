/*
 * Interrupts and exceptions of a guest. Three ways to meet one on purpose: an instruction tried
 * with TRY(), whose fault is recorded and stepped over; a handler for a vector; an excursion, that
 * is, code run in another mode or at CPL 3 until it faults or says so. Any other exception ends
 * the guest with its vector on the serial line.
 */
#ifndef GUESTS_LIB_EXCEPTIONS_H
#define GUESTS_LIB_EXCEPTIONS_H

/* INT of this vector ends an excursion. */
#define EXCURSION_END 0x81

#ifndef __ASSEMBLER__

#include "l1-hypervisor/leaf/types.h"

/* As vectors.S pushes it. */
struct exception_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error_code;
	u64 rip, cs, rflags, rsp, ss;
};

typedef void (*interrupt_handler)(struct exception_frame *frame);

struct fault {
	bool raised;
	u8 vector;
	u32 error_code; /* 0 for vectors without one */
	u64 address;    /* CR2, for #PF */
};

/* Fills and loads the IDT. Once, at start-up. */
void exceptions_init(void);

/* `handler` gets this vector from now on; NULL takes it back. Returns the handler before. */
interrupt_handler interrupt_handle(u8 vector, interrupt_handler handler);

/* Text of an instruction that may fault, for an asm statement; its fault skips to its end. */
#define TRY(text) \
	"771:\t" text "\n772:\n\t.pushsection .fixups, \"a\"\n\t.quad 771b, 772b\n\t.popsection\n"

/* Forgets the last recorded fault: before a TRY(). */
void fault_clear(void);

/* The fault recorded since fault_clear(); `raised` false when there was none. */
struct fault fault_taken(void);

struct fault try_rdmsr(u32 msr, u64 *value);
struct fault try_wrmsr(u32 msr, u64 value);
struct fault try_write_cr0(u64 value);
struct fault try_write_cr4(u64 value);

/* Where and how an excursion starts. Its code must lie in reach of its mode. */
struct excursion {
	u64 rip, rflags;
	u16 cs, ss;
	u64 rax, rbx, rcx, rdx, rsi, rdi;
};

/*
 * Runs an excursion on a stack of its own until an exception without handler or INT EXCURSION_END,
 * and says in `end` what ended it and with which registers.
 */
void excursion_run(const struct excursion *start, struct exception_frame *end);

#endif

#endif
