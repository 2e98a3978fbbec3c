/*
 * What an outcome does to the guest that runs: the only place that advances RIP and raises
 * exceptions. And what waits for the next entry.
 */
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/svm/svm.h"
#include "shadow-vmcs/svm_exits.h"

#define DR6_BS BIT(14)

static void inject(struct vmcb *vmcb, u64 event)
{
	vmcb->c.event_injection = EVENT_VALID | event;
}

/* APM 2 "Exception Intercepts" (15.12): an exception of L3 that L1 raises is L2's where L2 asked
 * for it, and L3's CR2 stays as it was. */
static bool l2_takes(struct vcpu *vcpu, u8 vector, u64 info1, u64 info2)
{
	struct svm_nested *n = &svm_of(vcpu)->nested;
	u32 exit = SVM_EXIT_EXCEPTION_DE + vector;

	if (vcpu->level != 3 || !svm_l2_wants(n, exit))
		return false;
	svm_reflect_as(n, exit, info1, info2);
	return true;
}

/* APM 2 "Single Stepping" (13.1.4), "Interrupt Shadows" (15.21.5); RFLAGS.RF lasts for one
 * instruction. */
void svm_advance_rare(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu->run.vmcb;
	bool steps = vmcb->s.rflags & RFLAGS_TF;

	vmcb->c.int_state &= ~INT_STATE_SHADOW;
	vmcb->s.rflags &= ~RFLAGS_RF;
	if (!steps)
		return;
	vmcb->s.dr6 |= DR6_BS;
	svm_changed(vmcb, CLEAN_DR);
	if (!l2_takes(vcpu, EXC_DB, 0, 0))
		inject(vmcb, EVENT_TYPE_EXCEPTION | EXC_DB);
}

bool svm_find_new_end(struct vcpu *vcpu, u32 exit)
{
	const struct vmcb *vmcb = vcpu->run.vmcb;
	struct svm_vcpu *v = svm_of(vcpu);

	/* Nobody but a CPU with NRIPS writes this. */
	if (vmcb->c.next_rip) {
		vcpu->next_rip = vmcb->c.next_rip;
		return true;
	}
	if (vcpu->level != 2)
		return svm_decode_next_rip(NULL, vmcb, exit, &v->l3_memory, &vcpu->next_rip);
	return svm_decode_next_rip(&v->sites, vmcb, exit, &guest_memory, &vcpu->next_rip);
}

static void raise(struct vcpu *vcpu, const struct fault *fault)
{
	struct vmcb *vmcb = vcpu->run.vmcb;
	u64 event = EVENT_TYPE_EXCEPTION | fault->vector;

	if (l2_takes(vcpu, fault->vector, fault->has_error_code ? fault->error_code : 0,
		     fault->vector == EXC_PF ? fault->address : 0))
		return;
	if (fault->has_error_code && (vmcb->s.cr0 & CR0_PE))
		event |= EVENT_ERROR_CODE | (u64)fault->error_code << EVENT_ERROR_SHIFT;
	if (fault->vector == EXC_PF) {
		vmcb->s.cr2 = fault->address;
		svm_changed(vmcb, CLEAN_CR2);
	}
	/* APM 2 "RFLAGS Register" (3.1.4): the RF in a fault's saved RFLAGS is set. */
	vmcb->s.rflags |= RFLAGS_RF;
	inject(vmcb, event);
}

void svm_finish(struct vcpu *vcpu, enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_RESUME:
	case OUTCOME_REFLECT:
		break;
	case OUTCOME_ADVANCE:
		svm_advance(vcpu);
		break;
	case OUTCOME_EXCEPTION:
		raise(vcpu, &vcpu->fault);
		break;
	default:
		panic("an outcome of VMX under SVM: %u", (u32)outcome);
	}
}

/* Whether the guest that runs holds such events, by its GIF. */
static bool is_closed(struct vcpu *vcpu)
{
	const struct svm_nested *n = &svm_of(vcpu)->nested;

	return vcpu->level == 3 ? n->current->gif_closed : !svm_gif(n);
}

/* An event that L1 has held makes L3 exit, if L2 asked for that. */
static bool l2_takes_event(struct vcpu *vcpu, u32 exit)
{
	struct svm_nested *n = &svm_of(vcpu)->nested;

	if (vcpu->level != 3 || !svm_l2_wants(n, exit))
		return false;
	/* What an earlier exit interrupted has been seen to. */
	vcpu->run.vmcb->c.exit_int_info = 0;
	svm_reflect_as(n, exit, 0, 0);
	return true;
}

/* The SMI itself is over; who does not intercept SMIs does not see them. APM 2 "SMI Intercept"
 * (15.13.3). It comes behind another event that is about to be injected.
 * DEVIATION: with gif=virtual L1 does not see L2's STGI, behind which an SMI that it still waits
 * for would have ended, and tells L2 of it once more. */
static void deliver_smi(struct vcpu *vcpu)
{
	if ((vcpu->run.vmcb->c.event_injection & EVENT_VALID) || is_closed(vcpu))
		return;
	remove_pending(PENDING_SMI);
	l2_takes_event(vcpu, SVM_EXIT_SMI);
}

/* An NMI that L1 holds is the guest's. It waits while its GIF is closed, and while another event
 * is about to be injected. One that makes L3 exit stays pending until L2 takes it, as hardware
 * would have it: APM 2 "NMI Intercept" (15.13.2). */
static void deliver_nmi(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu->run.vmcb;

	if (vmcb->c.event_injection & EVENT_VALID)
		return;
	if (is_closed(vcpu) || l2_takes_event(vcpu, SVM_EXIT_NMI))
		return;
	remove_pending(PENDING_NMI);
	inject(vmcb, EVENT_TYPE_NMI | EXC_NMI);
}

void svm_prepare(struct vcpu *vcpu)
{
	if (is_pending(PENDING_SMI))
		deliver_smi(vcpu);
	if (is_pending(PENDING_NMI))
		deliver_nmi(vcpu);
	if (stage2_take_back())
		svm_flush(vcpu->run.vmcb, TLB_FLUSH_ALL);
}
