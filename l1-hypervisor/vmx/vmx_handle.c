/*
 * Exits of L2 that L1 serves, by the handler column of vmx_exits.def: everything that VMX takes
 * away from a guest that otherwise owns the machine.
 */
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/cpuid.h"
#include "l1-hypervisor/hypercall.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/ports.h"
#include "l1-hypervisor/report.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/vmx/vmx.h"
#include "nested-ept/ept.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_exits.h"
#include "shadow-vmcs/vmx_insn_simple.h"

enum outcome vmx_fault(struct vcpu *vcpu, u8 vector, bool has_error_code, u32 error_code)
{
	vcpu->fault = (struct fault){ .vector = vector,
				      .has_error_code = has_error_code,
				      .error_code = error_code };
	return OUTCOME_EXCEPTION;
}

enum outcome vmx_handle_none(struct vcpu *vcpu, u64 reason)
{
	(void)vcpu;
	panic("L2 made the exit %s, which L1 did not ask for", vmx_exit_name((u32)reason));
}

/* An instruction of a feature that L2 does not have: safer mode extensions. */
enum outcome vmx_handle_undefined(struct vcpu *vcpu, u64 reason)
{
	(void)reason;
	return vmx_fault(vcpu, EXC_UD, false, 0);
}

enum outcome vmx_handle_exception(struct vcpu *vcpu, u64 reason)
{
	if ((vmcs_read(EXIT_INTR_INFO) & INTR_INFO_TYPE) != INTR_TYPE_NMI)
		return vmx_handle_none(vcpu, reason);
	add_pending(PENDING_NMI);
	return OUTCOME_RESUME;
}

/* QUIRK(bochs-2.7): once an L3 has waited for a start-up IPI, SMIs stay blocked on this CPU. Every
 * exit saves that as blocking by SMI, which an entry outside SMM refuses. */
enum outcome vmx_handle_entry_failure(struct vcpu *vcpu, u64 reason)
{
	u32 blocking = vmcs_read(GUEST_INTERRUPTIBILITY);

	(void)vcpu;
	if (reason == VMX_EXIT_ENTRY_GUEST_STATE && (blocking & INTERRUPTIBILITY_SMI)) {
		vmcs_write(GUEST_INTERRUPTIBILITY, blocking & ~INTERRUPTIBILITY_SMI);
		return OUTCOME_RESUME;
	}
	panic("hardware refused to enter L2: exit reason 0x%x, qualification 0x%lx",
	      vmcs_read(EXIT_REASON), vmcs_read(EXIT_QUALIFICATION));
}

__attribute__((noinline)) static enum outcome changed_cpuid(struct vcpu *vcpu)
{
	struct cpuid_view view = {
		.cr4 = vmcs_read(GUEST_CR4),
		.code64 = vmcs_read(GUEST_CS_AR) & AR_L,
		.nested = vmx_of(vcpu)->nested_on,
		.apic_is_off = vcpu->apic_base.is_off,
	};

	cpuid_answer(vcpu->regs.r, &view);
	return OUTCOME_ADVANCE;
}

enum outcome vmx_handle_cpuid(struct vcpu *vcpu, u64 reason)
{
	(void)reason;
	if (unlikely(!cpuid_is_plain((u32)vcpu->regs.r[REG_RAX])))
		return changed_cpuid(vcpu);
	cpuid_execute(vcpu->regs.r);
	return OUTCOME_ADVANCE;
}

/* XSETBV exits after its checks of CPL and CR4.OSXSAVE; the value is the processor's to check. */
enum outcome vmx_handle_xsetbv(struct vcpu *vcpu, u64 reason)
{
	const u64 *r = vcpu->regs.r;

	(void)reason;
	if (!xsetbv_safe((u32)r[REG_RCX], (r[REG_RDX] << 32) | (u32)r[REG_RAX]))
		return vmx_fault(vcpu, EXC_GP, true, 0);
	return OUTCOME_ADVANCE;
}

