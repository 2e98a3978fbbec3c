/*
 * Exits of L3 that L2 does not want: L1 serves them, and L2 does not learn of them. They come from
 * L1's own bookkeeping (merged tables and permission maps) or from what L1 keeps from every guest.
 */
#include "l1-hypervisor/ports.h"
#include "l1-hypervisor/startup.h"
#include "l1-hypervisor/svm/svm.h"
#include "shadow-vmcs/svm_exits.h"
#include "shadow-vmcs/svm_maps.h"

enum outcome svm_handle_npf_of_l3(struct vcpu *vcpu, u32 exit)
{
	struct svm_nested *n = &svm_of(vcpu)->nested;

	if (!n->current->npt13)
		return svm_handle_npf(vcpu, exit);
	/* Nobody decodes stores of L3. */
	if (unlikely(startup_is_watched()))
		startup_unwatch();
	return svm_stage2_miss(n);
}

/* The exit ports are the only ones that L1 wants. L1 does the other accesses itself, because L2's
 * maps are memory that may change while L3 runs: the next access asks them again. Only a string
 * instruction runs on merged maps.
 * DEVIATION: an I/O breakpoint of L3 does not see what L1 does. */
static enum outcome io(struct vcpu *vcpu, u32 exit)
{
	struct svm_nested *n = &svm_of(vcpu)->nested;
	u64 info = vcpu->run.vmcb->c.exit_info1;
	u16 port = (u16)(info >> IOIO_PORT_SHIFT);
	u32 size = (u32)(info & IOIO_SIZE) >> IOIO_SIZE_SHIFT;

	if (svm_iopm_exits(n->maps.iopm12, port, size))
		return svm_handle_io(vcpu, exit);
	if (info & (IOIO_STRING | IOIO_REP)) {
		svm_merge_iopm(n);
		return OUTCOME_RESUME;
	}
	if (!svm_find_end(vcpu, exit))
		return OUTCOME_RESUME;
	port_access(port, size, info & IOIO_IN, &vcpu->regs.r[REG_RAX]);
	return OUTCOME_ADVANCE;
}

static enum outcome insn(struct vcpu *vcpu, u32 exit)
{
	if (!svm_svme(&svm_of(vcpu)->nested))
		return svm_fault(vcpu, EXC_UD, false, 0);
	if (!svm_find_end(vcpu, exit))
		return OUTCOME_RESUME;
	return svm_insn(&svm_of(vcpu)->nested, exit, vcpu->next_rip);
}

/* L3 has closed its GIF: an NMI or SMI is taken and kept for later. */
static enum outcome hold(struct vcpu *vcpu, u32 exit)
{
	if (exit == SVM_EXIT_VINTR)
		return svm_handle_vintr(vcpu, exit);
	if (exit == SVM_EXIT_INTR)
		vcpu->run.vmcb->c.int_state |= INT_STATE_SHADOW;
	else
		svm_take_held();
	if (exit == SVM_EXIT_SMI)
		add_pending(PENDING_SMI);
	return OUTCOME_RESUME;
}

enum outcome svm_handle_for_l3(struct vcpu *vcpu, u32 exit)
{
	/* Whatever the entry injected has been delivered. */
	svm_of(vcpu)->nested.current->injected = 0;
	switch (exit) {
	case SVM_EXIT_IOIO:
		return io(vcpu, exit);
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_VINTR:
		return hold(vcpu, exit);
	case SVM_EXIT_CPUID:
		return svm_handle_cpuid(vcpu, exit);
	case SVM_EXIT_MSR:
		return svm_handle_msr(vcpu, exit);
	case SVM_EXIT_INVD:
		return svm_handle_invd(vcpu, exit);
	case SVM_EXIT_SHUTDOWN:
		return svm_handle_shutdown(vcpu, exit);
	case SVM_EXIT_INIT:
		return svm_handle_init(vcpu, exit);
	case SVM_EXIT_VMMCALL:
		return svm_fault(vcpu, EXC_UD, false, 0);
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_INVLPGA:
		return insn(vcpu, exit);
	default:
		return svm_handle_none(vcpu, exit);
	}
}
