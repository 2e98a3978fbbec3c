/*
 * The SVM instructions, emulated for L2: CPL, operands, effects. That EFER.SVME is set has been
 * seen to already.
 */
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/svm_entry.h"
#include "shadow-vmcs/svm_exits.h"
#include "shadow-vmcs/svm_hw.h"
#include "shadow-vmcs/svm_length.h"

static enum outcome fault(struct svm_nested *n, u8 vector, bool has_error_code)
{
	*n->fault = (struct fault){ .vector = vector, .has_error_code = has_error_code };
	return OUTCOME_EXCEPTION;
}

/* The opcodes have three bytes; what is longer has prefixes. */
#define OPCODE_LENGTH 3

static bool has_address_prefix(struct svm_nested *n, u32 prefixes)
{
	struct nept_memory l3;

	if (*n->level == 2)
		return svm_has_address_prefix(n->run->vmcb, n->core->memory, prefixes);
	l3 = svm_l3_memory(n);
	return svm_has_address_prefix(n->run->vmcb, &l3, prefixes);
}

/* APM 3 "VMLOAD": "The portion of rAX used to form the address is determined by the effective
 * address size": that of the code segment, or the other one with the prefix. */
static inline u64 operand(struct svm_nested *n, u64 next_rip)
{
	const struct vmcb_save *s = &n->run->vmcb->s;
	u64 rax = n->regs->r[REG_RAX], length = next_rip - s->rip;
	bool prefixed = false;

	if (unlikely(length != OPCODE_LENGTH))
		prefixed = has_address_prefix(n, (u32)length - OPCODE_LENGTH);
	if (likely((s->cs.attributes & SEG_L) && (s->efer & EFER_LMA)))
		return likely(!prefixed) ? rax : (u32)rax;
	return prefixed == !(s->cs.attributes & SEG_DB) ? (u32)rax : (u16)rax;
}

/* APM 3 "VMLOAD", "VMSAVE", "VMRUN": #GP if rAX is not a page's address within the physical
 * address space. */
static inline bool is_page(const struct svm_nested *n, u64 at)
{
	return likely(!(at & (PAGE_MASK | n->env.physical_reserved)));
}

/* Whether that page is L2's RAM; the others read as ones and keep nothing. */
static inline bool is_ram(const struct svm_nested *n, u64 at)
{
	return likely(nept_plain(n->core->memory, PA2(at), PAGE_SIZE)) ||
	       n->core->is_ram(PA2(at), PAGE_SIZE);
}

static enum outcome set_gif(struct svm_nested *n, bool on)
{
	if (likely(*n->level == 2))
		svm_set_gif(n, on);
	else
		svm_set_gif_of_l3(n, on);
	return OUTCOME_ADVANCE;
}

/* A VMCB of ones has a reserved bit set in every register. */
static enum outcome vmrun_nothing(struct svm_nested *n, u64 next_rip)
{
	n->vmcb12.vmcb->s.rip = next_rip;
	n->vmcb12.vmcb->c.int_state = 0;
	if (svm_gif(n))
		svm_set_gif(n, false);
	return OUTCOME_RESUME;
}

static enum outcome vmrun(struct svm_nested *n, u64 next_rip)
{
	u64 at = operand(n, next_rip);

	if (unlikely(!is_page(n, at)))
		return fault(n, EXC_GP, true);
	if (unlikely(n->current->at.v != at)) {
		if (!is_ram(n, at))
			return vmrun_nothing(n, next_rip);
		n->current = svm_slot_get(n, PA2(at));
	}
	return svm_enter_l3(n, next_rip);
}

/* L2's page is RAM at the same physical address, so the instruction itself does the work on it. */
static enum outcome vmload(struct svm_nested *n, u64 next_rip)
{
	u64 at = operand(n, next_rip);

	if (unlikely(!is_page(n, at)))
		return fault(n, EXC_GP, true);
	svm_vmload(n->run, is_ram(n, at) ? PA1(at) : n->maps.ones_at);
	return OUTCOME_ADVANCE;
}

static enum outcome vmsave(struct svm_nested *n, u64 next_rip)
{
	u64 at = operand(n, next_rip);

	if (unlikely(!is_page(n, at)))
		return fault(n, EXC_GP, true);
	if (likely(is_ram(n, at)))
		svm_vmsave(n->run, PA1(at));
	return OUTCOME_ADVANCE;
}

static enum outcome invlpga(struct svm_nested *n, u64 next_rip)
{
	svm_drop_page(n, operand(n, next_rip), (u32)n->regs->r[REG_RCX]);
	return OUTCOME_ADVANCE;
}

/* Those that do not lead into L3. Out of line, so that VMRUN saves no registers for them. */
__attribute__((noinline)) static enum outcome other_insn(struct svm_nested *n, u32 exit,
							 u64 next_rip)
{
	switch (exit) {
	case SVM_EXIT_VMLOAD:
		return vmload(n, next_rip);
	case SVM_EXIT_VMSAVE:
		return vmsave(n, next_rip);
	case SVM_EXIT_STGI:
		return set_gif(n, true);
	case SVM_EXIT_CLGI:
		return set_gif(n, false);
	case SVM_EXIT_INVLPGA:
		return invlpga(n, next_rip);
	default:
		/* APM 3 "SKINIT": L2 is not told of it by CPUID, and there is no secure loader that
		 * L1 could measure. */
		return fault(n, EXC_UD, false);
	}
}

/* APM 3 "VMLOAD" and its like: "#GP(0): CPL was not zero", which comes before the exit.
 * QUIRK(linux-6.1): below, KVM takes that fault for an exit. */
enum outcome svm_insn(struct svm_nested *n, u32 exit, u64 next_rip)
{
	if (unlikely(n->run->vmcb->s.cpl))
		return fault(n, EXC_GP, true);
	return likely(exit == SVM_EXIT_VMRUN) ? vmrun(n, next_rip) : other_insn(n, exit, next_rip);
}
