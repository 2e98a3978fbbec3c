/*
 * A test of one VMX instruction as a row of a table: the state before, the mode in which it runs,
 * its registers, and what must come of it.
 */
#ifndef GUESTS_VMX_INSN_INSN_CASE_H
#define GUESTS_VMX_INSN_INSN_CASE_H

#include "guests/lib/exceptions.h"
#include "guests/lib/inner.h"
#include "guests/lib/test.h"

enum insn_state {
	STATE_OFF,      /* CR4.VMXE = 0 */
	STATE_ENABLED,  /* CR4.VMXE = 1, before VMXON */
	STATE_ROOT,     /* VMX root operation without a current VMCS */
	STATE_CURRENT,  /* a current VMCS, complete, clear */
	STATE_LAUNCHED, /* the same, launched */
};

enum insn_mode {
	MODE_KERNEL,      /* 64-bit mode, CPL 0 */
	MODE_USER,        /* 64-bit mode, CPL 3 */
	MODE_COMPAT,      /* compatibility mode, CPL 0 */
	MODE_COMPAT_USER, /* compatibility mode, CPL 3 */
};

enum insn_outcome { OUTCOME_SUCCESS, OUTCOME_INVALID, OUTCOME_VALID, OUTCOME_FAULT };

struct insn_want {
	enum insn_outcome outcome;
	u32 number; /* VM-instruction error, or vector */
	u32 error_code;
	const void *address; /* of a #PF: CR2 */
};

#define SUCCEEDS                           \
	{                                  \
		.outcome = OUTCOME_SUCCESS \
	}
#define FAIL_INVALID                       \
	{                                  \
		.outcome = OUTCOME_INVALID \
	}
#define FAIL_VALID(error)                                   \
	{                                                   \
		.outcome = OUTCOME_VALID, .number = (error) \
	}
#define FAULTS(vector, code)                                                       \
	{                                                                          \
		.outcome = OUTCOME_FAULT, .number = (vector), .error_code = (code) \
	}
#define PAGE_FAULTS(code, cr2)                                                                     \
	{                                                                                          \
		.outcome = OUTCOME_FAULT, .number = EXC_PF, .error_code = (code), .address = (cr2) \
	}

struct insn_case {
	const char *name, *rule;
	const char *code;
	struct insn_want want;
	enum insn_state state;
	enum insn_mode mode;
	u64 rax, rbx, rcx, rdx, rsi, rdi;
	void (*prepare)(void);                             /* after the state is reached */
	void (*finish)(const struct exception_frame *end); /* checks more, undoes prepare */
};

/* Leaves VMX operation, as a test may have left it, and enters this state afresh. */
void insn_reach(enum insn_state state);

/* Checks how a test's code ended against what the test wants. */
void insn_compare(const struct insn_want *want, const struct exception_frame *end);

void insn_case_run(const struct insn_case *c);
void insn_cases_run(const struct insn_case *cases, size_t count);

extern const struct suite modes_suite, failures_suite, effects_suite, fields_suite;
extern const struct suite operands_suite, faults_suite, legacy_suite;

/* The plain form of every instruction: memory operand at RDI, field in RAX, value in RDX, type of
 * an invalidation in RCX. */
extern const char code_vmxon[], code_vmxoff[], code_vmclear[], code_vmptrld[], code_vmptrst[];
extern const char code_vmread[], code_vmwrite[], code_vmlaunch[], code_vmresume[];
extern const char code_invept[], code_invvpid[], code_vmcall[], code_vmfunc[];
extern const char code_vmread_memory[], code_vmwrite_memory[];

/* Memory operands: what they hold is in their names. */
extern u64 operand_vmxon, operand_vmcs, operand_other, operand_result;
extern struct vmx_memory_operand operand_invept, operand_invvpid;

/* A field that no set of shadowed fields but `all` has: its accesses exit when nested. */
#define PLAIN_FIELD VMCS_CR3_TARGET0

#endif
