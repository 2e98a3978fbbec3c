/*
 * Control registers on SVM: what the VMCB holds for the guest's values, and the exits of those who
 * change them. With NPT the guest has them to itself, but for EFER.SVME, which must be set and
 * which it does not see; with shadow page tables every access exits.
 */
#ifndef GUESTS_HV_SVM_CONTROL_H
#define GUESTS_HV_SVM_CONTROL_H

#include "guests/hv/vm.h"

/* Fields for the state of a Multiboot kernel: protected mode without paging. */
void svm_control_create(struct vm *vm);

/* The vendor's publish_control(). */
void svm_publish_control(struct vm *vm, u32 which);

/* Brings what the guest may have changed by itself to where the common code looks. */
void svm_collect_control(struct vm *vm);

/* Handlers of MOV to and from CR0, CR3 and CR4, of CLTS and LMSW, and of INVLPG. */
void svm_exit_cr_access(struct vm *vm);
void svm_exit_invlpg(struct vm *vm);

#endif
