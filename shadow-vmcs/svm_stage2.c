/*
 * What L3's physical addresses are translated by: npt12 when L2 does without nested paging, else a
 * merged npt13; and the ASIDs that keep L3's translations apart. Every flush that the manual
 * demands is asked for here and counted.
 *
 * L2 takes translations away by flushing an ASID, so a merged table belongs to a nested CR3 and an
 * ASID, and is emptied with the ASID.
 */
#include "nested-ept/npt.h"
#include "shadow-vmcs/svm_entry.h"
#include "shadow-vmcs/svm_event.h"
#include "shadow-vmcs/svm_exits.h"
#include "shadow-vmcs/svm_hw.h"

/* The root pointer as the cache of merged tables knows it. */
static u64 root23(const struct svm_slot *s)
{
	return npt_root_pointer23(s->v23.ncr3, s->v23.asid);
}

void svm_choose_stage2(struct svm_nested *n, struct svm_slot *s)
{
	struct nept_slot *before = s->npt13;
	u64 key = s->npt13_key;

	s->npt13 = s->v23.nested_control & NESTED_NP_ENABLE ? nept_cache_load(&n->cache, root23(s))
							    : NULL;
	s->npt13_key = s->npt13 ? s->npt13->key : 0;
	/* The ASID may have served another table. */
	if (s->npt13 != before || s->npt13_key != key)
		s->flush_due = true;
}

u32 svm_asid13(const struct svm_nested *n, const struct svm_slot *s)
{
	return n->ways.flush ? ASID_L2 : s->v23.asid + 1;
}

static void flush_one(const struct svm_nested *n, struct svm_slot *s)
{
	bool by_asid = n->platform->features & SVM_FEATURE_FLUSH_BY_ASID;

	svm_flush(s->vmcb13.vmcb, by_asid ? TLB_FLUSH_ASID : TLB_FLUSH_ALL);
}

/* APM 2 "TLB Flush" (15.16.2): 1 flushes everything, L2's own translations too; 3 and 7 those of
 * L3's ASID, of which 7 may keep the global ones. */
static void flush_for_l2(struct svm_nested *n, struct svm_slot *s)
{
	if (s->v23.tlb_control == TLB_FLUSH_ASID || s->v23.tlb_control == TLB_FLUSH_NON_GLOBAL) {
		nept_cache_drop_context(&n->cache, root23(s));
		flush_one(n, s);
	} else {
		nept_cache_drop_all(&n->cache);
		svm_flush(s->vmcb13.vmcb, TLB_FLUSH_ALL);
	}
}

void svm_flush_for_entry(struct svm_nested *n, struct svm_slot *s)
{
	if (s->v23.tlb_control)
		flush_for_l2(n, s);
	else if (n->ways.flush)
		svm_flush(s->vmcb13.vmcb, TLB_FLUSH_ALL);
	else
		flush_one(n, s);
	s->flush_due = false;
	s->pool_given = n->cache.config.pool->given;
	if (s->npt13)
		s->npt13_removals = s->npt13->nept.table.removals;
}

void svm_drop_stage2(struct svm_nested *n)
{
	nept_cache_drop_all(&n->cache);
}

/* L2 executed INVLPGA for one of its guests. The address is L3's linear one, behind which any page
 * of the nested table may be, so that all of the ASID's go. */
void svm_drop_page(struct svm_nested *n, u64 address, u32 asid23)
{
	u32 asid13 = !asid23 || n->ways.flush ? ASID_L2 : asid23 + 1;

	svm_invlpga(address, asid13);
	if (asid23)
		nept_cache_drop_context(&n->cache, npt_root_pointer23(0, asid23));
}

static u64 *l3_entry(void *ctx, pa2_t at)
{
	struct svm_nested *n = ctx;
	const struct nept_slot *npt13 = n->current->npt13;
	struct nept_walk walk;

	if (!npt13)
		return n->core->memory->entry(n->core->memory->ctx, at);
	if (nept_walk(&npt13->nept.source, PA3(at.v), NEPT_R, &walk) != NEPT_WALK_OK)
		return NULL;
	return n->core->memory->entry(n->core->memory->ctx, walk.pa2);
}

struct nept_memory svm_l3_memory(struct svm_nested *n)
{
	return (struct nept_memory){ .ctx = n, .entry = l3_entry };
}

void svm_fill_ahead(struct svm_slot *s)
{
	s->missed = false;
	/* What it comes to does not matter: where it fills nothing, L3 misses. */
	if (s->npt13)
		nept_fill_ahead(&s->npt13->nept, PA3(s->missed_at), s->missed_info);
}

