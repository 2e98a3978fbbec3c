/*
 * L2's global interrupt flag (APM 2 "Global Interrupt Flag, STGI and CLGI Instructions" (15.17)).
 *
 * With gif=trap a closed GIF is V_INTR_MASKING in vmcb12: physical interrupts then wait for L1's
 * RFLAGS.IF, which is clear, without any exit; an NMI exits and L1 keeps it. V_TPR stands for the
 * TPR meanwhile.
 *
 * With gif=virtual hardware keeps the flag, and STGI and CLGI do not exit; but that flag does not
 * mask physical interrupts (APM 2 "Virtual GIF" (15.33)). So these exit. The first that does so is
 * let through if the flag is open, and then none exits until L2's next CLGI, which does; or it is
 * held as with gif=trap until L2's STGI, which exits then.
 *
 * QUIRK(linux-6.1): a KVM below that has an interrupt for L2 while L1's RFLAGS.IF masks it asks for
 * a window by a virtual interrupt of vector 0, whose intercept it takes away because of
 * V_INTR_MASKING: that would reach L2. So KVM is to have none to give while the flag is closed: the
 * TPR holds those of the local APIC, and one that comes from the PIC all the same makes an exit by
 * L1's own intercept of virtual interrupts, and waits at the local APIC from then on.
 */
#include "shadow-vmcs/svm_entry.h"
#include "shadow-vmcs/svm_hw.h"

/* Exits while the flag is closed. There are no virtual interrupts but those of the quirk above. */
#define INTERCEPT1_HELD (INTERCEPT1_NMI | INTERCEPT1_INTR | INTERCEPT1_VINTR)

#define TPR_HOLDS_ALL 15
#define TPR_UNKNOWN   0xff /* what the physical one is must be looked at, or written again */

bool svm_gif(const struct svm_nested *n)
{
	if (n->ways.virtual_gif)
		return n->vmcb12.vmcb->c.int_control & INT_V_GIF;
	return n->gif;
}

/* Behind V_INTR_MASKING: L1's RFLAGS.IF holds the interrupts, V_TPR is L2's TPR. Out of line, as
 * what follows, for those who have no KVM below. */
static __attribute__((noinline)) void hold_from_kvm(struct svm_nested *n)
{
	n->tpr = TPR_UNKNOWN;
	svm_tpr_write(TPR_HOLDS_ALL);
}

/* Nobody else makes such an exit, so that a KVM below is known by it too. One instruction passes
 * before the next one, whatever KVM still asks for. */
void svm_gif_window(struct svm_nested *n)
{
	struct vmcb *vmcb = n->run->vmcb;

	n->kvm_below = true;
	hold_from_kvm(n);
	n->core->hold_pic(true);
	vmcb->c.int_control &= ~INT_V_IRQ;
	vmcb->c.int_state |= INT_STATE_SHADOW;
	svm_changed(vmcb, CLEAN_TPR);
}

/* Interrupts may come now. */
static __attribute__((noinline)) void write_tpr(struct svm_nested *n, u8 tpr)
{
	n->tpr = TPR_UNKNOWN;
	svm_tpr_write(tpr);
	if (n->kvm_below)
		n->core->hold_pic(false);
}

void svm_publish_tpr(struct svm_nested *n)
{
	u8 tpr = (u8)(n->vmcb12.vmcb->c.int_control & INT_V_TPR);

	if (unlikely(tpr != n->tpr))
		write_tpr(n, tpr);
}

void svm_collect_tpr(struct svm_nested *n)
{
	struct vmcb *vmcb12 = n->vmcb12.vmcb;
	u8 tpr = svm_tpr_read();

	if (likely(tpr == n->tpr) || !(vmcb12->c.int_control & INT_V_MASKING))
		return;
	n->tpr = tpr;
	vmcb12->c.int_control = (vmcb12->c.int_control & ~INT_V_TPR) | tpr;
	svm_changed(vmcb12, CLEAN_TPR);
	if (n->kvm_below)
		hold_from_kvm(n);
}

static void open_gif(struct svm_nested *n)
{
	struct vmcb_control *c = &n->vmcb12.vmcb->c;

	svm_publish_tpr(n);
	c->int_control &= ~(INT_V_MASKING | INT_V_TPR | INT_V_IRQ);
	c->intercept1 = n->v12.intercept1;
}

