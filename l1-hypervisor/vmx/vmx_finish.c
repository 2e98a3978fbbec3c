/*
 * What an outcome does to the guest whose VMCS is current: the only place that advances RIP, raises
 * exceptions and sets the flags of the VMX instructions. And what waits for the next entry.
 */
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/vmx/vmx.h"
#include "shadow-vmcs/vmcs_hw.h"

/* SDM 3B "Single-Stepping", SDM 3A "Masking Exceptions and Interrupts When Switching Stacks". */
void vmx_advance_rare(u64 next, u64 blocking, u64 rflags)
{
	if (!(vmcs_read(GUEST_CS_AR) & AR_L))
		vmcs_write(GUEST_RIP, (u32)next);
	if (blocking & BLOCKING_BY_INSN)
		vmcs_write(GUEST_INTERRUPTIBILITY, blocking & ~(u64)BLOCKING_BY_INSN);
	if (rflags & RFLAGS_TF)
		vmcs_write(GUEST_PENDING_DEBUG, vmcs_read(GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
}

static void raise(const struct fault *fault)
{
	u32 info = INTR_INFO_VALID | INTR_TYPE_HARDWARE_EXCEPTION | fault->vector;

	if (fault->has_error_code && (vmcs_read(GUEST_CR0) & CR0_PE)) {
		info |= INTR_INFO_ERROR_CODE;
		vmcs_write(ENTRY_ERROR_CODE, fault->error_code);
	}
	if (fault->vector == EXC_PF)
		write_cr2(fault->address);
	/* SDM 3B "Debug Exceptions": a fault's saved RFLAGS has RF set, as hardware would. #DB is
	 * raised here only as a trap. */
	if (fault->vector != EXC_DB)
		vmcs_write(GUEST_RFLAGS, vmcs_read(GUEST_RFLAGS) | RFLAGS_RF);
	vmcs_write(ENTRY_INTR_INFO, info);
}

/* SDM 3C "Conventions" of the VMX instructions: VMsucceed, VMfailInvalid, VMfailValid. */
void vmx_finish(struct vcpu *vcpu, enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_RESUME:
	case OUTCOME_REFLECT:
		count_access(vmreads, VMX_HANDLE_READS);
		break;
	case OUTCOME_ADVANCE:
		vmx_advance(vcpu, vmcs_peek(GUEST_RFLAGS));
		break;
	case OUTCOME_EXCEPTION:
		count_access(vmreads, VMX_HANDLE_READS);
		raise(&vcpu->fault);
		break;
	case OUTCOME_VMSUCCEED:
		vmx_advance_with_flags(vcpu, 0);
		break;
	case OUTCOME_VMFAIL_INVALID:
		vmx_advance_with_flags(vcpu, RFLAGS_CF);
		break;
	case OUTCOME_VMFAIL_VALID:
		vmx_advance_with_flags(vcpu, RFLAGS_ZF);
		break;
	}
}

void vmx_block_nmi(void)
{
	vmcs_write(GUEST_INTERRUPTIBILITY,
		   vmcs_read(GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
}

void vmx_redeliver(void)
{
	u32 info = vmcs_read(IDT_VECTORING_INFO);

	if (likely(!(info & INTR_INFO_VALID)))
		return;
	if (info & INTR_INFO_ERROR_CODE)
		vmcs_write(ENTRY_ERROR_CODE, vmcs_read(IDT_VECTORING_ERROR_CODE));
	vmcs_write(ENTRY_INSN_LENGTH, vmcs_read(EXIT_INSN_LENGTH));
	vmcs_write(ENTRY_INTR_INFO, info & ~INTR_INFO_NMI_UNBLOCK);
	if ((info & INTR_INFO_TYPE) == INTR_TYPE_NMI)
		vmcs_write(GUEST_INTERRUPTIBILITY,
			   vmcs_read(GUEST_INTERRUPTIBILITY) & ~INTERRUPTIBILITY_NMI);
}

/* Whether the guest, in which an NMI `exits` or not, takes one now: nothing else is about to be
 * injected, it is not blocked, and it does not wait for a start-up IPI. With virtual NMIs blocking
 * by NMI is only L3's. */
static bool takes_nmi(bool exits)
{
	u32 blocking = INTERRUPTIBILITY_MOV_SS;

	if (!exits)
		blocking |= INTERRUPTIBILITY_STI;
	if (!(vmcs_read(PIN_CONTROLS) & PIN_VIRTUAL_NMI))
		blocking |= INTERRUPTIBILITY_NMI;
	return !(vmcs_read(GUEST_INTERRUPTIBILITY) & blocking) &&
	       !(vmcs_read(ENTRY_INTR_INFO) & INTR_INFO_VALID) &&
	       vmcs_read(GUEST_ACTIVITY) != VMX_WAIT_FOR_SIPI;
}

/* An NMI that reached L1 while it served an exit is the guest's. Until the guest takes it, it waits
 * for a later exit. */
static void deliver_nmi(struct vcpu *vcpu)
{
	bool exits = vcpu->level == 3 && (vmcs_read(PIN_CONTROLS) & PIN_NMI);

	if (!takes_nmi(exits))
		return;
	remove_pending(PENDING_NMI);
	if (exits)
		vmx_reflect_nmi(&vmx_of(vcpu)->nested);
	else
		vmcs_write(ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_NMI | EXC_NMI);
}

void vmx_prepare(struct vcpu *vcpu)
{
	if (is_pending(PENDING_NMI))
		deliver_nmi(vcpu);
	if (stage2_take_back())
		invept_raw(INVEPT_GLOBAL, 0);
}
