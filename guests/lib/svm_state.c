/*
 * The state save area of a VMCB: an inner guest starts either as the mirror image of this CPU in
 * 64-bit mode or as a Multiboot kernel starts.
 */
#include "guests/lib/svm.h"

#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define AR_CODE64 0xa09b
#define AR_CODE32 0xc09b
#define AR_DATA   0xc093
#define AR_TSS    0x008b

#define LIMIT_FLAT 0xffffffffU
#define LIMIT_TSS  0x67U
#define DR6_RESET  0xffff0ff0U
#define DR7_RESET  0x400U

struct vmcb_segment svm_segment(u16 selector, u16 access, u32 limit, u64 base)
{
	return (struct vmcb_segment){
		.selector = selector,
		.attributes = (u16)((access & 0xff) | (access >> 4 & 0xf00)),
		.limit = limit,
		.base = base,
	};
}

static struct vmcb_segment table_at(const struct table_pointer *pointer)
{
	return (struct vmcb_segment){ .base = pointer->base, .limit = pointer->limit };
}

/* What both kinds of guests start with alike. */
static void write_common(struct vmcb *vmcb, struct vmcb_segment code, u64 rip, u64 rsp)
{
	const struct vmcb_segment data = svm_segment(SEL_DATA, AR_DATA, LIMIT_FLAT, 0);

	vmcb->s.cs = code;
	vmcb->s.ss = data;
	vmcb->s.ds = data;
	vmcb->s.es = data;
	vmcb->s.cpl = 0;
	vmcb->s.rflags = RFLAGS_FIXED;
	vmcb->s.dr6 = DR6_RESET;
	vmcb->s.dr7 = DR7_RESET;
	vmcb->s.rip = rip;
	vmcb->s.rsp = rsp;
}

void svm_write_guest_long(struct vmcb *vmcb, u64 rip, u64 rsp)
{
	struct table_pointer gdt, idt;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	write_common(vmcb, svm_segment(SEL_CODE64, AR_CODE64, LIMIT_FLAT, 0), rip, rsp);
	vmcb->s.gdtr = table_at(&gdt);
	vmcb->s.idtr = table_at(&idt);
	vmcb->s.efer = rdmsr(MSR_EFER);
	vmcb->s.cr0 = read_cr0();
	vmcb->s.cr3 = read_cr3();
	vmcb->s.cr4 = read_cr4();
	svm_vmsave((u64)vmcb);
}

void svm_write_guest_protected(struct vmcb *vmcb, u64 cr0, u32 eip)
{
	const struct table_pointer empty = { 0, 0 };

	write_common(vmcb, svm_segment(SEL_CODE32, AR_CODE32, LIMIT_FLAT, 0), eip, 0);
	vmcb->s.gdtr = table_at(&empty);
	vmcb->s.idtr = table_at(&empty);
	vmcb->s.fs = vmcb->s.ds;
	vmcb->s.gs = vmcb->s.ds;
	vmcb->s.tr = svm_segment(SEL_TSS, AR_TSS, LIMIT_TSS, 0);
	vmcb->s.efer = EFER_SVME;
	vmcb->s.cr0 = cr0;
	vmcb->s.cr3 = 0;
	vmcb->s.cr4 = 0;
}
