/*
 * A test of one SVM instruction as a row of a table: the state before, the mode in which it runs,
 * its registers, and what must come of it. Every row also checks RIP: that of the instruction after
 * a fault, that behind it else, whatever prefixes it has.
 */
#ifndef GUESTS_SVM_INSN_INSN_CASE_H
#define GUESTS_SVM_INSN_INSN_CASE_H

#include "guests/lib/exceptions.h"
#include "guests/lib/svm_inner.h"
#include "guests/lib/test.h"

enum insn_state {
	STATE_ON,  /* EFER.SVME = 1 */
	STATE_OFF, /* EFER.SVME = 0 */
};

enum insn_mode {
	MODE_KERNEL,      /* 64-bit mode, CPL 0 */
	MODE_USER,        /* 64-bit mode, CPL 3 */
	MODE_COMPAT,      /* compatibility mode, CPL 0 */
	MODE_COMPAT_USER, /* compatibility mode, CPL 3 */
	MODE_LEGACY,      /* 32-bit protected mode outside long mode, CPL 0 */
	MODE_LEGACY_USER, /* the same, CPL 3 */
	MODE_V86,         /* virtual-8086 mode */
};

/* Machine code of a row: one instruction that begins it. `name`_end is behind it. */
#define INSN_CODE(name, bits, text)     \
	extern const char name##_end[]; \
	CODE(name, bits, text "\n\t.globl " #name "_end\n" #name "_end:" END_EXCURSION)

#define INSN(name) .code = name, .end = name##_end

enum insn_outcome { OUTCOME_SUCCESS, OUTCOME_FAULT };

struct insn_want {
	enum insn_outcome outcome;
	u8 vector;
	u8 or_vector; /* what a platform raises instead, by a QUIRK; 0: nothing else is right */
};

#define SUCCEEDS                           \
	{                                  \
		.outcome = OUTCOME_SUCCESS \
	}
/* None of their faults has an error code other than 0. */
#define FAULTS(exception)                                       \
	{                                                       \
		.outcome = OUTCOME_FAULT, .vector = (exception) \
	}

struct insn_case {
	const char *name, *rule;
	const char *code, *end;
	struct insn_want want;
	enum insn_state state;
	enum insn_mode mode;
	u64 rax, rcx;
	void (*prepare)(void);                             /* after the state is reached */
	void (*finish)(const struct exception_frame *end); /* checks more, undoes prepare */
};

void insn_case_run(const struct insn_case *c);
void insn_cases_run(const struct insn_case *cases, size_t count);

/* Runs one inner guest, whose VMCB is ready, from the row's VMRUN: a `finish`. */
void insn_ran(const struct exception_frame *end);
/* A `prepare` for a row with VMRUN: a VMCB whose guest says that it is done. */
void insn_prepare_run(void);

extern const struct suite modes_suite, operands_suite, prefixes_suite, effects_suite;
extern const struct suite gif_suite, msrs_suite, cpuid_suite;

/* The plain form of every instruction. */
extern const char code_vmrun[], code_vmrun_end[], code_vmload[], code_vmload_end[];
extern const char code_vmsave[], code_vmsave_end[], code_stgi[], code_stgi_end[];
extern const char code_clgi[], code_clgi_end[], code_invlpga[], code_invlpga_end[];
extern const char code_skinit[], code_skinit_end[], code_vmmcall[], code_vmmcall_end[];

/* A page for VMLOAD and VMSAVE that holds what VMSAVE saved before the row. */
extern struct vmcb insn_vls;

#endif
