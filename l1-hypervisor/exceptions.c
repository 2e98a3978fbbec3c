/*
 * L1's exception handling; see exceptions.h.
 */
#include "l1-hypervisor/exceptions.h"

#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/vcpu.h"

#define VECTORS          32
#define GATE_INTERRUPT64 0x8e00ULL

#define NMI_IST 1

struct gate {
	u64 low, high;
};

extern u64 exception_stubs[VECTORS];
extern const struct exception_fixup exception_fixups[], exception_fixups_end[];
void exception_handle(struct exception_frame *frame);

static struct gate idt[VECTORS] __attribute__((aligned(16)));

/* SDM 3A "64-Bit Mode IDT". */
void exceptions_replace_stub(u32 vector, u64 stub)
{
	idt[vector].low = (stub & 0xffff) | ((u64)SEL_CODE64 << 16) | (GATE_INTERRUPT64 << 32) |
			  (((stub >> 16) & 0xffff) << 48);
	idt[vector].high = stub >> 32;
}

void exceptions_init(void)
{
	for (u32 i = 0; i < VECTORS; i++)
		exceptions_replace_stub(i, exception_stubs[i]);
}

void exceptions_use_nmi_stack(void)
{
	idt[EXC_NMI].low |= (u64)NMI_IST << 32;
}

void exceptions_load(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (u64)idt };

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

u64 exceptions_base(void)
{
	return (u64)idt;
}

void exception_handle(struct exception_frame *frame)
{
	if (frame->vector == EXC_NMI && this_vcpu()) {
		add_pending(PENDING_NMI);
		return;
	}
	for (const struct exception_fixup *f = exception_fixups; f < exception_fixups_end; f++) {
		if (f->from == frame->rip) {
			frame->rip = f->to;
			return;
		}
	}
	panic("exception %lu in L1, error code 0x%lx, RIP 0x%lx, RSP 0x%lx, CR2 0x%lx",
	      frame->vector, frame->error_code, frame->rip, frame->rsp, read_cr2());
}
