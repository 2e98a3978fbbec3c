/*
 * The registers of a 16550A; see uart.h. (National Semiconductor PC16550D, "Registers".)
 */
#include "guests/kvmclient/uart.h"

enum uart_register {
	UART_DATA = 0,       /* divisor latch, low, with LINE_DIVISOR */
	UART_INTERRUPTS = 1, /* divisor latch, high */
	UART_CAUSE = 2,      /* written: FIFO control */
	UART_LINE = 3,
	UART_MODEM = 4,
	UART_LINE_STATUS = 5,
	UART_MODEM_STATUS = 6,
	UART_SCRATCH = 7,
};

#define LINE_DIVISOR      0x80
#define INTERRUPTS_ALL    0x0f
#define INTERRUPT_EMPTY   0x02
#define CAUSE_NONE        0x01
#define CAUSE_EMPTY       0x02
#define CAUSE_FIFO        0xc0
#define FIFO_ON           0x01
#define MODEM_ALL         0x1f
#define MODEM_LOOP        0x10
#define STATUS_DRAINED    0x60 /* everything is sent */
#define MODEM_ALL_PRESENT 0xb0 /* carrier, data set ready, clear to send */

bool uart_interrupt(const struct uart *u)
{
	return u->empty_pending && u->interrupt_enable & INTERRUPT_EMPTY;
}

static u8 cause(struct uart *u)
{
	u8 value = u->fifo ? CAUSE_FIFO : 0;

	if (!uart_interrupt(u))
		return value | CAUSE_NONE;
	u->empty_pending = false;
	return value | CAUSE_EMPTY;
}

/* In loop mode the outputs are the inputs: RTS, DTR, OUT1, OUT2 become CTS, DSR, RI, DCD. */
static u8 modem_status(const struct uart *u)
{
	u8 out = u->modem_control;

	if (!(out & MODEM_LOOP))
		return MODEM_ALL_PRESENT;
	return (u8)((out & 2) << 3 | (out & 1) << 5 | (out & 4) << 4 | (out & 8) << 4);
}

void uart_write(struct uart *u, u16 offset, u8 value)
{
	if (offset <= UART_INTERRUPTS && u->line_control & LINE_DIVISOR) {
		u->divisor[offset] = value;
		return;
	}
	switch (offset) {
	case UART_DATA:
		if (!(u->modem_control & MODEM_LOOP))
			putc(value, u->output);
		u->empty_pending = true;
		break;
	case UART_INTERRUPTS:
		if (value & ~u->interrupt_enable & INTERRUPT_EMPTY)
			u->empty_pending = true;
		u->interrupt_enable = value & INTERRUPTS_ALL;
		break;
	case UART_CAUSE:
		u->fifo = value & FIFO_ON;
		break;
	case UART_LINE:
		u->line_control = value;
		break;
	case UART_MODEM:
		u->modem_control = value & MODEM_ALL;
		break;
	case UART_SCRATCH:
		u->scratch = value;
		break;
	default: /* the status registers are not for writing */
		break;
	}
}

u8 uart_read(struct uart *u, u16 offset)
{
	if (offset <= UART_INTERRUPTS && u->line_control & LINE_DIVISOR)
		return u->divisor[offset];
	switch (offset) {
	case UART_INTERRUPTS:
		return u->interrupt_enable;
	case UART_CAUSE:
		return cause(u);
	case UART_LINE:
		return u->line_control;
	case UART_MODEM:
		return u->modem_control;
	case UART_LINE_STATUS:
		return STATUS_DRAINED;
	case UART_MODEM_STATUS:
		return modem_status(u);
	case UART_SCRATCH:
		return u->scratch;
	default: /* nothing was received */
		return 0;
	}
}
