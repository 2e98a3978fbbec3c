/*
 * COM1, polled; see serial.h. Assumes a 16550 at the usual port.
 */
#include "guests/lib/serial.h"
#include "l1-hypervisor/leaf/insn.h"

#define COM1             0x3f8
#define COM_DATA         (COM1 + 0)
#define COM_DIVISOR_LOW  (COM1 + 0)
#define COM_DIVISOR_HIGH (COM1 + 1)
#define COM_INTERRUPTS   (COM1 + 1)
#define COM_FIFO         (COM1 + 2)
#define COM_LINE         (COM1 + 3)
#define COM_MODEM        (COM1 + 4)
#define COM_STATUS       (COM1 + 5)

#define LINE_DIVISOR  0x80
#define LINE_8N1      0x03
#define MODEM_DTR_RTS 0x03
#define STATUS_READY  0x20 /* the holding register is empty */
#define STATUS_IDLE   0x60 /* the shift register is empty too */

void serial_init(void)
{
	outb(COM_INTERRUPTS, 0);
	outb(COM_LINE, LINE_DIVISOR);
	outb(COM_DIVISOR_LOW, 1);
	outb(COM_DIVISOR_HIGH, 0);
	outb(COM_LINE, LINE_8N1);
	outb(COM_FIFO, 0);
	outb(COM_MODEM, MODEM_DTR_RTS);
}

static void wait_for(u8 status)
{
	while ((inb(COM_STATUS) & status) != status)
		cpu_relax();
}

void serial_write(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		wait_for(STATUS_READY);
		outb(COM_DATA, (u8)text[i]);
	}
}

void serial_drain(void)
{
	wait_for(STATUS_IDLE);
}
