/*
 * What L1 tells of itself: at the start which machine and ways it has, at the end its exit tables
 * and counters of all CPUs.
 */
#ifndef L1_REPORT_H
#define L1_REPORT_H

#include "l1-hypervisor/options.h"

struct vcpu;

void report_start(const struct options *options);
/* That L2 is about to run without L1. As `start`, it tells the time by the TSC. */
void report_native(void);
/* The ways that are now set, as a `strategy` line. */
void report_ways(const struct ways *ways);
/* The exit tables and counters of every CPU: once, whoever asks first. */
void report_write(void);
/* L2 has ended itself by a triple fault at `rip`: says so, with the last exits, and ends. */
__attribute__((noreturn)) void report_triple_fault(struct vcpu *vcpu, u64 rip);

#endif
