/*
 * Exits of L2 that L1 serves, by the handler column of svm_exits.def: what L1 keeps of a machine
 * that L2 otherwise owns. A handler of an instruction first finds where that ends.
 */
#include "l1-hypervisor/cpuid.h"
#include "l1-hypervisor/hypercall.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/ports.h"
#include "l1-hypervisor/report.h"
#include "l1-hypervisor/svm/svm.h"
#include "nested-ept/npt.h"
#include "shadow-vmcs/svm_event.h"
#include "shadow-vmcs/svm_exits.h"

enum outcome svm_fault(struct vcpu *vcpu, u8 vector, bool has_error_code, u32 error_code)
{
	vcpu->fault = (struct fault){ .vector = vector,
				      .has_error_code = has_error_code,
				      .error_code = error_code };
	return OUTCOME_EXCEPTION;
}

enum outcome svm_handle_none(struct vcpu *vcpu, u32 exit)
{
	const char *name = svm_exit_name(exit);

	panic("L2 made the exit %s (code 0x%lx), which L1 did not ask for", name ? name : "?",
	      vcpu->run.vmcb->c.exit_code);
}

enum outcome svm_handle_invalid(struct vcpu *vcpu, u32 exit)
{
	(void)vcpu;
	(void)exit;
	panic("hardware refused to enter L2: its state is not valid");
}

__attribute__((noinline)) static enum outcome changed_cpuid(struct vcpu *vcpu)
{
	const struct svm_nested *n = &svm_of(vcpu)->nested;
	struct cpuid_view view = {
		.cr4 = vcpu->run.vmcb->s.cr4,
		.nested = n->enabled,
		.apic_is_off = vcpu->apic_base.is_off,
		.svm = &n->offered,
	};

	cpuid_answer(vcpu->regs.r, &view);
	return OUTCOME_ADVANCE;
}

enum outcome svm_handle_cpuid(struct vcpu *vcpu, u32 exit)
{
	(void)exit;
	if (unlikely(!svm_find_end(vcpu, SVM_EXIT_CPUID)))
		return OUTCOME_RESUME;
	if (unlikely(!cpuid_is_plain((u32)vcpu->regs.r[REG_RAX])))
		return changed_cpuid(vcpu);
	cpuid_execute(vcpu->regs.r);
	return OUTCOME_ADVANCE;
}

/* INVD would throw away L1's own modified lines; writing them back is a legal way to invalidate. */
enum outcome svm_handle_invd(struct vcpu *vcpu, u32 exit)
{
	if (!svm_find_end(vcpu, exit))
		return OUTCOME_RESUME;
	__asm__ volatile("wbinvd" : : : "memory");
	return OUTCOME_ADVANCE;
}

enum outcome svm_handle_shutdown(struct vcpu *vcpu, u32 exit)
{
	(void)exit;
	report_triple_fault(vcpu, vcpu->rip);
}

/* Only writes to the exit ports come here, and reads of them, which change nothing. */
enum outcome svm_handle_io(struct vcpu *vcpu, u32 exit)
{
	u64 info = vcpu->run.vmcb->c.exit_info1;
	u32 size = (u32)(info & IOIO_SIZE) >> IOIO_SIZE_SHIFT;
	bool in = info & IOIO_IN;

	if (!svm_find_end(vcpu, exit))
		return OUTCOME_RESUME;
	if (info & (IOIO_STRING | IOIO_REP))
		return OUTCOME_ADVANCE;
	if (!in)
		report_write();
	port_access((u16)(info >> IOIO_PORT_SHIFT), size, in, &vcpu->regs.r[REG_RAX]);
	return OUTCOME_ADVANCE;
}

enum outcome svm_handle_npf(struct vcpu *vcpu, u32 exit)
{
	struct vmcb *vmcb = vcpu->run.vmcb;
	struct svm_slot *slot = svm_of(vcpu)->nested.current;
	u64 at = vmcb->c.exit_info2;

	(void)exit;
	if (svm_apic_store(vcpu, at))
		return OUTCOME_RESUME;
	/* An event whose delivery this interrupted is delivered again. What L1 injects into L2 no
	 * instruction could bring back. */
	if (vcpu->level == 3)
		svm_inject_again(slot, svm_event_again(vmcb->c.exit_int_info, slot->injected));
	else
		vmcb->c.event_injection = svm_event_again(vmcb->c.exit_int_info, 0);
	stage2_serve(PA2(at), nept_format_npt.access(vmcb->c.exit_info1));
	return OUTCOME_RESUME;
}

/* APM 3 "VMMCALL": #UD unless somebody intercepts it, which to L2 nobody does but for hypercalls.
 */
enum outcome svm_handle_vmmcall(struct vcpu *vcpu, u32 exit)
{
	if (!svm_find_end(vcpu, exit))
		return OUTCOME_RESUME;
	if (!hypercall_is(vcpu) || vcpu->run.vmcb->s.cpl)
		return svm_fault(vcpu, EXC_UD, false, 0);
	hypercall(vcpu);
	return OUTCOME_ADVANCE;
}

/* APM 3, the instructions of SVM: #UD while EFER.SVME is clear. DEVIATION: at another CPL than 0
 * hardware raises #GP before it makes an exit, where L2's SVME would have it raise #UD. */
enum outcome svm_handle_svm(struct vcpu *vcpu, u32 exit)
{
	struct svm_nested *n = &svm_of(vcpu)->nested;

	if (unlikely(!n->svme))
		return svm_fault(vcpu, EXC_UD, false, 0);
	if (unlikely(!svm_find_end(vcpu, exit)))
		return OUTCOME_RESUME;
	return svm_insn(n, exit, vcpu->next_rip);
}

/* While L2's GIF is closed an NMI is L1's to keep until it opens. */
enum outcome svm_handle_nmi(struct vcpu *vcpu, u32 exit)
{
	struct svm_nested *n = &svm_of(vcpu)->nested;

	(void)exit;
	if (!svm_gif(n))
		svm_take_held();
	svm_gif_event(n);
	return OUTCOME_RESUME;
}

enum outcome svm_handle_intr(struct vcpu *vcpu, u32 exit)
{
	(void)exit;
	svm_gif_event(&svm_of(vcpu)->nested);
	return OUTCOME_RESUME;
}

enum outcome svm_handle_vintr(struct vcpu *vcpu, u32 exit)
{
	(void)exit;
	svm_gif_window(&svm_of(vcpu)->nested);
	return OUTCOME_RESUME;
}

/* DEVIATION: hardware has no way to make a CPU wait for a start-up IPI that L1 does not see.
 * QUIRK(qemu-7.2): TCG does the INIT behind this exit, so that the CPU leaves L1. */
enum outcome svm_handle_init(struct vcpu *vcpu, u32 exit)
{
	(void)vcpu;
	(void)exit;
	end_with_error("L2 sent INIT to a CPU that runs, which Nestbed cannot do on SVM");
	return OUTCOME_RESUME;
}
