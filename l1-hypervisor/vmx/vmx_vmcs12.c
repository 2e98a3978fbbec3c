/*
 * vmcs12: the controls under which L2 owns the machine, L1's host state, and how L2 begins.
 */
#include "l1-hypervisor/apic.h"
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/exceptions.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/startup.h"
#include "l1-hypervisor/vmx/vmx.h"
#include "shadow-vmcs/bitmap.h"
#include "shadow-vmcs/vmcs_hw.h"

#define AR_CODE32 (0x9bU | (u32)AR_DB | (u32)AR_G)
#define AR_CODE64 (0x9bU | (u32)AR_L | (u32)AR_G)
#define AR_DATA32 (0x93U | (u32)AR_DB | (u32)AR_G)
#define AR_CODE16 0x9bU
#define AR_DATA16 0x93U
#define AR_TSS    0x8bU
#define AR_LDT    0x82U

void vmx_exit(void);

void vmx_write_host_state(struct vcpu *vcpu)
{
	struct cpu *cpu = this_cpu();

	vmcs_write(HOST_CR0, read_cr0());
	vmcs_write(HOST_CR3, memory_cr3());
	vmcs_write(HOST_CR4, read_cr4());
	vmcs_write(HOST_CS_SELECTOR, SEL_CODE64);
	vmcs_write(HOST_SS_SELECTOR, SEL_DATA);
	vmcs_write(HOST_DS_SELECTOR, SEL_DATA);
	vmcs_write(HOST_ES_SELECTOR, SEL_DATA);
	vmcs_write(HOST_FS_SELECTOR, 0);
	vmcs_write(HOST_GS_SELECTOR, 0);
	vmcs_write(HOST_TR_SELECTOR, SEL_TSS);
	vmcs_write(HOST_FS_BASE, 0);
	vmcs_write(HOST_GS_BASE, (u64)cpu);
	vmcs_write(HOST_TR_BASE, (u64)&cpu->tss);
	vmcs_write(HOST_GDTR_BASE, (u64)cpu->gdt);
	vmcs_write(HOST_IDTR_BASE, exceptions_base());
	vmcs_write(HOST_SYSENTER_CS, 0);
	vmcs_write(HOST_SYSENTER_ESP, 0);
	vmcs_write(HOST_SYSENTER_EIP, 0);
	vmcs_write(HOST_EFER, rdmsr(MSR_EFER));
	vmcs_write(HOST_RSP, (u64)&vcpu->regs.r[REG_RSP]);
	vmcs_write(HOST_RIP, (u64)vmx_exit);
}

/* Intercepts of L1's own: the MSRs that say what VMX can do and those that L2 does not have,
 * IA32_APIC_BASE, writes to the exit ports, and start-up IPIs while CPUs wait for them. */
static void fill_bitmaps12(struct vmx_nested *n)
{
	bitmap_set(n->msr_bitmap12, MSR_BITMAP_READ_LOW + MSR_FEATURE_CONTROL);
	bitmap_set(n->msr_bitmap12, MSR_BITMAP_WRITE_LOW + MSR_FEATURE_CONTROL);
	bitmap_set(n->msr_bitmap12, MSR_BITMAP_WRITE_LOW + MSR_APIC_BASE);
	for (u32 msr = MSR_VMX_BASIC; msr <= MSR_VMX_VMFUNC; msr++)
		bitmap_set(n->msr_bitmap12, MSR_BITMAP_READ_LOW + msr);
	vmx_withhold_msrs(n->msr_bitmap12);
	if (startup_is_watched())
		bitmap_set(n->msr_bitmap12, MSR_BITMAP_WRITE_LOW + MSR_X2APIC_ICR);
	for (u32 port = 0; port < 4; port++)
		bitmap_set(&n->io_bitmaps12[0], NB_PORT_QEMU_EXIT + port);
	bitmap_set(&n->io_bitmaps12[1], NB_PORT_BOCHS_EXIT % BITMAP_BITS);
	/* For an L3 whose ports L2 does not intercept at all. */
	memcpy(n->io_bitmaps13, n->io_bitmaps12, 2 * PAGE_SIZE);
}

