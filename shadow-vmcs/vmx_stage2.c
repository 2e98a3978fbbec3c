/*
 * What L3's physical addresses are translated by: ept12 when L2 does without EPT (its own shadow
 * page tables do the work), else a merged ept13; and the VPIDs that keep L3's translations apart.
 * Every invalidation that the manual demands is issued here and counted.
 */
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_exits.h"
#include "shadow-vmcs/vmx_nested.h"

#include "nested-ept/ept.h"

/* Our VPID for L2's; a number that stood for another one before is emptied first. */
static u16 vpid_for(struct vmx_nested *n, u16 vpid23)
{
	u32 i = vpid23 % VMX_VPIDS;
	u16 vpid13 = (u16)(VPID_L3 + i);

	if (n->vpid23[i] != vpid23) {
		n->vpid23[i] = vpid23;
		invvpid_raw(INVVPID_SINGLE, vpid13, 0);
	}
	return vpid13;
}

void vmx_choose_stage2(struct vmx_nested *n, struct vmx_slot *s)
{
	u32 proc2 = vmcs_active_proc2(&s->v23);

	s->ept13 = proc2 & PROC2_EPT ? nept_cache_load(&n->cache, vmcs_get(&s->v23, EPTP)) : NULL;
	s->ept13_key = s->ept13 ? s->ept13->key : 0;
	if (n->ways.flush)
		s->vpid13 = 0;
	else if (proc2 & PROC2_VPID)
		s->vpid13 = vpid_for(n, vmcs_get(&s->v23, VPID));
	else
		s->vpid13 = VPID_L3 + VMX_VPIDS;
}

/* SDM 3C "Operations that Invalidate Cached Mappings": a switch between L2 and an L3 without VPID
 * invalidates the mappings of both. */
void vmx_flush_for_switch(struct vmx_nested *n, const struct vmx_slot *s)
{
	if (likely(!vmx_switch_flushes(n, s)))
		return;
	invvpid_raw(INVVPID_SINGLE, VPID_L2, 0);
	invvpid_raw(INVVPID_SINGLE, VPID_L3 + VMX_VPIDS, 0);
}

void vmx_flush_ept13(struct vmx_nested *n, struct vmx_slot *s)
{
	if (s->ept13 && nept_slot_take_invept(&n->cache, s->ept13))
		invept_raw(INVEPT_SINGLE, nept_root_pointer(&s->ept13->nept));
}

void vmx_drop_ept13(struct vmx_nested *n, const u64 *eptp23)
{
	if (eptp23)
		nept_cache_drop_context(&n->cache, *eptp23);
	else
		nept_cache_drop_all(&n->cache);
}

/* SDM 3C "INVVPID": L2's VPID is translated; one that has no VPID of ours has no mappings. */
void vmx_drop_vpid(struct vmx_nested *n, enum invvpid_type type, u16 vpid23, u64 address)
{
	u32 i = vpid23 % VMX_VPIDS;

	if (n->ways.flush)
		return;
	if (type == INVVPID_ALL) {
		for (i = 0; i < VMX_VPIDS; i++)
			invvpid_raw(INVVPID_SINGLE, (u16)(VPID_L3 + i), 0);
	} else if (n->vpid23[i] == vpid23) {
		invvpid_raw(type, (u16)(VPID_L3 + i), address);
	}
}

void vmx_fill_ahead(struct vmx_slot *s)
{
	s->missed = false;
	/* What it comes to does not matter: where it fills nothing, L3 misses. */
	if (s->ept13)
		nept_fill_ahead(&s->ept13->nept, PA3(s->missed_at), s->missed_info);
}

enum outcome vmx_stage2_miss(struct vmx_nested *n, u32 reason)
{
	struct vmx_slot *s = n->current;
	u64 at = vmcs_read(GUEST_PHYSICAL_ADDRESS);
	u64 qualification = reason == VMX_EXIT_EPT_VIOLATION ? vmcs_read(EXIT_QUALIFICATION)
							     : EPT_VIOLATION_READ;
	struct nept_fault fault = { 0 };

	switch (nept_cache_fill(&n->cache, s->ept13, PA3(at), qualification, &fault)) {
	case NEPT_FILLED:
	case NEPT_RETRY:
		vmx_flush_ept13(n, s);
		return OUTCOME_RESUME;
	case NEPT_MISCONFIG:
		vmx_reflect_stage2(n, VMX_EXIT_EPT_MISCONFIG, 0);
		break;
	case NEPT_VIOLATION:
		s->missed = true;
		s->missed_at = at;
		s->missed_info = qualification;
		/* What hardware told of ept13 is most often what is to be told of ept23. */
		if (likely(fault.info == qualification && reason == VMX_EXIT_EPT_VIOLATION))
			vmx_reflect(n, reason);
		else
			vmx_reflect_stage2(n, VMX_EXIT_EPT_VIOLATION, fault.info);
		break;
	case NEPT_ABSENT:
		/* ept12 gets memory above 4 GiB only when it is touched. */
		if (n->core->touch(fault.pa2, fault.access))
			return OUTCOME_RESUME;
		vmx_reflect_stage2(n, VMX_EXIT_EPT_VIOLATION, qualification);
		break;
	case NEPT_NOMEM:
		n->core->abort("L1 has no memory left to translate L3's; give it more with "
			       "memory=MiB");
	}
	return OUTCOME_REFLECT;
}