/*
 * L3's virtual interrupt if the miss interrupted its delivery, to be injected; or 0.
 * QUIRK(bochs-2.7): V_IRQ is clear after such an exit, and exit_int_info tells an older event. That
 * the interrupt was not taken shows in RFLAGS.IF, which is still set; what L2 asked for is in its
 * VMCB, and the copy's bit is taken away once the interrupt is seen to be gone.
 */
static u64 lost_virtual_interrupt(struct svm_slot *s)
{
	const struct vmcb *vmcb13 = s->vmcb13.vmcb;
	u64 asked = s->v23.int_control & s->live->c.int_control & INT_V_IRQ;

	if (likely(!asked) || s->gif_closed || (vmcb13->c.int_control & INT_V_IRQ))
		return 0;
	s->v23.int_control &= ~INT_V_IRQ;
	if (!(vmcb13->c.exit_int_info & EVENT_VALID) || !(vmcb13->s.rflags & RFLAGS_IF))
		return 0;
	return EVENT_VALID | EVENT_TYPE_INTR | vmcb13->c.int_control >> INT_VECTOR_SHIFT;
}

/*
 * L3's own external interrupt if the miss interrupted its delivery, to be injected; or 0.
 * QUIRK(bochs-2.7): exit_int_info tells an older event then. The local APIC has the vector in
 * service, which without the quirk it has not while L3's RFLAGS.IF is set: a handler has ended it,
 * or has IF clear. Of an interrupt of the PIC's nobody knows the vector.
 */
static u64 lost_interrupt(const struct svm_nested *n, const struct svm_slot *s)
{
	const struct vmcb *vmcb13 = s->vmcb13.vmcb;
	u8 vector;

	if (!(vmcb13->c.exit_int_info & EVENT_VALID) || !(vmcb13->s.rflags & RFLAGS_IF) ||
	    (s->v23.intercept1 & INTERCEPT1_INTR))
		return 0;
	vector = n->core->in_service();
	return vector ? EVENT_VALID | EVENT_TYPE_INTR | vector : 0;
}

void svm_inject_again(struct svm_slot *s, u64 event)
{
	struct vmcb_control *v13 = &s->vmcb13.vmcb->c;

	s->injected = event;
	v13->event_injection = event;
	if (unlikely(svm_event_has_next_rip(event)))
		v13->next_rip = s->v23.next_rip;
}

/* The event whose delivery the miss interrupted is delivered again. */
static enum outcome run_again(struct svm_nested *n)
{
	struct svm_slot *s = n->current;
	const struct vmcb_control *v13 = &s->vmcb13.vmcb->c;
	u64 lost = lost_virtual_interrupt(s);

	if (unlikely(n->is_bochs) && !lost)
		lost = lost_interrupt(n, s);
	svm_inject_again(s,
			 unlikely(lost) ? lost : svm_event_again(v13->exit_int_info, s->injected));
	if (unlikely(s->npt13_removals != s->npt13->nept.table.removals ||
		     s->pool_given != n->cache.config.pool->given)) {
		s->npt13_removals = s->npt13->nept.table.removals;
		s->pool_given = n->cache.config.pool->given;
		flush_one(n, s);
	}
	return OUTCOME_RESUME;
}

/* L2 hears of its own table's fault as of a page fault of its own: fetches are told of where NX or
 * SMEP makes them differ (APM 2 "Page-Fault Error Code" (8.4.2)). */
static void reflect_miss(struct svm_nested *n, u64 info, u64 at)
{
	const struct vmcb_save *save12 = &n->vmcb12.vmcb->s;

	if (unlikely(!(save12->efer & EFER_NXE) && !(save12->cr4 & CR4_SMEP)))
		info &= ~PF_I;
	svm_reflect_as(n, SVM_CODE_NPF, info, at);
}

enum outcome svm_stage2_miss(struct svm_nested *n)
{
	struct svm_slot *s = n->current;
	u64 info = s->vmcb13.vmcb->c.exit_info1;
	u64 at = s->vmcb13.vmcb->c.exit_info2;
	struct nept_fault fault = { 0 };

	switch (nept_cache_fill(&n->cache, s->npt13, PA3(at), info, &fault)) {
	case NEPT_FILLED:
	case NEPT_RETRY:
		return run_again(n);
	case NEPT_VIOLATION:
		s->missed = true;
		s->missed_at = at;
		s->missed_info = info;
		reflect_miss(n, fault.info, at);
		break;
	case NEPT_MISCONFIG:
		reflect_miss(n, npt_reserved_fault(info), at);
		break;
	case NEPT_ABSENT:
		/* npt12 gets memory above 4 GiB only when it is touched. */
		if (n->core->touch(fault.pa2, fault.access))
			return run_again(n);
		reflect_miss(n, info & ~PF_P, at);
		break;
	case NEPT_NOMEM:
		n->core->abort("L1 has no memory left to translate L3's; give it more with "
			       "memory=MiB");
	}
	return OUTCOME_REFLECT;
}
