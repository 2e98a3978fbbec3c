/*
 * vmcb12: the controls under which L2 owns the machine, and how L2 begins.
 */
#include "l1-hypervisor/layout.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/svm/svm.h"

#define ATTR_CODE   (0xbU | (u32)(SEG_S | SEG_P))
#define ATTR_DATA   (0x3U | (u32)(SEG_S | SEG_P))
#define ATTR_CODE32 (ATTR_CODE | (u32)(SEG_DB | SEG_G))
#define ATTR_CODE64 (ATTR_CODE | (u32)(SEG_L | SEG_G))
#define ATTR_DATA32 (ATTR_DATA | (u32)(SEG_DB | SEG_G))
#define ATTR_TSS    (0xbU | (u32)SEG_P)
#define ATTR_LDT    (0x2U | (u32)SEG_P)

#define DR6_RESET 0xffff0ff0U
#define DR7_RESET 0x400U

static void intercept_port(u8 *iopm, u32 port)
{
	iopm[port / 8] |= (u8)BIT(port % 8);
}

/* Intercepts of L1's own: MSRs by svm_msr.c, and the exit ports. */
static void fill_maps12(struct svm_maps *maps)
{
	svm_intercept_msrs(maps->msrpm12);
	for (u32 port = 0; port < 4; port++)
		intercept_port(maps->iopm12, NB_PORT_QEMU_EXIT + port);
	intercept_port(maps->iopm12, NB_PORT_BOCHS_EXIT);
}

/* The instructions of SVM exit because L2's EFER.SVME is not hardware's; CPUID, for what L1 changes
 * of it; INVD would throw away L1's own modified lines. */
static void write_controls(struct svm_nested *n)
{
	struct vmcb_control *c = &n->v12;

	c->intercept1 = INTERCEPT1_INIT | INTERCEPT1_CPUID | INTERCEPT1_INVD | INTERCEPT1_INVLPGA |
			INTERCEPT1_IOIO | INTERCEPT1_MSR | INTERCEPT1_SHUTDOWN;
	c->intercept2 = INTERCEPT2_SVM;
	c->iopm_base = n->maps.iopm12_at.v;
	c->msrpm_base = n->maps.msrpm12_at.v;
	c->asid = ASID_L2;
	c->nested_control = NESTED_NP_ENABLE;
	c->ncr3 = stage2_root_pointer();
}

/* While L2 may not use SVM, all its instructions must exit, to be #UD. */
void svm_vmcb12_ways(struct svm_vcpu *v)
{
	struct svm_nested *n = &v->nested;
	struct vmcb_control *c = &n->vmcb12.vmcb->c;

	if (n->ways.virtual_vls && n->svme) {
		c->intercept2 &= ~(INTERCEPT2_VMLOAD | INTERCEPT2_VMSAVE);
		c->virt_ext |= VIRT_EXT_VLS;
	} else {
		c->intercept2 |= INTERCEPT2_VMLOAD | INTERCEPT2_VMSAVE;
		c->virt_ext &= ~VIRT_EXT_VLS;
	}
	svm_gif_ways(n);
	c->clean = 0;
}

void svm_vmcb12_init(struct svm_vcpu *v)
{
	struct svm_nested *n = &v->nested;

	fill_maps12(&n->maps);
	write_controls(n);
	n->vmcb12.vmcb->c = n->v12;
	svm_flush(n->vmcb12.vmcb, TLB_FLUSH_ALL);
}

static struct vmcb_segment flat(u16 selector, u32 attributes, u32 limit)
{
	return (struct vmcb_segment){ selector, (u16)attributes, limit, 0 };
}

static void write_flat_segments(struct vmcb_save *s, struct vmcb_segment code,
				struct vmcb_segment data)
{
	s->cs = code;
	s->ss = s->ds = s->es = s->fs = s->gs = data;
	s->tr = flat(0, ATTR_TSS, 0xffff);
	s->ldtr = flat(0, ATTR_LDT, 0xffff);
}

/* The state common to every start: APM 2 "Initial Processor State" (14.1.3). */
static void write_reset_state(struct vmcb_save *s)
{
	memset(s, 0, sizeof(*s));
	s->gdtr.limit = 0xffff;
	s->idtr.limit = 0xffff;
	s->efer = EFER_SVME;
	s->cr0 = CR0_ET;
	s->dr6 = DR6_RESET;
	s->dr7 = DR7_RESET;
	s->rflags = RFLAGS_FIXED;
	s->g_pat = rdmsr(MSR_PAT);
}

/* What VMRUN does not load: L2 begins with it when L1 leaves it alone from now on. */
static void load_rest(struct vcpu *vcpu)
{
	svm_vmload(&vcpu->run, svm_of(vcpu)->nested.vmcb12.at);
}

static void start_protected(struct vcpu *vcpu, struct vmcb_save *s, const struct load_plan *plan)
{
	write_flat_segments(s, flat(SEL_CODE32, ATTR_CODE32, 0xffffffff),
			    flat(SEL_DATA, ATTR_DATA32, 0xffffffff));
	s->cr0 |= CR0_PE;
	vcpu->regs.r[REG_RAX] = MULTIBOOT_BOOT_MAGIC;
	vcpu->regs.r[REG_RBX] = plan->info;
}

static void start_long(struct vcpu *vcpu, struct vmcb_save *s, const struct load_plan *plan)
{
	write_flat_segments(s, flat(LOAD_LONG_CS, ATTR_CODE64, 0xffffffff),
			    flat(LOAD_LONG_DS, ATTR_DATA32, 0xffffffff));
	s->cr0 |= CR0_PE | CR0_PG;
	s->cr3 = plan->cr3;
	s->cr4 = CR4_PAE;
	s->efer |= EFER_LME | EFER_LMA;
	s->gdtr.base = plan->gdt;
	s->gdtr.limit = plan->gdt_limit;
	vcpu->regs.r[REG_RSI] = plan->info;
}

void svm_start(struct vcpu *vcpu, const struct load_plan *plan)
{
	struct vmcb_save *s = &svm_of(vcpu)->nested.vmcb12.vmcb->s;

	write_reset_state(s);
	s->rip = plan->entry;
	if (plan->mode == LOAD_PROTECTED)
		start_protected(vcpu, s, plan);
	else
		start_long(vcpu, s, plan);
	load_rest(vcpu);
}

/* APM 2 "Initial Processor State" (14.1.3), after INIT. */
void svm_wait_for_sipi(struct vcpu *vcpu)
{
	struct vmcb *vmcb = svm_of(vcpu)->nested.vmcb12.vmcb;

	vcpu->regs = (struct regs){ .r[REG_RDX] = cpuid(1, 0).eax, .r[REG_RSP] = REG_RSP_POISON };
	write_reset_state(&vmcb->s);
	write_flat_segments(&vmcb->s, flat(0xf000, ATTR_CODE, 0xffff), flat(0, ATTR_DATA, 0xffff));
	vmcb->s.cs.base = 0xffff0000;
	vmcb->s.rip = 0xfff0;
	load_rest(vcpu);
}

/* APM 2 "Multiprocessor Initialization": the vector is the page where real mode begins. */
void svm_start_up(struct vcpu *vcpu, u8 vector)
{
	struct vmcb_save *s = &svm_of(vcpu)->nested.vmcb12.vmcb->s;

	s->cs.selector = (u16)(vector << 8);
	s->cs.base = (u64)vector << PAGE_SHIFT;
	s->rip = 0;
}