static void close_gif(struct svm_nested *n)
{
	struct vmcb_control *c = &n->vmcb12.vmcb->c;

	n->tpr = svm_tpr_read();
	c->int_control |= INT_V_MASKING | n->tpr;
	c->intercept1 = n->v12.intercept1 | INTERCEPT1_HELD;
	if (unlikely(n->kvm_below))
		hold_from_kvm(n);
}

static inline void forget_clean(struct svm_nested *n)
{
	n->vmcb12.vmcb->c.clean &= ~(BIT32(CLEAN_TPR) | BIT32(CLEAN_INTERCEPTS));
}

/* Which of L2's STGI and CLGI exit. While it may not use them, both do. */
static void intercept_insns(struct svm_nested *n, u32 insns)
{
	struct vmcb_control *c = &n->vmcb12.vmcb->c;

	c->intercept2 &= ~(INTERCEPT2_STGI | INTERCEPT2_CLGI);
	c->intercept2 |= n->svme ? insns : INTERCEPT2_STGI | INTERCEPT2_CLGI;
}

/* gif=virtual: interrupts exit, L2's instructions do not. */
static void watch(struct svm_nested *n)
{
	n->vmcb12.vmcb->c.intercept1 = n->v12.intercept1 | INTERCEPT1_INTR | INTERCEPT1_NMI;
	intercept_insns(n, 0);
}

/* gif=virtual, and the flag is open: nothing exits but what closes it. */
static void pass(struct svm_nested *n)
{
	n->vmcb12.vmcb->c.intercept1 = n->v12.intercept1;
	intercept_insns(n, INTERCEPT2_CLGI);
}

static void set_virtual_gif(struct svm_nested *n, bool on)
{
	struct vmcb_control *c = &n->vmcb12.vmcb->c;
	bool held = c->int_control & INT_V_MASKING;

	if (held)
		open_gif(n);
	c->int_control &= ~INT_V_GIF;
	c->int_control |= on ? INT_V_GIF : 0;
	if (on && held)
		pass(n);
	else
		watch(n);
	forget_clean(n);
}

/*
 * QUIRK(bochs-2.7): V_INTR_MASKING does not hold interrupts while the guest's RFLAGS.IF is set.
 * There one that waits makes an exit, again and again; L2 goes on to its STGI in interrupt shadows,
 * which last for one instruction each.
 */
void svm_gif_event(struct svm_nested *n)
{
	struct vmcb_control *c = &n->vmcb12.vmcb->c;

	if (c->int_control & INT_V_MASKING) {
		c->int_state |= INT_STATE_SHADOW;
		return;
	}
	if (!n->ways.virtual_gif)
		return;
	if (svm_gif(n)) {
		pass(n);
	} else {
		close_gif(n);
		intercept_insns(n, INTERCEPT2_STGI);
	}
	forget_clean(n);
}

void svm_gif_ways(struct svm_nested *n)
{
	struct vmcb_control *c = &n->vmcb12.vmcb->c;

	if (!n->ways.virtual_gif) {
		c->int_control &= ~(INT_V_GIF | INT_V_GIF_ENABLE);
		c->intercept1 = n->v12.intercept1 | (n->gif ? 0 : INTERCEPT1_HELD);
		intercept_insns(n, INTERCEPT2_STGI | INTERCEPT2_CLGI);
	} else {
		if (!(c->int_control & INT_V_GIF_ENABLE))
			c->int_control |= INT_V_GIF_ENABLE | INT_V_GIF;
		svm_gif_event(n);
	}
	forget_clean(n);
}

void svm_set_gif(struct svm_nested *n, bool on)
{
	if (n->ways.virtual_gif) {
		set_virtual_gif(n, on);
		return;
	}
	if (n->gif == on)
		return;
	n->gif = on;
	if (on)
		open_gif(n);
	else
		close_gif(n);
	forget_clean(n);
}

/* APM 2 "Virtual GIF" (15.33). */
static void set_virtual_gif_of_l3(struct vmcb *vmcb13, bool on)
{
	vmcb13->c.int_control &= ~INT_V_GIF;
	vmcb13->c.int_control |= on ? INT_V_GIF : 0;
	svm_changed(vmcb13, CLEAN_TPR);
}

