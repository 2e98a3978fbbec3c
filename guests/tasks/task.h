/*
 * Hardware task switches outside IA-32e mode: one old task, which runs the code of a test, and one
 * new one. Whichever runs in the end raises an exception or INT EXCURSION_END, and the test looks
 * at what that found and at both task-state segments.
 */
#ifndef GUESTS_TASKS_TASK_H
#define GUESTS_TASKS_TASK_H

#include "guests/lib/segments.h"

#define SEL_OLD  SEL_SPARE
#define SEL_NEW  (SEL_SPARE + 1 * 8)
#define SEL_LDT  (SEL_SPARE + 2 * 8)
#define SEL_ODD  (SEL_SPARE + 3 * 8) /* a segment that a test makes */
#define SEL_GATE (SEL_SPARE + 4 * 8) /* a task gate to SEL_NEW */
#define SEL_LAST (SEL_SPARE + 5 * 8) /* a 32-bit TSS, which IA-32e mode begins with */

/* The selectors above in the text of instructions. */
#define SEL_NEW_TEXT  "0x60"
#define SEL_GATE_TEXT "0x78"

#define TASK_VECTOR      0x60 /* its task gate leads to SEL_NEW */
#define TASK_VECTOR_TEXT "0x60"
#define TASK_EXCEPTIONS  32

/* Offsets of struct task_seen. */
#define SEEN_FRAME 0
#define SEEN_SS    4
#define SEEN_TR    8
#define SEEN_LDTR  12
#define SEEN_CR0   16
#define SEEN_CR3   20
#define SEEN_DR6   24
#define SEEN_DR7   28

#ifndef __ASSEMBLER__

#include "guests/lib/test.h"

#define TSS_AVAILABLE   0x89
#define TSS_BUSY        0x8b
#define TSS16_AVAILABLE 0x81
#define TSS16_BUSY      0x83

struct tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, io_map;
};

struct tss16 {
	u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags;
	u16 ax, cx, dx, bx, sp, bp, si, di;
	u16 es, cs, ss, ds, ldt;
};

/* What the exception or interrupt that ended it pushed, and the registers it found. The last rows
 * only when it came from CPL 3, the very last from virtual-8086 mode. */
struct task_frame {
	u16 gs, above_gs, fs, above_fs, es, above_es, ds,
		above_ds; /* what is above is not pushed */
	u32 edi, esi, ebp, esp_inside, ebx, edx, ecx, eax;
	u32 vector, error_code;
	u32 eip, cs, eflags;
	u32 esp, ss;
	u32 v86_es, v86_ds, v86_fs, v86_gs;
};

struct task_seen {
	u32 frame; /* address */
	u32 ss, tr, ldtr, cr0, cr3, dr6, dr7;
};

extern struct tss32 old_task, new_task;
extern struct tss16 new_task16;
extern struct task_seen task_seen;
extern u32 task_registers[]; /* what the old task begins with, in the order of POPA */
enum { POPA_EAX = 7 };

/* EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI of task i, as both begin with. */
#define TASK_REGISTER(task, i) (0x01010101U * (u32)((task)*16 + (i) + 1))
enum { OLD_TASK = 1, NEW_TASK = 2 };

/* Where the new task begins: it ends at once. Its EFLAGS. */
extern const char task_begins[];
#define NEW_EFLAGS 0xcd7U /* OF, DF, SF, ZF, AF, PF, CF and what is always 1 */

/* Both tasks, their descriptors and the gates as every test begins with; 32-bit segments. */
void task_reset(void);
/* A vector's gate in the IDT becomes a task gate to SEL_NEW. */
void task_gate(u8 vector);
/* Another page-directory-pointer table with the same mappings. */
u32 task_other_cr3(void);

/* Runs `code` in the old task, whose TSS `selector` describes, with these flags, until the end. */
const struct task_frame *task_run(const char *code, u32 eflags);

/* Ends of tests: the busy flags of both descriptors. */
void expect_busy(bool old, bool new);

extern const struct suite switch_suite, mode_suite, fault_suite;

#endif

#endif