/* INVD would throw away L1's own modified lines; writing them back is a legal way to invalidate. */
enum outcome vmx_handle_invd(struct vcpu *vcpu, u64 reason)
{
	(void)vcpu;
	(void)reason;
	__asm__ volatile("wbinvd" : : : "memory");
	return OUTCOME_ADVANCE;
}

/* In VMX operation an INIT is held back until L2 leaves it: SDM 3C "Restrictions on VMX Operation"
 * (24.8). */
enum outcome vmx_handle_init(struct vcpu *vcpu, u64 reason)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;

	(void)reason;
	if (n->on)
		n->init_pending = true;
	else
		vmx_wait_for_sipi(vcpu);
	return OUTCOME_RESUME;
}

enum outcome vmx_handle_sipi(struct vcpu *vcpu, u64 reason)
{
	(void)reason;
	vmx_start_up(vcpu, (u8)vmcs_read(EXIT_QUALIFICATION));
	return OUTCOME_RESUME;
}

enum outcome vmx_handle_triple_fault(struct vcpu *vcpu, u64 reason)
{
	(void)reason;
	report_triple_fault(vcpu, vmcs_read(GUEST_RIP));
}

/* Only writes to the exit ports come here, and reads of them, which change nothing. */
enum outcome vmx_handle_io(struct vcpu *vcpu, u64 reason)
{
	u64 qualification = vmcs_read(EXIT_QUALIFICATION);
	u16 port = (u16)(qualification >> IO_PORT_SHIFT);
	u32 size = (u32)(qualification & IO_SIZE) + 1;
	u64 *rax = &vcpu->regs.r[REG_RAX];

	(void)reason;
	if (qualification & (IO_STRING | IO_REP))
		return OUTCOME_ADVANCE;
	if (!(qualification & IO_IN))
		report_write();
	port_access(port, size, qualification & IO_IN, rax);
	return OUTCOME_ADVANCE;
}

enum outcome vmx_handle_ept_violation(struct vcpu *vcpu, u64 reason)
{
	u64 qualification = vmcs_read(EXIT_QUALIFICATION);
	u64 at = vmcs_read(GUEST_PHYSICAL_ADDRESS);

	(void)reason;
	if (vmx_apic_store(vcpu, at))
		return OUTCOME_RESUME;
	if (qualification & EPT_VIOLATION_NMI_UNBLOCKED)
		vmx_block_nmi();
	vmx_redeliver();
	stage2_serve(PA2(at), nept_format_ept.access(qualification));
	return OUTCOME_RESUME;
}

enum outcome vmx_handle_ept_misconfig(struct vcpu *vcpu, u64 reason)
{
	(void)vcpu;
	(void)reason;
	panic("ept12 is misconfigured at 0x%lx", vmcs_read(GUEST_PHYSICAL_ADDRESS));
}

enum outcome vmx_handle_vmread(struct vcpu *vcpu, u64 reason)
{
	(void)reason;
	return vmx_insn_vmread(&vmx_of(vcpu)->nested);
}

enum outcome vmx_handle_vmwrite(struct vcpu *vcpu, u64 reason)
{
	(void)reason;
	return vmx_insn_vmwrite(&vmx_of(vcpu)->nested);
}

enum outcome vmx_handle_vmresume(struct vcpu *vcpu, u64 reason)
{
	(void)reason;
	return vmx_insn_vmresume(&vmx_of(vcpu)->nested);
}

enum outcome vmx_handle_vmx(struct vcpu *vcpu, u64 reason)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;
	enum outcome outcome;

	if (reason == VMX_EXIT_VMCALL && hypercall_is(vcpu)) {
		if (vmcs_read(GUEST_SS_AR) & AR_DPL_MASK)
			return vmx_fault(vcpu, EXC_GP, true, 0);
		hypercall(vcpu);
		return OUTCOME_ADVANCE;
	}
	outcome = vmx_insn(n, (u32)reason);
	if (unlikely(n->init_pending && !n->on)) {
		n->init_pending = false;
		vmx_wait_for_sipi(vcpu);
		return OUTCOME_RESUME;
	}
	return outcome;
}
