/*
 * The log channel: JSON Lines, one object a call sequence log_begin, log_text/log_number..., and
 * log_end. Objects of several CPUs never mix. In an outer Nestbed the channel is a hypercall,
 * otherwise port NB_PORT_LOG. Every object carries "ev" and "depth".
 */
#ifndef L1_LOG_H
#define L1_LOG_H

#include "l1-hypervisor/leaf/types.h"

/* Finds the channel and this copy's depth. Before it, lines go to the port with depth 1. */
void log_init(void);
void log_enable(bool on);

/* 1 for the outermost Nestbed, 2 for one that is its L2, and so on. */
u32 log_depth(void);

void log_begin(const char *event);
void log_text(const char *name, const char *text);
void log_text_n(const char *name, const char *text, size_t length);
void log_number(const char *name, u64 value);
void log_end(void);

/* Breaks the lock of the channel: for a panic on a CPU that may hold it. */
void log_panic_mode(void);

#endif
