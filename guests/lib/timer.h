/*
 * A one-shot timer: PIT channel 0 through the PIC. Ports only, so that it works without knowing
 * where the local APIC is, and for a guest inside a guest whose memory lies elsewhere.
 */
#ifndef GUESTS_LIB_TIMER_H
#define GUESTS_LIB_TIMER_H

#include "l1-hypervisor/leaf/types.h"

/* The timer's interrupt vector. */
#define TIMER_VECTOR 0x20

/* Masks all interrupts of the PIC, which firmware may have left open. */
void timer_off(void);

/* Moves the PIC's vectors to TIMER_VECTOR and up, lets only the timer through. */
void timer_init(void);

/* One interrupt after `count` periods of 1.193182 MHz; an earlier one that waits is forgotten. */
void timer_arm(u16 count);

/* Interrupts taken since timer_init(). */
u64 timer_count(void);

#endif
