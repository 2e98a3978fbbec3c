/*
 * What the other CPUs run: a page of real-mode code, copied to SMP_PAGE, and what it notes there.
 */
#ifndef GUESTS_SMP_AP_H
#define GUESTS_SMP_AP_H

#define SMP_PAGE 0x8000

#ifndef __ASSEMBLER__

#include "l1-hypervisor/leaf/types.h"

extern const u8 smp_code[], smp_code_end[];

/* In the copy: which APIC identifiers were seen, how often a CPU started, how many of them say that
 * they are the one that booted. */
extern const u8 smp_seen[256];
extern const u16 smp_starts, smp_boot_cpus;

#endif
#endif
