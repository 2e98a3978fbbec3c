/*
 * How L2 starts its other CPUs. While one of them waits for that, L1 watches what L2 writes to the
 * local APIC: INIT and start-up IPIs it carries out itself, everything else it passes on. When the
 * last CPU has started, the local APIC is L2's alone and no access to it exits any more.
 * QUIRK(bochs-2.7): an INIT that reaches a CPU in VMX non-root operation stays pending there for
 * ever, so hardware's own wait-for-SIPI state cannot be used for this. It is what remains when the
 * watch ends early.
 */
#ifndef L1_STARTUP_H
#define L1_STARTUP_H

#include "l1-hypervisor/leaf/types.h"

/* Begins to watch if any of L2's `cpus` is to be started. On CPU 0, with ept12. */
void startup_watch(u32 cpus);
bool startup_is_watched(void);
/* Ends the watch; CPUs that still wait do so in hardware from now on, or on SVM, which has no such
 * state, are lost to L2. */
void startup_unwatch(void);

/* Whether L2's page at this address is, or was, watched. */
bool startup_is_apic(u64 address);
/* L2 stores to a register of the local APIC: done. */
void startup_apic_write(u32 offset, u32 value);
/* L2 writes the ICR of its x2APIC: done if true, else the write is hardware's. */
bool startup_icr_write(u64 value);

/* Waits until L2 starts this CPU: true with the vector. False when the watch ended before. */
bool startup_wait(u8 *vector);

#endif
