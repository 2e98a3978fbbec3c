/*
 * A guest's view of Nestbed below it: is it there, at which depth are we, and its hypercalls.
 * Natively it is not there, and nothing here may be called but nestbed_level().
 */
#ifndef GUESTS_LIB_NESTBED_H
#define GUESTS_LIB_NESTBED_H

#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/types.h"

/* What L1 executed on this CPU so far: NB_OP_COUNTERS. Which accesses to the control structure are
 * counted depends on the vendor: nestbed_access_names. */
#define NESTBED_ACCESSES 3
struct nestbed_counters {
	u64 exits;
	u64 accesses[NESTBED_ACCESSES];
};

/* VMX or SVM: by the vendor of the CPU, since a guest hypervisor hides the features. */
bool nestbed_is_svm(void);

/* What `accesses` counts: vmreads, vmwrites, vmptrlds, or vmloads, vmsaves, map_words. */
const char *const *nestbed_access_names(void);

/* Our level (2, 3 ...) from the CPUID signature; 0 without Nestbed below. */
u32 nestbed_level(void);

/* NB_OP_NOP, NB_OP_DROP_STAGE2, NB_OP_STATS_RESET. */
enum nb_status nestbed_call(enum nb_op op);

enum nb_status nestbed_counters(struct nestbed_counters *counters);

/* NB_OP_STRATEGY or NB_OP_LOG with a text in identity-mapped memory. */
enum nb_status nestbed_call_text(enum nb_op op, const char *text);

#endif
