/*
 * hv's answers to exits of SVM. A handler takes the exit code and RIP from what the profile read,
 * all else from the VMCB.
 */
#ifndef GUESTS_HV_SVM_EXITS_H
#define GUESTS_HV_SVM_EXITS_H

#include "guests/hv/vm.h"

/* Answers the exit that vm->svm.seen tells of. */
void svm_exit_handle(struct vm *vm);

#endif
