/*
 * L2's stores to the local APIC while L1 watches it.
 */
#include "l1-hypervisor/startup.h"
#include "l1-hypervisor/store.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/vmx/vmx.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_operand.h"

static bool read_store(struct vmx_nested *n, struct store *store)
{
	bool code32 = vmcs_read(GUEST_CS_AR) & AR_DB;
	bool code64 = vmx_operand_code64();
	u8 code[INSN_MAX];

	return (code32 || code64) &&
	       store_decode(code, vmx_operand_code(n, code, sizeof(code)), code64, store);
}

bool vmx_apic_store(struct vcpu *vcpu, u64 at)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;
	struct store store;

	if (!startup_is_apic(at))
		return false;
	if (!startup_is_watched())
		return true;
	if (vcpu->level != 2 || !read_store(n, &store)) {
		startup_unwatch();
		return true;
	}
	startup_apic_write(at & PAGE_MASK, store.is_immediate ? store.immediate
							      : (u32)vmx_operand_reg(n, store.reg));
	vcpu->rip += store.length;
	vmcs_write(GUEST_RIP, vcpu->rip);
	vmx_advance_rare(vcpu->rip, vmcs_read(GUEST_INTERRUPTIBILITY), vmcs_read(GUEST_RFLAGS));
	return true;
}