/* Controls, VPID and link pointer by the ways that are set. vmcs12 is loaded. */
void vmx_vmcs12_ways(struct vmx_vcpu *v)
{
	struct vmcs_fields *c = &v->nested.v12;
	u32 vpid = v->ways.tlb == WAY_TLB_VPID ? PROC2_VPID : 0;

	vmcs_set(c, PROC_CONTROLS2,
		 vmx_controls(MSR_VMX_PROCBASED_CTLS2, PROC2_EPT | PROC2_UNRESTRICTED_GUEST | vpid |
							       PROC2_RDTSCP | PROC2_INVPCID |
							       PROC2_XSAVES));
	vmcs_set(c, VPID, vpid ? VPID_L2 : 0);
	vmcs_write(PROC_CONTROLS2, vmcs_get(c, PROC_CONTROLS2));
	vmcs_write(VPID, vmcs_get(c, VPID));
	vmcs_write(LINK_POINTER, ~0ULL);
	vmcs_write(VMREAD_BITMAP, physical_of(v->nested.vmread_bitmap).v);
	vmcs_write(VMWRITE_BITMAP, physical_of(v->nested.vmwrite_bitmap).v);
}

static void write_controls(struct vmx_vcpu *v)
{
	struct vmcs_fields *c = &v->nested.v12;

	vmcs_set(c, PIN_CONTROLS, vmx_controls(MSR_VMX_PINBASED_CTLS, 0));
	vmcs_set(c, PROC_CONTROLS,
		 vmx_controls(MSR_VMX_PROCBASED_CTLS,
			      PROC_MSR_BITMAPS | PROC_IO_BITMAPS | PROC_SECONDARY));
	vmcs_set(c, EXIT_CONTROLS,
		 vmx_controls(MSR_VMX_EXIT_CTLS,
			      EXIT_HOST_64 | EXIT_SAVE_DEBUG | EXIT_SAVE_EFER | EXIT_LOAD_EFER));
	vmcs_set(c, ENTRY_CONTROLS,
		 vmx_controls(MSR_VMX_ENTRY_CTLS, ENTRY_LOAD_DEBUG | ENTRY_LOAD_EFER));
	vmcs_set(c, EPTP, stage2_root_pointer());
	vmcs_set(c, MSR_BITMAP, physical_of(v->nested.msr_bitmap12).v);
	vmcs_set(c, IO_BITMAP_A, physical_of(v->nested.io_bitmaps12).v);
	vmcs_set(c, IO_BITMAP_B, physical_of(v->nested.io_bitmaps12).v + PAGE_SIZE);
	vmcs_set(c, CR0_MASK, CR0_NE);
	vmcs_set(c, CR4_MASK, CR4_VMXE);
	for (int row = 0; row < VMCS_ROWS; row++) {
		if (vmcs_table[row].type == VMCS_TYPE_CONTROL)
			vmwrite_raw(vmcs_table[row].encoding, c->f[row]);
	}
}

void vmx_vmcs12_init(struct vmx_vcpu *v)
{
	fill_bitmaps12(&v->nested);
	write_controls(v);
	vmx_write_host_state(v->vcpu);
}

