/*
 * What tests of nested paging share: a page that has an entry of its own in the inner guest's NPT,
 * and code that reads, writes or calls it.
 */
#ifndef GUESTS_SVM_EXIT_NPT_CASE_H
#define GUESTS_SVM_EXIT_NPT_CASE_H

#include "guests/svm-exit/exit_case.h"

extern u8 npt_page[], npt_other_page[];
extern const char npt_read[], npt_write[], npt_call[];

/* A fresh inner guest with nested paging and EFER.NXE, which is at `code` with RDI = npt_page, full
 * of RETs. Returns the page's entry in svm_inner_npt. */
u64 *npt_start(const char *code);

/* What we changed in the NPT counts from the next entry on. */
void npt_flush(void);

/* Runs to a nested page fault and checks what it says; `info1` without NPF_... says that it was the
 * final address. Returns whether it came. */
bool npt_faulted(u64 info1, u64 physical);

/* The code again, from its start. */
void npt_again(const char *code);

#endif
