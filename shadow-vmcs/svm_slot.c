/*
 * Slots: the VMCBs of L2 that were used lately on this CPU. L2's memory always has the truth about
 * them, so a slot is simply taken over when another VMCB needs it.
 */
#include "shadow-vmcs/svm_nested.h"

void svm_slot_forget_all(struct svm_nested *n)
{
	for (u32 i = 0; i < SVM_SLOTS; i++)
		n->slot[i].stale = CLEAN_ALL;
}

static struct svm_slot *least_recently_used(struct svm_nested *n)
{
	struct svm_slot *s = &n->slot[0];

	for (u32 i = 1; i < SVM_SLOTS; i++)
		if (n->slot[i].last_use < s->last_use)
			s = &n->slot[i];
	return s;
}

struct svm_slot *svm_slot_get(struct svm_nested *n, pa2_t at)
{
	struct svm_slot *s;

	for (u32 i = 0; i < SVM_SLOTS; i++) {
		s = &n->slot[i];
		if (likely(s->at.v == at.v))
			goto found;
	}
	s = least_recently_used(n);
	s->at = at;
	s->live = n->core->pointer(at);
	s->stale = CLEAN_ALL;
found:
	s->last_use = ++n->clock;
	return s;
}
