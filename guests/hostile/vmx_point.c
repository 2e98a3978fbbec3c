/*
 * Pointers of VMX to memory that is not ours: L1's, none at all, beyond the machine. Whatever an
 * entry then does, it must not find anything there, and the next entry works as ever.
 */
#include "guests/hostile/point.h"
#include "guests/lib/inner.h"
#include "l1-hypervisor/leaf/insn.h"

CODE(point_code, 64, "vmcall");
CODE(point_read, 64, "mov (%rdi), %al\n\tvmcall");
CODE(point_write, 64, "mov %al, (%rdi)\n\tvmcall");

static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 virtual_apic[PAGE_SIZE] __attribute__((aligned(4096)));

/* Whether the inner guest got as far as its VMCALL. */
static bool reaches_its_end(void)
{
	struct inner_exit exit;

	inner_run(&exit);
	return exit.status == VMX_SUCCEED && exit.reason == VMX_EXIT_VMCALL;
}

/* Nothing that went before has broken anything. */
static bool still_works(void)
{
	inner_reset(point_code, NULL);
	return reaches_its_end();
}

static bool vmcs(u64 at)
{
	bool loaded;

	vmx_vmclear(at);
	loaded = vmx_vmptrld(at) == VMX_SUCCEED;
	vmx_vmclear(at);
	return !loaded && still_works();
}

static bool vmxon(u64 at)
{
	bool on;

	vmx_stop();
	vmx_enable();
	on = vmx_vmxon(at) == VMX_SUCCEED;
	if (on)
		vmx_vmxoff();
	inner_init();
	return !on && still_works();
}

static bool eptp(u64 at)
{
	inner_reset(point_code, &(struct vmx_controls){ .proc2 = PROC2_EPT });
	vmx_set(VMCS_EPTP, at | EPTP_WALK_4 | MEMTYPE_WB);
	return !reaches_its_end() && still_works();
}

static bool guest_cr3(u64 at)
{
	inner_reset(point_code, NULL);
	vmx_set(VMCS_GUEST_CR3, at);
	return !reaches_its_end() && still_works();
}

static bool msr_bitmap(u64 at)
{
	inner_reset(point_code, NULL);
	vmx_set(VMCS_MSR_BITMAP, at);
	reaches_its_end();
	return still_works();
}

static bool io_bitmaps(u64 at)
{
	inner_reset(point_code, &(struct vmx_controls){ .proc = PROC_IO_BITMAPS });
	vmx_set(VMCS_IO_BITMAP_A, at);
	vmx_set(VMCS_IO_BITMAP_B, at);
	reaches_its_end();
	return still_works();
}

static bool apic_pages(u64 at)
{
	inner_reset(point_code, &(struct vmx_controls){ .proc = PROC_TPR_SHADOW,
							.proc2 = PROC2_APIC_ACCESSES });
	vmx_set(VMCS_VIRTUAL_APIC_ADDR, at);
	vmx_set(VMCS_APIC_ACCESS_ADDR, at);
	vmx_set(VMCS_TPR_THRESHOLD, 0);
	reaches_its_end();
	vmx_set(VMCS_VIRTUAL_APIC_ADDR, (u64)virtual_apic);
	reaches_its_end();
	return still_works();
}

static bool msr_list(u64 at)
{
	struct inner_exit exit;

	inner_reset(point_code, NULL);
	vmx_set(VMCS_ENTRY_MSR_LOAD_ADDR, at);
	vmx_set(VMCS_ENTRY_MSR_LOAD_COUNT, 2);
	inner_run(&exit);
	return !(exit.status == VMX_SUCCEED && exit.reason == VMX_EXIT_VMCALL) && still_works();
}

static bool link_pointer(u64 at)
{
	inner_reset(point_code, NULL);
	vmx_set(VMCS_LINK_POINTER, at);
	return !reaches_its_end() && still_works();
}

/* The inner guest's page is mapped there: it may exit, or find nothing. */
static bool mapped(u64 at, const char *code)
{
	u64 *entry;

	inner_reset(code, &(struct vmx_controls){ .proc2 = PROC2_EPT });
	inner_split_ept((u64)page);
	entry = stage2_entry(&inner_ept, (u64)page, PAGE_SHIFT);
	*entry = at | EPT_RAM;
	vmx_invept(INVEPT_GLOBAL, 0, 0);
	inner_regs.rdi = (u64)page;
	return reaches_its_end();
}

static bool ept_leaf(u64 at)
{
	if (mapped(at, point_read) && (u8)inner_regs.rax != 0xff)
		return false;
	mapped(at, point_write);
	if (mapped(at, point_read) && (u8)inner_regs.rax != 0xff)
		return false;
	return still_works();
}

static const struct pointer pointers[] = {
	{ "VMXON region", vmxon },
	{ "VMCS", vmcs },
	{ "VMCS link pointer", link_pointer },
	{ "MSR bitmap", msr_bitmap },
	{ "I/O bitmaps", io_bitmaps },
	{ "VM-entry MSR-load list", msr_list },
	{ "APIC pages", apic_pages },
	{ "CR3", guest_cr3 },
	/* The rest needs EPT. */
	{ "EPTP", eptp },
	{ "EPT leaf", ept_leaf },
};

#define WITHOUT_EPT (ARRAY_SIZE(pointers) - 2)

int hostile_vmx_point(const struct hostile *h)
{
	inner_init();
	return point_run(pointers, inner_with_ept() ? ARRAY_SIZE(pointers) : WITHOUT_EPT, h);
}
