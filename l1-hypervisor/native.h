/*
 * native=on: L2's image runs on the machine itself, loaded exactly as under Nestbed. This is the
 * reference that a run under Nestbed is compared with.
 */
#ifndef L1_NATIVE_H
#define L1_NATIVE_H

#include "l1-hypervisor/loader.h"

/* Leaves L1 for good and enters the plan's image in the state that the plan asks for. */
__attribute__((noreturn)) void native_run(const struct load_plan *plan);

#endif
