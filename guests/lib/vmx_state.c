/*
 * Host and guest state areas of the current VMCS. The host is this CPU as it stands; an inner
 * guest starts either as its mirror image in 64-bit mode or as a Multiboot kernel starts.
 */
#include "guests/lib/vmx.h"

#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define AR_CODE64 0xa09bU
#define AR_CODE32 0xc09bU
#define AR_DATA   0xc093U
#define AR_TSS    0x008bU

#define LIMIT_FLAT 0xffffffffU
#define LIMIT_TSS  0x67U
#define DR7_RESET  0x400U

extern char vmx_exited[];

struct segment {
	u16 selector;
	u32 ar;
	u64 base;
	u32 limit;
};

static void write_segment(u32 selector, const struct segment *s)
{
	/* The four fields of a segment follow the same order from ES to TR in each of their types.
	 */
	u32 index = selector - VMCS_GUEST_ES_SELECTOR;

	vmx_set(selector, s->selector);
	vmx_set(VMCS_GUEST_ES_AR + index, s->ar);
	vmx_set(VMCS_GUEST_ES_LIMIT + index, s->limit);
	vmx_set(VMCS_GUEST_ES_BASE + index, s->base);
}

static void write_table(u32 base_field, u32 limit_field, const struct table_pointer *table)
{
	vmx_set(base_field, table->base);
	vmx_set(limit_field, table->limit);
}

void vmx_write_host_state(union vmx_regs *regs)
{
	struct table_pointer gdt, idt;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));

	vmx_set(VMCS_HOST_CR0, read_cr0());
	vmx_set(VMCS_HOST_CR3, read_cr3());
	vmx_set(VMCS_HOST_CR4, read_cr4());
	vmx_set(VMCS_HOST_RSP, (u64)regs);
	vmx_set(VMCS_HOST_RIP, (u64)vmx_exited);
	vmx_set(VMCS_HOST_CS_SELECTOR, SEL_CODE64);
	vmx_set(VMCS_HOST_SS_SELECTOR, SEL_DATA);
	vmx_set(VMCS_HOST_DS_SELECTOR, SEL_DATA);
	vmx_set(VMCS_HOST_ES_SELECTOR, SEL_DATA);
	vmx_set(VMCS_HOST_FS_SELECTOR, SEL_DATA);
	vmx_set(VMCS_HOST_GS_SELECTOR, SEL_DATA);
	vmx_set(VMCS_HOST_TR_SELECTOR, SEL_TSS);
	vmx_set(VMCS_HOST_FS_BASE, rdmsr(MSR_FS_BASE));
	vmx_set(VMCS_HOST_GS_BASE, rdmsr(MSR_GS_BASE));
	vmx_set(VMCS_HOST_TR_BASE, (u64)&guest_tss);
	vmx_set(VMCS_HOST_GDTR_BASE, gdt.base);
	vmx_set(VMCS_HOST_IDTR_BASE, idt.base);
	vmx_set(VMCS_HOST_SYSENTER_CS, rdmsr(MSR_SYSENTER_CS));
	vmx_set(VMCS_HOST_SYSENTER_ESP, rdmsr(MSR_SYSENTER_ESP));
	vmx_set(VMCS_HOST_SYSENTER_EIP, rdmsr(MSR_SYSENTER_EIP));

	u64 exit = vmx_get(VMCS_EXIT_CONTROLS);

	if (exit & EXIT_LOAD_EFER)
		vmx_set(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	if (exit & EXIT_LOAD_PAT)
		vmx_set(VMCS_HOST_PAT, rdmsr(MSR_PAT));
}

/* What both kinds of guests start with alike. */
static void write_common(const struct vmx_controls *controls, u64 efer)
{
	if (controls->entry & ENTRY_LOAD_EFER)
		vmx_set(VMCS_GUEST_EFER, efer);
	if (controls->entry & ENTRY_LOAD_PAT)
		vmx_set(VMCS_GUEST_PAT, rdmsr(MSR_PAT));
	vmx_set(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmx_set(VMCS_GUEST_ACTIVITY, VMX_ACTIVE);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmx_set(VMCS_GUEST_PENDING_DEBUG, 0);
	vmx_set(VMCS_GUEST_DR7, DR7_RESET);
	vmx_set(VMCS_GUEST_DEBUGCTL, 0);
	vmx_set(VMCS_GUEST_SYSENTER_CS, 0);
	vmx_set(VMCS_GUEST_SYSENTER_ESP, 0);
	vmx_set(VMCS_GUEST_SYSENTER_EIP, 0);
	vmx_set(VMCS_LINK_POINTER, ~0ULL);
}

static void write_segments(const struct segment *code, const struct segment *data,
			   const struct segment *task)
{
	const struct segment ldt = { .ar = (u32)AR_UNUSABLE };

	write_segment(VMCS_GUEST_CS_SELECTOR, code);
	write_segment(VMCS_GUEST_SS_SELECTOR, data);
	write_segment(VMCS_GUEST_DS_SELECTOR, data);
	write_segment(VMCS_GUEST_ES_SELECTOR, data);
	write_segment(VMCS_GUEST_FS_SELECTOR, data);
	write_segment(VMCS_GUEST_GS_SELECTOR, data);
	write_segment(VMCS_GUEST_TR_SELECTOR, task);
	write_segment(VMCS_GUEST_LDTR_SELECTOR, &ldt);
}

void vmx_write_guest_long(const struct vmx_controls *controls, u64 rip, u64 rsp)
{
	const struct segment code = { SEL_CODE64, AR_CODE64, 0, LIMIT_FLAT };
	const struct segment data = { SEL_DATA, AR_DATA, 0, LIMIT_FLAT };
	const struct segment task = { SEL_TSS, AR_TSS, (u64)&guest_tss, LIMIT_TSS };
	struct table_pointer gdt, idt;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	write_common(controls, rdmsr(MSR_EFER));
	write_segments(&code, &data, &task);
	write_table(VMCS_GUEST_GDTR_BASE, VMCS_GUEST_GDTR_LIMIT, &gdt);
	write_table(VMCS_GUEST_IDTR_BASE, VMCS_GUEST_IDTR_LIMIT, &idt);
	vmx_set(VMCS_GUEST_CR0, read_cr0());
	vmx_set(VMCS_GUEST_CR3, read_cr3());
	vmx_set(VMCS_GUEST_CR4, read_cr4());
	vmx_set(VMCS_GUEST_RIP, rip);
	vmx_set(VMCS_GUEST_RSP, rsp);
}

void vmx_write_guest_protected(const struct vmx_controls *controls, u64 cr0, u32 eip)
{
	const struct segment code = { SEL_CODE32, AR_CODE32, 0, LIMIT_FLAT };
	const struct segment data = { SEL_DATA, AR_DATA, 0, LIMIT_FLAT };
	const struct segment task = { SEL_TSS, AR_TSS, 0, LIMIT_TSS };
	const struct table_pointer empty = { 0, 0 };

	write_common(controls, 0);
	write_segments(&code, &data, &task);
	write_table(VMCS_GUEST_GDTR_BASE, VMCS_GUEST_GDTR_LIMIT, &empty);
	write_table(VMCS_GUEST_IDTR_BASE, VMCS_GUEST_IDTR_LIMIT, &empty);
	vmx_set(VMCS_GUEST_CR0, cr0);
	vmx_set(VMCS_GUEST_CR3, 0);
	vmx_set(VMCS_GUEST_CR4, rdmsr(MSR_VMX_CR4_FIXED0));
	vmx_set(VMCS_GUEST_RIP, eip);
	vmx_set(VMCS_GUEST_RSP, 0);
}
