/*
 * The guest's memory through EPT, filled page by page as the guest touches it.
 */
#ifndef GUESTS_HV_EPT_H
#define GUESTS_HV_EPT_H

#include "guests/hv/vm.h"

/* Empties the tables and returns the EPT pointer. */
u64 ept_create(void);

/* Handler of EPT violations: maps the page of 4 KiB. */
void exit_ept_violation(struct vm *vm);

#endif
