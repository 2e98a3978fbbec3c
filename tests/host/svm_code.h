/*
 * A guest's code for the tests of instruction lengths: a VMCB whose CS:RIP is at chosen bytes, in
 * each mode of the processor, through page tables of that mode.
 */
#ifndef TESTS_SVM_CODE_H
#define TESTS_SVM_CODE_H

#include "shadow-vmcs/svm_length.h"
#include "tests/host/fake_memory.h"

/* The code is in these two pages of fake memory, which the guest sees one after the other. */
#define SVM_CODE_PAGE      20U
#define SVM_CODE_NEXT_PAGE 10U

struct svm_code {
	struct fake_memory memory;
	struct nept_memory access;
	struct vmcb vmcb;
	u64 first;    /* linear address of the first page */
	u64 *leaf[2]; /* what maps the pages: bit 0 is "present"; NULL without paging */
};

/* The modes; each is complete. */
typedef void svm_code_mode(struct svm_code *code);
svm_code_mode svm_code_64;        /* four levels */
svm_code_mode svm_code_64_la57;   /* five */
svm_code_mode svm_code_compat;    /* 32-bit code in long mode, CS.base not zero */
svm_code_mode svm_code_pae;       /* 32-bit code */
svm_code_mode svm_code_two_level; /* 32-bit code */
svm_code_mode svm_code_unpaged;   /* 32-bit code without paging; the pages are 20 and 21 */
svm_code_mode svm_code_real;      /* real mode, the same */

/* Puts the bytes `offset` bytes behind the begin of the first page, and RIP there. */
void svm_code_put(struct svm_code *code, u32 offset, const u8 *bytes, u32 count);

#endif
