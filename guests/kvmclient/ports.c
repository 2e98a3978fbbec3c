/*
 * The machine's ports that KVM does not keep for itself: COM1, COM2, a clock that stands, Nestbed's
 * log port and the exit ports. Every other port reads as if nothing were there.
 */
#include <string.h>
#include <sys/ioctl.h>

#include "guests/kvmclient/client.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"

#define COM1     0x3f8
#define COM2     0x2f8
#define COM1_IRQ 4
#define COM2_IRQ 3
#define RTC_DATA 0x71

/* Both are edges to the interrupt controller: told whenever they change. */
static void tell_line(const struct machine *m, const struct uart *u, u32 irq, bool before)
{
	const struct kvm_irq_level line = { .irq = irq, .level = uart_interrupt(u) };

	if (uart_interrupt(u) != before)
		kvm_call(m->vm, KVM_IRQ_LINE, &line, "an interrupt");
}

static void serve_uart(struct machine *m, struct uart *u, u32 irq, u16 offset, u8 *data, bool out)
{
	bool before = uart_interrupt(u);

	if (out)
		uart_write(u, offset, *data);
	else
		*data = uart_read(u, offset);
	tell_line(m, u, irq, before);
}

/* Either port ends the machine; a guest's status is 0 when it did well. */
static void serve_exit(struct machine *m, u16 port, const u8 *data)
{
	m->good = port == NB_PORT_BOCHS_EXIT ? *data == 'D' : *data == 0;
	m->ended = true;
}

void ports_serve(struct machine *m)
{
	const struct kvm_run *run = m->run;
	u8 *data = (u8 *)m->run + run->io.data_offset;
	bool out = run->io.direction == KVM_EXIT_IO_OUT;
	u16 port = run->io.port;

	for (u32 i = 0; i < run->io.count && !m->ended; i++, data += run->io.size) {
		if (!out)
			memset(data, 0xff, run->io.size);
		if (port >= COM1 && port < COM1 + UART_PORTS)
			serve_uart(m, &m->com1, COM1_IRQ, port - COM1, data, out);
		else if (port >= COM2 && port < COM2 + UART_PORTS)
			serve_uart(m, &m->com2, COM2_IRQ, port - COM2, data, out);
		else if (!out && port == RTC_DATA)
			*data = 0; /* stands, and so is never just being updated */
		else if (out && port == NB_PORT_LOG)
			putc(*data, m->com2.output);
		else if (out && (port == NB_PORT_BOCHS_EXIT || port == NB_PORT_QEMU_EXIT))
			serve_exit(m, port, data);
	}
}
