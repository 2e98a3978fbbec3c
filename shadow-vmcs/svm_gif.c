/*
 * L2's global interrupt flag (APM 2 "Global Interrupt Flag, STGI and CLGI Instructions" (15.17)).
 *
 * With gif=trap a closed GIF is V_INTR_MASKING in vmcb12: physical interrupts then wait for L1's
 * RFLAGS.IF, which is clear, without any exit; an NMI exits and L1 keeps it. V_TPR stands for the
 * TPR meanwhile. With gif=virtual hardware keeps the flag.
 */
#include "shadow-vmcs/svm_entry.h"
#include "shadow-vmcs/svm_hw.h"

bool svm_gif(const struct svm_nested *n)
{
	if (n->ways.virtual_gif)
		return n->vmcb12.vmcb->c.int_control & INT_V_GIF;
	return n->gif;
}

void svm_publish_tpr(struct svm_nested *n)
{
	u8 tpr = (u8)(n->vmcb12.vmcb->c.int_control & INT_V_TPR);

	if (likely(tpr == n->tpr))
		return;
	n->tpr = tpr;
	svm_tpr_write(tpr);
}

static void open_gif(struct svm_nested *n)
{
	struct vmcb_control *c = &n->vmcb12.vmcb->c;

	svm_publish_tpr(n);
	c->int_control &= ~(INT_V_MASKING | INT_V_TPR);
	c->intercept1 = n->v12.intercept1;
}

static void close_gif(struct svm_nested *n)
{
	struct vmcb_control *c = &n->vmcb12.vmcb->c;

	n->tpr = svm_tpr_read();
	c->int_control |= INT_V_MASKING | n->tpr;
	c->intercept1 = n->v12.intercept1 | INTERCEPT1_NMI;
}

void svm_set_gif(struct svm_nested *n, bool on)
{
	struct vmcb *vmcb12 = n->vmcb12.vmcb;

	if (n->ways.virtual_gif) {
		vmcb12->c.int_control &= ~INT_V_GIF;
		vmcb12->c.int_control |= on ? INT_V_GIF : 0;
		svm_changed(vmcb12, CLEAN_TPR);
		return;
	}
	if (n->gif == on)
		return;
	n->gif = on;
	if (on)
		open_gif(n);
	else
		close_gif(n);
	vmcb12->c.clean &= ~(BIT32(CLEAN_TPR) | BIT32(CLEAN_INTERCEPTS));
}