static void write_flat_segments(u32 code_ar, u32 data_ar, u16 cs, u16 ds, u32 limit)
{
	vmcs_write(GUEST_CS_SELECTOR, cs);
	vmcs_write(GUEST_CS_BASE, (u64)(code_ar == AR_CODE16 ? cs << 4 : 0));
	vmcs_write(GUEST_CS_LIMIT, limit);
	vmcs_write(GUEST_CS_AR, code_ar);
#define DATA_SEGMENT(NAME)                       \
	vmcs_write(GUEST_##NAME##_SELECTOR, ds); \
	vmcs_write(GUEST_##NAME##_BASE, 0);      \
	vmcs_write(GUEST_##NAME##_LIMIT, limit); \
	vmcs_write(GUEST_##NAME##_AR, data_ar);
	DATA_SEGMENT(DS)
	DATA_SEGMENT(ES)
	DATA_SEGMENT(SS)
	DATA_SEGMENT(FS)
	DATA_SEGMENT(GS)
#undef DATA_SEGMENT
	vmcs_write(GUEST_TR_SELECTOR, 0);
	vmcs_write(GUEST_TR_BASE, 0);
	vmcs_write(GUEST_TR_LIMIT, 0xffff);
	vmcs_write(GUEST_TR_AR, AR_TSS);
	vmcs_write(GUEST_LDTR_SELECTOR, 0);
	vmcs_write(GUEST_LDTR_BASE, 0);
	vmcs_write(GUEST_LDTR_LIMIT, 0xffff);
	vmcs_write(GUEST_LDTR_AR, AR_LDT);
}

/* The state common to every start: SDM 3A "Processor State After Reset". */
static void write_reset_state(void)
{
	vmcs_write(GUEST_RFLAGS, RFLAGS_FIXED);
	vmcs_write(GUEST_RSP, 0);
	vmcs_write(GUEST_CR3, 0);
	vmcs_write(GUEST_CR4, CR4_VMXE);
	vmcs_write(CR4_SHADOW, 0);
	vmcs_write(GUEST_EFER, 0);
	vmcs_write(GUEST_DR7, 0x400);
	vmcs_write(GUEST_DEBUGCTL, 0);
	vmcs_write(GUEST_GDTR_BASE, 0);
	vmcs_write(GUEST_GDTR_LIMIT, 0xffff);
	vmcs_write(GUEST_IDTR_BASE, 0);
	vmcs_write(GUEST_IDTR_LIMIT, 0xffff);
	vmcs_write(GUEST_SYSENTER_CS, 0);
	vmcs_write(GUEST_SYSENTER_ESP, 0);
	vmcs_write(GUEST_SYSENTER_EIP, 0);
	vmcs_write(GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(GUEST_PENDING_DEBUG, 0);
	vmcs_write(GUEST_ACTIVITY, VMX_ACTIVE);
}

/* CR0 as L2 sees it: NE must really be 1 in VMX operation, so L2's own NE is in the shadow. */
static void write_guest_cr0(u64 cr0)
{
	vmcs_write(GUEST_CR0, cr0 | CR0_NE | CR0_ET);
	vmcs_write(CR0_SHADOW, cr0 | CR0_ET);
}

static void start_protected(struct vcpu *vcpu, const struct load_plan *plan)
{
	write_flat_segments(AR_CODE32, AR_DATA32, SEL_CODE32, SEL_DATA, 0xffffffff);
	write_guest_cr0(CR0_PE);
	vcpu->regs.r[REG_RAX] = MULTIBOOT_BOOT_MAGIC;
	vcpu->regs.r[REG_RBX] = plan->info;
}

static void start_long(struct vcpu *vcpu, const struct load_plan *plan)
{
	write_flat_segments(AR_CODE64, AR_DATA32, LOAD_LONG_CS, LOAD_LONG_DS, 0xffffffff);
	write_guest_cr0(CR0_PE | CR0_PG);
	vmcs_write(GUEST_CR3, plan->cr3);
	vmcs_write(GUEST_CR4, CR4_PAE | CR4_VMXE);
	vmcs_write(CR4_SHADOW, CR4_PAE);
	vmcs_write(GUEST_EFER, EFER_LME | EFER_LMA);
	vmcs_write(ENTRY_CONTROLS, vmcs_read(ENTRY_CONTROLS) | ENTRY_GUEST_64);
	vmcs_write(GUEST_GDTR_BASE, plan->gdt);
	vmcs_write(GUEST_GDTR_LIMIT, plan->gdt_limit);
	vcpu->regs.r[REG_RSI] = plan->info;
}

void vmx_start(struct vcpu *vcpu, const struct load_plan *plan)
{
	write_reset_state();
	vmcs_write(GUEST_RIP, plan->entry);
	if (plan->mode == LOAD_PROTECTED)
		start_protected(vcpu, plan);
	else
		start_long(vcpu, plan);
}

/* SDM 3A "Processor State After Reset" with INIT's exceptions, waiting for a start-up IPI. */
void vmx_wait_for_sipi(struct vcpu *vcpu)
{
	vcpu->regs = (struct regs){ .r[REG_RDX] = cpuid(1, 0).eax, .r[REG_RSP] = REG_RSP_POISON };
	write_reset_state();
	write_flat_segments(AR_CODE16, AR_DATA16, 0xf000, 0, 0xffff);
	vmcs_write(GUEST_CS_BASE, 0xffff0000);
	vmcs_write(GUEST_RIP, 0xfff0);
	write_guest_cr0(0);
	vmcs_write(ENTRY_CONTROLS, vmcs_read(ENTRY_CONTROLS) & ~ENTRY_GUEST_64);
	vmcs_write(GUEST_ACTIVITY, VMX_WAIT_FOR_SIPI);
}

/* SDM 3A "MP Initialization Protocol": the vector is the page where real mode begins. */
void vmx_start_up(struct vcpu *vcpu, u8 vector)
{
	(void)vcpu;
	vmcs_write(GUEST_CS_SELECTOR, (u64)vector << 8);
	vmcs_write(GUEST_CS_BASE, (u64)vector << 12);
	vmcs_write(GUEST_RIP, 0);
	vmcs_write(GUEST_ACTIVITY, VMX_ACTIVE);
	/* QUIRK(bochs-2.7): an exit from the wait saves blocking by SMI, which an entry refuses. */
	vmcs_write(GUEST_INTERRUPTIBILITY, 0);
}