/* What of int_control a closed GIF of L3's takes away and gives back: an interrupt of L2's that
 * waits, and the TPR, which is L3's own where L2 masks its interrupts too. */
static inline u64 taken_while_closed(const struct svm_slot *s)
{
	return INT_V_IRQ | (s->v23.int_control & INT_V_MASKING ? 0 : INT_V_MASKING | INT_V_TPR);
}

static void close_gif_of_l3(struct svm_nested *n, struct svm_slot *s)
{
	struct vmcb_control *c = &s->vmcb13.vmcb->c;
	u64 taken = taken_while_closed(s);

	s->taken = c->int_control & taken;
	s->tpr = svm_tpr_read();
	c->int_control &= ~taken;
	if (taken & INT_V_TPR)
		c->int_control |= INT_V_MASKING | s->tpr;
	if (n->kvm_below)
		hold_from_kvm(n);
	s->held = s->v23.intercept1 & (INTERCEPT1_HELD | INTERCEPT1_SMI);
	s->v23.intercept1 &= ~s->held;
	c->intercept1 |= INTERCEPT1_HELD;
}

static void open_gif_of_l3(struct svm_nested *n, struct svm_slot *s)
{
	struct vmcb_control *c = &s->vmcb13.vmcb->c;
	u64 taken = taken_while_closed(s);

	write_tpr(n, taken & INT_V_TPR ? (u8)(c->int_control & INT_V_TPR) : s->tpr);
	c->int_control = (c->int_control & ~taken) | s->taken;
	s->v23.intercept1 |= s->held;
	c->intercept1 = n->v12.intercept1 | s->v23.intercept1;
}

static void move_gif_of_l3(struct svm_nested *n, bool on)
{
	struct svm_slot *s = n->current;

	s->gif_closed = !on;
	if (on)
		open_gif_of_l3(n, s);
	else
		close_gif_of_l3(n, s);
	s->vmcb13.vmcb->c.clean &= ~(BIT32(CLEAN_TPR) | BIT32(CLEAN_INTERCEPTS));
}

/* APM 2 "Injecting Virtual (INTR) Interrupts" (15.21.4): whether L3 takes its virtual interrupt
 * now, and L2 hears nothing of that. */
static bool takes_virtual_interrupt(const struct svm_slot *s)
{
	const struct vmcb *vmcb = s->vmcb13.vmcb;
	u64 c = vmcb->c.int_control;
	bool in_turn = (c & INT_V_IGN_TPR) ||
		       (c & INT_V_PRIO) >> INT_V_PRIO_SHIFT > (c & INT_V_TPR);

	return (c & INT_V_IRQ) && in_turn && (vmcb->s.rflags & RFLAGS_IF) &&
	       !(s->v23.intercept1 & INTERCEPT1_VINTR) && !(vmcb->c.event_injection & EVENT_VALID);
}

/* QUIRK(bochs-2.7): a virtual interrupt that waits at VMRUN is only seen when RFLAGS.IF changes. */
static void deliver_virtual_interrupt(struct svm_slot *s)
{
	struct vmcb_control *c = &s->vmcb13.vmcb->c;

	if (!takes_virtual_interrupt(s))
		return;
	c->int_control &= ~INT_V_IRQ;
	svm_inject_again(s, EVENT_VALID | EVENT_TYPE_INTR | c->int_control >> INT_VECTOR_SHIFT);
}

/*
 * L3's STGI and CLGI, which L2 does not intercept: they close the machine until STGI or #VMEXIT. An
 * SMI that L2 intercepts makes an exit to L1, which lets it happen; L2 hears of it when the GIF
 * opens.
 */
void svm_set_gif_of_l3(struct svm_nested *n, bool on)
{
	struct vmcb *vmcb13 = n->current->vmcb13.vmcb;

	if (vmcb13->c.int_control & INT_V_GIF_ENABLE) {
		set_virtual_gif_of_l3(vmcb13, on);
		return;
	}
	if (n->current->gif_closed != on)
		return;
	move_gif_of_l3(n, on);
	if (on)
		deliver_virtual_interrupt(n->current);
	svm_host_interrupts(on && (n->vmcb12.vmcb->s.rflags & RFLAGS_IF));
}

void svm_end_gif_of_l3(struct svm_nested *n)
{
	move_gif_of_l3(n, true);
}
