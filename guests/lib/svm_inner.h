/*
 * The inner guest of a conformance test of SVM, the twin of inner.h: one VMCB with ordinary
 * contents, that a test changes and enters, and what an exit said. The inner guest runs at CPL 0 in
 * 64-bit mode on our page tables, segments, GDT and IDT with a stack of its own, and says by
 * VMMCALL that it is done. With an NPT it is the identity map of 4 GiB.
 */
#ifndef GUESTS_LIB_SVM_INNER_H
#define GUESTS_LIB_SVM_INNER_H

#include "guests/lib/guest.h"
#include "guests/lib/segments.h"
#include "guests/lib/svm.h"
#include "guests/lib/test.h"

/* What an entry led to. */
struct svm_inner_exit {
	u32 exit; /* enum svm_exit, of an exit code that may be wider */
	u64 info1, info2;
	u64 int_info;
	u64 next_rip; /* 0 where the CPU does not save it */
};

extern union svm_regs svm_inner_regs;
extern struct vmcb svm_inner_vmcb, svm_inner_other_vmcb;
extern u8 svm_inner_msrpm[MSRPM_SIZE], svm_inner_iopm[IOPM_SIZE];
extern struct stage2 svm_inner_npt;
extern const struct svm_features *const svm_inner_features;

/* What main() of a conformance guest does: runs the suites under the word npt=on|off. */
int svm_inner_main(const struct guest_args *args, const struct suite *const *suites);

/* Reads the word npt=on|off; svm_inner_main() does. */
void svm_inner_read_words(const char *words);

/* False with npt=off or without nested paging: tests that need it are left out. */
bool svm_inner_with_npt(void);

/* Switches SVM on; ends the guest when there is none. Once, before everything else. */
void svm_inner_init(void);

/* A fresh VMCB, and zeroed registers and permission maps that are not in use yet, for an inner
 * guest that starts at `code`. */
void svm_inner_reset(const char *code);

/* Makes the inner guest start at CPL 3. */
static inline void svm_inner_make_user(void)
{
	svm_inner_vmcb.s.cs = svm_segment(SEL_USER_CODE64, ACCESS_USER_CODE64, ~0U, 0);
	svm_inner_vmcb.s.ss = svm_segment(SEL_USER_DATA, ACCESS_USER_DATA, ~0U, 0);
	svm_inner_vmcb.s.cpl = 3;
}

/* Makes the NPT anew and switches nested paging on. */
void svm_inner_use_npt(void);

/* Maps the 2 MiB around an address by 4 KiB pages in svm_inner_npt, for a test to change one. */
void svm_inner_split_npt(u64 address);

/* Enters with everything that VMLOAD and VMSAVE move exchanged too, and GIF as it was: 1. */
void svm_inner_run(struct svm_inner_exit *exit);

/* Enters in a given way. */
void svm_inner_enter(struct svm_inner_exit *exit, enum svm_entry entry);

/* Moves the inner guest behind the instruction of `length` bytes that caused the last exit; where
 * the CPU saves the next RIP, checks that it is the same. */
void svm_inner_skip(const struct svm_inner_exit *exit, u32 length);

/* Checks the exit. Returns whether it is this one. */
bool svm_inner_exited(const struct svm_inner_exit *exit, enum svm_exit want);

/* svm_inner_run() to the inner guest's VMMCALL; checks that it is the next exit. */
void svm_inner_run_to_end(void);

/* The inner guest's way to say that it is done. */
#define SVM_INNER_DONE "\n\tvmmcall"

#endif
