/*
 * A serial line as a 16550A shows it: output only, sent at once. Its interrupt says that more can
 * be sent. Nothing ever arrives.
 */
#ifndef KVMCLIENT_UART_H
#define KVMCLIENT_UART_H

#include <stdio.h>

#include "l1-hypervisor/leaf/types.h"

#define UART_PORTS 8

struct uart {
	FILE *output;
	u8 interrupt_enable, line_control, modem_control, scratch;
	u8 divisor[2];
	bool fifo;
	bool empty_pending; /* "can send" was not told yet */
};

/* Register `offset` (0 to UART_PORTS - 1) is written, or read. */
void uart_write(struct uart *u, u16 offset, u8 value);
u8 uart_read(struct uart *u, u16 offset);

/* Whether the line's interrupt is asserted. */
bool uart_interrupt(const struct uart *u);

#endif
