/*
 * #VMEXIT of L3 that L2 asked for: what L2 finds in its VMCB, and the state in which it goes on
 * behind its VMRUN. APM 2 "#VMEXIT" (15.6).
 *
 * L2 may read any field of its memory without L1 knowing, so every field that hardware stores is
 * stored. vmcb12 still holds L2 as its VMRUN left it, which stands for the host save area.
 */
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/svm_entry.h"
#include "shadow-vmcs/svm_event.h"
#include "shadow-vmcs/svm_exits.h"
#include "shadow-vmcs/svm_hw.h"

/* What the processor changes of int_control: the rest stays as L2 wrote it. */
#define INT_CHANGED (INT_V_TPR | INT_V_IRQ | INT_V_GIF)

/* The fields of a group, which is a constant. */
static inline __attribute__((always_inline)) void
give_save(struct vmcb_save *to, const struct vmcb_save *from, enum vmcb_group wanted)
{
#define VMCB_SAVE(type, name, offset, group) \
	if ((group) == wanted)               \
		to->name = from->name;
#include "shadow-vmcs/vmcb_fields.def"
}

static inline void give_state(const struct svm_nested *n, struct vmcb_save *to,
			      const struct vmcb_save *from)
{
	give_save(to, from, VMCB_ALWAYS);
	give_save(to, from, CLEAN_SEG);
	give_save(to, from, CLEAN_DT);
	give_save(to, from, CLEAN_CR);
	give_save(to, from, CLEAN_DR);
	give_save(to, from, CLEAN_CR2);
	to->rax = n->regs->r[REG_RAX];
}

/* What only some L2s use. */
static inline void give_rare_state(struct svm_nested *n, struct svm_slot *s, struct vmcb_save *to,
				   const struct vmcb_save *from)
{
	if (s->npt13)
		to->g_pat = from->g_pat;
	else
		n->vmcb12.vmcb->s.g_pat = from->g_pat;
	if (unlikely(s->v23.virt_ext & VIRT_EXT_LBR))
		give_save(to, from, CLEAN_LBR);
	if (unlikely(s->svme_is_off)) {
		to->efer &= ~EFER_SVME;
		s->svme_is_off = false;
		s->stale |= BIT32(CLEAN_CR);
	}
}

static inline void give_information(const struct svm_slot *s, struct vmcb_control *to,
				    const struct vmcb_control *from)
{
	to->int_state = from->int_state;
	to->int_control = (s->v23.int_control & ~INT_CHANGED) | (from->int_control & INT_CHANGED);
	to->exit_int_info = svm_interrupted_event(from->exit_int_info);
	to->event_injection = from->event_injection;
	to->next_rip = from->next_rip;
	to->insn_bytes_low = from->insn_bytes_low;
	to->insn_bytes_high = from->insn_bytes_high;
}

/* APM 2 "#VMEXIT" (15.6): DR7 is 400h, GIF is clear; CR2 and DR6 are nobody's to restore. */
static inline void switch_to_l2(struct svm_nested *n, const struct vmcb_save *save13)
{
	struct vmcb *vmcb12 = n->vmcb12.vmcb;

	n->regs->r[REG_RAX] = vmcb12->s.rax;
	vmcb12->s.dr7 = 0x400;
	vmcb12->s.dr6 = save13->dr6;
	vmcb12->s.cr2 = save13->cr2;
	vmcb12->c.clean &= ~(BIT32(CLEAN_DR) | BIT32(CLEAN_CR2) | BIT32(CLEAN_NP));
	n->run->vmcb = vmcb12;
	n->run->vmcb_at = n->vmcb12.at.v;
	*n->level = 2;
	svm_host_interrupts(false);
	if (unlikely(n->scales))
		svm_tsc_ratio_write(TSC_RATIO_ONE);
	if (unlikely(n->ways.flush))
		svm_flush(vmcb12, TLB_FLUSH_ALL);
	if (svm_gif(n))
		svm_set_gif(n, false);
	else if (!(n->current->v23.int_control & INT_V_MASKING) || unlikely(n->kvm_below))
		svm_collect_tpr(n);
}

/* Out of line, so that the usual exit keeps nothing for it. */
static __attribute__((noinline)) void reflect_closed(struct svm_nested *n, u64 code, u64 info1,
						     u64 info2)
{
	svm_end_gif_of_l3(n);
	svm_reflect_as(n, code, info1, info2);
}

void svm_reflect_as(struct svm_nested *n, u64 code, u64 info1, u64 info2)
{
	struct svm_slot *s = n->current;
	const struct vmcb *from = s->vmcb13.vmcb;
	struct vmcb *to = s->live;

	if (unlikely(s->gif_closed)) {
		reflect_closed(n, code, info1, info2);
		return;
	}
	to->c.exit_code = code;
	to->c.exit_info1 = info1;
	to->c.exit_info2 = info2;
	give_information(s, &to->c, &from->c);
	give_state(n, &to->s, &from->s);
	give_rare_state(n, s, &to->s, &from->s);
	switch_to_l2(n, &from->s);
}

/* The platform refuses a state that the checks let pass. L2 learns no more than that: in vmcb13
 * there may be L1's own state then (QEMU, Bochs). */
void svm_reflect(struct svm_nested *n)
{
	const struct vmcb_control *c = &n->current->vmcb13.vmcb->c;

	if (unlikely(svm_exit_of(c->exit_code) == SVM_EXIT_INVALID))
		svm_reflect_invalid(n);
	else
		svm_reflect_as(n, c->exit_code, c->exit_info1, c->exit_info2);
}

void svm_reflect_invalid(struct svm_nested *n)
{
	struct svm_slot *s = n->current;
	struct vmcb *to = s->live;
	struct vmcb *vmcb12 = n->vmcb12.vmcb;

	if (unlikely(s->gif_closed))
		svm_end_gif_of_l3(n);
	to->c.exit_code = SVM_CODE_INVALID;
	to->c.exit_info1 = 0;
	to->c.exit_info2 = 0;
	to->c.exit_int_info = 0;
	s->stale = CLEAN_ALL;
	s->flush_due = true;
	switch_to_l2(n, &vmcb12->s);
}
