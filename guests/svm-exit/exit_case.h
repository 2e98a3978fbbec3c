/*
 * A test of what makes the inner guest exit as a row of a table: the intercepts, the code, its
 * registers, and the exit that must come. A row whose exit is the final VMMCALL shows that nothing
 * exits before it. Every exception is intercepted, so that one that nobody expects fails its test.
 */
#ifndef GUESTS_SVM_EXIT_EXIT_CASE_H
#define GUESTS_SVM_EXIT_EXIT_CASE_H

#include "guests/lib/exceptions.h"
#include "guests/lib/svm_inner.h"
#include "guests/lib/test.h"
#include "l1-hypervisor/leaf/x86.h"

struct exit_case {
	const char *name, *rule;
	const char *code;
	u32 cr, dr, intercept1, intercept2; /* intercepts beyond the usual ones */
	enum svm_exit exit;
	u64 info1, info2;
	u8 infos;    /* how many of the two the manual defines for this exit */
	u64 decoded; /* exit_info1 on a processor with decode assists */
	u32 offset;  /* of the instruction that exits in the code */
	u32 length;  /* of the instruction; the guest then goes on behind it to its end */
	/* What a bug of a known platform makes of it: the exit, 0: none; bits missing in info1. */
	enum svm_exit quirk;
	u64 info1_quirk;
	u64 rax, rcx, rdx, rbx, rsi, rdi;
	bool user; /* at CPL 3 */
	void (*prepare)(void);
	void (*finish)(void); /* checks more, undoes prepare */
};

void exit_case_run(const struct exit_case *c);
void exit_cases_run(const struct exit_case *cases, size_t count);

/* Rows for instructions that are #UD or #GP(0) in the inner guest. */
#define RAISES_UD .exit = SVM_EXIT_EXCEPTION_UD
#define RAISES_GP .exit = SVM_EXIT_EXCEPTION_GP, .infos = 1
#define NO_EXIT   .exit = SVM_EXIT_VMMCALL

enum register_number { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI, R_8, R_9, R_10 };

extern const struct suite insns_suite, svm_insns_suite, cr_suite, dr_suite, io_suite, msr_suite;
extern const struct suite tables_suite, time_suite, saved_suite, host_suite, maps_suite;
extern const struct suite paging_suite, npt_suite, npt_fault_suite;

#endif
