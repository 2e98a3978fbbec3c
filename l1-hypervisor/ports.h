/*
 * An I/O instruction of a guest, done by L1 with the guest's size.
 */
#ifndef L1_PORTS_H
#define L1_PORTS_H

#include "l1-hypervisor/leaf/insn.h"

/* IN into, or OUT from, the low `size` bytes (1, 2 or 4) of *rax, as the instruction would: a
 * 4-byte IN clears the upper half. */
static inline void port_access(u16 port, u32 size, bool in, u64 *rax)
{
	if (in) {
		if (size == 1)
			*rax = (*rax & ~0xffULL) | inb(port);
		else if (size == 2)
			*rax = (*rax & ~0xffffULL) | inw(port);
		else
			*rax = inl(port);
	} else {
		if (size == 1)
			outb(port, (u8)*rax);
		else if (size == 2)
			outw(port, (u16)*rax);
		else
			outl(port, (u32)*rax);
	}
}

#endif
