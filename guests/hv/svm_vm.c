/*
 * A guest's VMCB and its run loop; see vm.h and svm_vm.h. The guest owns interrupts, HLT and all
 * ports and MSRs but the few that the permission maps name.
 */
#include "guests/hv/svm_vm.h"

#include "guests/hv/answers.h"
#include "guests/hv/memory.h"
#include "guests/hv/svm_control.h"
#include "guests/hv/svm_exits.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

struct vmcb svm_vmcb;

/* What VMLOAD and VMSAVE move, of hv's own while a guest runs that shares it. */
static struct vmcb host;
static u8 iopm[IOPM_SIZE] __attribute__((aligned(4096)));
static u8 msrpm[MSRPM_SIZE] __attribute__((aligned(4096)));

void svm_fault(enum exception vector)
{
	u64 event = svm_event(EVENT_TYPE_EXCEPTION, (u8)vector);

	if (EXC_HAS_ERROR_CODE & BIT(vector))
		event |= EVENT_ERROR_CODE;
	svm_vmcb.c.event_injection = event;
}

void svm_page_fault(struct vm *vm, u64 linear, u32 error)
{
	vm->svm.seen.s.cr2 = linear;
	svm_vmcb.s.cr2 = linear;
	svm_vmcb.c.clean &= ~BIT32(CLEAN_CR2);
	svm_vmcb.c.event_injection = svm_event_with_code(EVENT_TYPE_EXCEPTION, EXC_PF, error);
}

/* INTn, INT3 and INTO are executed again: RIP still points to them. */
void svm_redeliver(void)
{
	u64 info = svm_vmcb.c.exit_int_info;
	u64 type = info & EVENT_TYPE, vector = info & EVENT_VECTOR;

	if (likely(!(info & EVENT_VALID)) || type == EVENT_TYPE_SOFTWARE ||
	    (type == EVENT_TYPE_EXCEPTION && (vector == EXC_BP || vector == EXC_OF)))
		return;
	svm_vmcb.c.event_injection = info;
}

void svm_unknown_insn(struct vm *vm)
{
	vm_break(vm, "L3 used an instruction in a form that hv does not know, at",
		 vm->svm.seen.s.rip);
}

static void intercept_msr(u32 msr)
{
	svm_intercept_msr(msrpm, msr, true, true);
}

/* EFER always: SVME is set for the processor, and not for the guest. */
static void fill_maps(void)
{
	memset(iopm, 0, sizeof(iopm));
	memset(msrpm, 0, sizeof(msrpm));
	svm_intercept_port(iopm, EMULATED_PORT);
	svm_intercept_port(iopm, NB_PORT_QEMU_EXIT);
	svm_intercept_port(iopm, NB_PORT_BOCHS_EXIT);
	intercept_msr(MSR_PAT);
	intercept_msr(MSR_XSS);
	intercept_msr(MSR_EFER);
	for (u32 msr = MSR_VM_CR; msr <= MSR_SVM_KEY; msr++)
		intercept_msr(msr);
}

static void write_intercepts(const struct vm *vm)
{
	struct vmcb_control *c = &svm_vmcb.c;

	c->intercept1 |= INTERCEPT1_CPUID | INTERCEPT1_INVD | INTERCEPT1_INVLPGA | INTERCEPT1_IOIO |
			 INTERCEPT1_MSR | INTERCEPT1_SHUTDOWN;
	c->intercept2 |= INTERCEPT2_SVM | INTERCEPT2_XSETBV;
	c->iopm_base = (u64)iopm;
	c->msrpm_base = (u64)msrpm;
	if (vm->stage2)
		return;
	c->intercept1 |= INTERCEPT1_INVLPG;
	c->intercept_cr = INTERCEPT_CR_READ(0) | INTERCEPT_CR_READ(3) | INTERCEPT_CR_READ(4) |
			  INTERCEPT_CR_WRITE(0) | INTERCEPT_CR_WRITE(3) | INTERCEPT_CR_WRITE(4);
	c->intercept_exceptions = BIT32(EXC_PF);
}

static const char *check_profile(const char *name)
{
	struct svm_profile profile;

	return svm_profile_find(name, &profile);
}

static const char *create(struct vm *vm, const char *profile, bool stage2_wanted, u32 eip)
{
	struct svm_features features;
	const char *refused = svm_profile_find(profile, &vm->svm.profile);

	if (refused)
		return refused;
	svm_read_features(&features);
	vm->stage2 = stage2_wanted && (features.bits & SVM_FEATURE_NPT);
	vm->svm.has_next_rip = features.bits & SVM_FEATURE_NRIPS;
	vm->svm.clean = features.bits & SVM_FEATURE_CLEAN_BITS ? CLEAN_ALL : 0;

	fill_maps();
	svm_write_controls(&svm_vmcb);
	write_intercepts(vm);
	svm_write_guest_protected(&svm_vmcb, vm->cr0, eip);
	/* An earlier run may have left translations under the same ASID. */
	svm_vmcb.c.tlb_control = TLB_FLUSH_ALL;
	if (vm->stage2)
		svm_use_npt(&svm_vmcb, memory_create());
	svm_control_create(vm);
	memcpy(&vm->svm.seen, &svm_vmcb, sizeof(vm->svm.seen));
	return NULL;
}

static void enter(struct vm *vm)
{
	svm_enter(&vm->regs.svm, &svm_vmcb, vm->svm.profile.entry);
}

/* Answers an exit; returns whether the guest goes on. */
static bool answer(struct vm *vm)
{
	vm->svm.profile.read(&vm->svm.profile, &svm_vmcb, &vm->svm.seen);
	svm_vmcb.c.clean = vm->svm.clean;
	svm_exit_handle(vm);
	vm->svm.profile.write(&vm->svm.profile, &svm_vmcb, &vm->svm.seen);
	return likely(vm->end == VM_RUNS);
}

/* A profile that does not swap what VMLOAD and VMSAVE move leaves the guest's in the processor:
 * hv itself needs none of it, since it takes no interrupts and its exceptions are fatal. */
static void run(struct vm *vm)
{
	svm_vmsave((u64)&host);
	svm_vmload((u64)&svm_vmcb);
	enter(vm);
	/* With shadow page tables every entry flushes; see shadow.c. */
	svm_vmcb.c.tlb_control = vm->stage2 ? TLB_KEEP : TLB_FLUSH_ALL;
	vm->svm.seen.c.tlb_control = svm_vmcb.c.tlb_control;
	while (answer(vm))
		enter(vm);
	svm_vmload((u64)&host);
}

static void publish_pat(struct vm *vm)
{
	if (!vm->stage2)
		return; /* there is no PAT of the guest's then */
	svm_vmcb.s.g_pat = vm->pat;
	svm_vmcb.c.clean &= ~BIT32(CLEAN_NP);
}

const struct vendor svm_vendor = {
	.stage2_name = "npt",
	.check_profile = check_profile,
	.start = svm_start,
	.stop = svm_stop,
	.create = create,
	.run = run,
	.publish_control = svm_publish_control,
	.publish_pat = publish_pat,
};
