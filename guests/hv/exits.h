/*
 * hv's answers to exits. A handler may use the fields that every profile reads directly, all others
 * through vm_field().
 */
#ifndef GUESTS_HV_EXITS_H
#define GUESTS_HV_EXITS_H

#include "guests/hv/vm.h"

/* The one port that hv emulates: what is written can be read back. */
#define EMULATED_PORT 0x80

/* Answers the exit that vm->fields tells of. */
void exit_handle(struct vm *vm);

#endif
