/*
 * L1's own exceptions: none is expected but an NMI, which belongs to the guest, and a fault of an
 * instruction that is marked with EXCEPTION_FIXUP. Every other one is a bug of ours and panics.
 */
#ifndef L1_EXCEPTIONS_H
#define L1_EXCEPTIONS_H

#include "l1-hypervisor/leaf/types.h"

struct exception_fixup {
	u64 from;
	u64 to;
};

/* In inline assembly: a fault of the instruction at label `from` goes on at label `to`. */
#define EXCEPTION_FIXUP(from, to) \
	".pushsection .rodata.fixup, \"a\"\n.quad " from ", " to "\n.popsection\n"

/* What exception_entry (exception_entry.S) leaves on the stack, lowest address first. */
struct exception_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error_code;
	u64 rip, cs, rflags, rsp, ss;
};

/* Fills the IDT that all CPUs share. */
void exceptions_init(void);
/* From now on an NMI changes to a stack of its own (cpu.h). That takes L1's TSS, so TR must be L1's
 * whenever L1 runs. */
void exceptions_use_nmi_stack(void);
/* From now on this vector goes to an assembly entry of the caller's. */
void exceptions_replace_stub(u32 vector, u64 stub);
/* Makes it current on this CPU. */
void exceptions_load(void);
/* Where it is, for the host state of a VMCS. */
u64 exceptions_base(void);

#endif
