/*
 * A test of what makes the inner guest exit as a row of a table: the controls, the code, its
 * registers, and the exit that must come. A row whose exit is the final VMCALL shows that nothing
 * exits before it.
 */
#ifndef GUESTS_VMX_EXIT_EXIT_CASE_H
#define GUESTS_VMX_EXIT_EXIT_CASE_H

#include "guests/lib/exceptions.h"
#include "guests/lib/inner.h"
#include "guests/lib/test.h"
#include "l1-hypervisor/leaf/x86.h"

struct exit_case {
	const char *name, *rule;
	const char *code;
	struct vmx_controls more;
	enum vmx_exit_reason reason;
	u64 qualification;
	u32 length;          /* of the instruction; the guest then goes on behind it to its end */
	u32 info, info_mask; /* VM-exit instruction information, where the mask is set */
	u32 intr_info;       /* of exits by an exception, less the valid bit */
	u64 rax, rcx, rdx, rbx, rsi, rdi;
	bool user; /* at CPL 3 */
	void (*prepare)(void);
	void (*finish)(void); /* checks more, undoes prepare */
};

void exit_case_run(const struct exit_case *c);
void exit_cases_run(const struct exit_case *cases, size_t count);

/* Rows for instructions that are #UD or #GP(0) in the inner guest. */
#define RAISES_UD \
	.reason = VMX_EXIT_EXCEPTION_NMI, .intr_info = INTR_TYPE_HARDWARE_EXCEPTION | EXC_UD
#define RAISES_GP                         \
	.reason = VMX_EXIT_EXCEPTION_NMI, \
	.intr_info = INTR_TYPE_HARDWARE_EXCEPTION | INTR_INFO_ERROR_CODE | EXC_GP
#define NO_EXIT .reason = VMX_EXIT_VMCALL

/* VM-exit instruction information, SDM 3C "Information for VM Exits Due to Instruction Execution"
 * (28.2.5): a memory operand with 64-bit addressing and DS, or a register operand. */
#define INFO_SCALE(log2)     (u32)(log2)
#define INFO_REG1(number)    ((u32)(number) << 3)
#define INFO_ADDRESS_32      BIT32(7)
#define INFO_ADDRESS_64      BIT32(8)
#define INFO_REGISTER        BIT32(10)
#define INFO_SEGMENT(number) ((u32)(number) << 15)
#define INFO_INDEX(number)   ((u32)(number) << 18)
#define INFO_NO_INDEX        BIT32(22)
#define INFO_BASE(number)    ((u32)(number) << 23)
#define INFO_NO_BASE         BIT32(27)
#define INFO_REG2(number)    ((u32)(number) << 28)

/* Defined bits: a memory operand with base and index, without an index, and a register operand. */
#define MASK_SEGMENT (INFO_SEGMENT(7) | BIT32(7) | BIT32(8) | BIT32(9) | INFO_REGISTER)
#define MASK_FULL                                                                        \
	(MASK_SEGMENT | INFO_SCALE(3) | INFO_INDEX(15) | INFO_NO_INDEX | INFO_BASE(15) | \
	 INFO_NO_BASE)
#define MASK_NO_INDEX (MASK_SEGMENT | INFO_NO_INDEX | INFO_BASE(15) | INFO_NO_BASE)
#define MASK_NO_BASE  (MASK_SEGMENT | INFO_NO_INDEX | INFO_NO_BASE)
#define MASK_REGISTER (INFO_REG1(15) | INFO_REGISTER)
#define MASK_REG2     INFO_REG2(15)

enum segment_number { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
enum register_number { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI, R_8, R_9, R_10 };

extern const struct suite insns_suite, vmx_insns_suite, cr_suite, io_suite, msr_suite;
extern const struct suite tables_suite, time_suite, lists_suite, saved_suite, host_suite;
extern const struct suite ept_suite, unrestricted_suite, task_suite, apic_suite;

#endif
