/*
 * COM1, polled: the guests' only output.
 */
#ifndef GUESTS_LIB_SERIAL_H
#define GUESTS_LIB_SERIAL_H

#include "l1-hypervisor/leaf/types.h"

/* 115200 baud, 8 bits, no parity, 1 stop bit, no interrupts. */
void serial_init(void);

void serial_write(const char *text, size_t length);

/* Waits until the last bit has left: a platform that ends earlier loses it. */
void serial_drain(void);

#endif
