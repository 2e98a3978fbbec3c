/*
 * L2's local APIC, where L1 has to do with it: stores while L1 watches it, and the PIC's line.
 */
#include "l1-hypervisor/apic.h"
#include "l1-hypervisor/startup.h"
#include "l1-hypervisor/store.h"
#include "l1-hypervisor/svm/svm.h"

static u64 operand(const struct vcpu *vcpu, u32 number)
{
	enum reg reg = reg_of_number(number);

	return reg == REG_RSP ? vcpu->run.vmcb->s.rsp : vcpu->regs.r[reg];
}

static bool read_store(const struct vmcb *vmcb, struct store *store)
{
	bool code64 = (vmcb->s.efer & EFER_LMA) && (vmcb->s.cs.attributes & SEG_L);
	bool code32 = vmcb->s.cs.attributes & SEG_DB;
	u8 code[INSN_MAX];

	return (code32 || code64) &&
	       store_decode(code, svm_code(vmcb, &guest_memory, code, sizeof(code)), code64, store);
}

bool svm_apic_store(struct vcpu *vcpu, u64 at)
{
	struct store store;

	if (!startup_is_apic(at))
		return false;
	if (!startup_is_watched())
		return true;
	if (vcpu->level != 2 || !read_store(vcpu->run.vmcb, &store)) {
		startup_unwatch();
		return true;
	}
	startup_apic_write(at & PAGE_MASK,
			   store.is_immediate ? store.immediate : (u32)operand(vcpu, store.reg));
	vcpu->next_rip = vcpu->rip + store.length;
	svm_advance(vcpu);
	return true;
}

/* APM 2 "Local Vector Table" (16.4).
 * DEVIATION: L2 may find the entry masked meanwhile, and what it then writes there is not always
 * told from L1's own. */
void svm_hold_pic(bool on)
{
	struct svm_vcpu *v = svm_of(this_vcpu());
	u32 lint0;

	if (!on && !v->pic_is_held)
		return;
	lint0 = apic_read(APIC_LINT0);
	if (on && !(lint0 & LVT_MASKED)) {
		v->lint0 = lint0;
		apic_write(APIC_LINT0, lint0 | LVT_MASKED);
	} else if (!on && lint0 == (v->lint0 | LVT_MASKED)) {
		apic_write(APIC_LINT0, v->lint0);
	}
	v->pic_is_held = on;
}

/* APM 2 "Interrupt Service Register" (16.6.3): 256 bits in eight registers. */
u8 svm_in_service(void)
{
	for (u32 i = 8; i > 0; i--) {
		u32 bits = apic_read(APIC_IN_SERVICE + 16 * (i - 1));

		if (bits)
			return (u8)(32 * i - 1 - (u32)__builtin_clz(bits));
	}
	return 0;
}
