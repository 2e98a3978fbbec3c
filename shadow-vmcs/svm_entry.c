/*
 * VMRUN of L2: copy vmcb23 once, check the copy, merge it with vmcb12, and make L3 what the CPU
 * runs next.
 *
 * L3's state is copied to where hardware takes it from, vmcb13; L2's controls to the slot, for they
 * are merged. A group that L2's clean field calls clean is in the slot already. The order is that
 * of APM 2 "VMRUN Instruction" (15.5.1).
 */
#include "shadow-vmcs/svm_entry.h"
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/svm_event.h"
#include "shadow-vmcs/svm_hw.h"
#include "shadow-vmcs/svm_maps.h"
#include "shadow-vmcs/svm_merge.h"

typedef u64 __attribute__((may_alias)) word64;

/* Copies a field, reading each of its words once: L2 may change it meanwhile. */
static inline __attribute__((always_inline)) void take(void *to, const volatile void *from,
						       size_t size)
{
	switch (size) {
	case 1:
		*(u8 *)to = *(const volatile u8 *)from;
		break;
	case 2:
		*(u16 *)to = *(const volatile u16 *)from;
		break;
	case 4:
		*(u32 *)to = *(const volatile u32 *)from;
		break;
	default:
		for (size_t i = 0; i < size / 8; i++)
			((word64 *)to)[i] = ((const volatile word64 *)from)[i];
	}
}

/* The fields of one group, which is a constant. */
static inline __attribute__((always_inline)) void
take_control(struct vmcb_control *to, const volatile struct vmcb_control *from,
	     enum vmcb_group wanted)
{
#define VMCB_CONTROL(type, name, offset, group) \
	if ((group) == wanted)                  \
		take(&to->name, &from->name, sizeof(type));
#include "shadow-vmcs/vmcb_fields.def"
}

static inline __attribute__((always_inline)) void
take_save(struct vmcb_save *to, const volatile struct vmcb_save *from, enum vmcb_group wanted)
{
#define VMCB_SAVE(type, name, offset, group) \
	if ((group) == wanted)               \
		take(&to->name, &from->name, sizeof(type));
#include "shadow-vmcs/vmcb_fields.def"
}

/* What an entry copies in any case. The rest of VMCB_ALWAYS is registers and flags. */
static inline void take_run(struct svm_slot *s, const volatile struct vmcb *live)
{
	take_control(&s->v23, &live->c, VMCB_ALWAYS);
	take_save(&s->vmcb13.vmcb->s, &live->s, VMCB_ALWAYS);
}

/* Copies what goes with the event that L2 injects. Without NRIPS the field means nothing. */
static void take_next_rip(const struct svm_nested *n, struct svm_slot *s,
			  const volatile struct vmcb *live)
{
	if (!svm_event_has_next_rip(s->injected) || !svm_has(&n->offered, SVM_FEATURE_NRIPS))
		return;
	take(&s->v23.next_rip, &live->c.next_rip, sizeof(u64));
	s->vmcb13.vmcb->c.next_rip = s->v23.next_rip;
}

/* EFER.LMA is the processor's to set, and not every platform does so at VMRUN. */
static inline void set_lma(struct vmcb_save *s)
{
	bool active = (s->efer & EFER_LME) && (s->cr0 & CR0_PG);

	s->efer = (s->efer & ~EFER_LMA) | (active ? EFER_LMA : 0);
}

static void take_groups(struct svm_slot *s, const volatile struct vmcb *live, u32 groups)
{
	struct vmcb_save *save = &s->vmcb13.vmcb->s;

	if (groups & BIT32(CLEAN_INTERCEPTS))
		take_control(&s->v23, &live->c, CLEAN_INTERCEPTS);
	if (groups & BIT32(CLEAN_MAPS))
		take_control(&s->v23, &live->c, CLEAN_MAPS);
	if (groups & BIT32(CLEAN_ASID))
		take_control(&s->v23, &live->c, CLEAN_ASID);
	if (groups & BIT32(CLEAN_TPR))
		take_control(&s->v23, &live->c, CLEAN_TPR);
	if (groups & BIT32(CLEAN_NP)) {
		take_control(&s->v23, &live->c, CLEAN_NP);
		take_save(save, &live->s, CLEAN_NP);
	}
	if (groups & BIT32(CLEAN_CR)) {
		take_save(save, &live->s, CLEAN_CR);
		set_lma(save);
	}
	if (groups & BIT32(CLEAN_DR))
		take_save(save, &live->s, CLEAN_DR);
	if (groups & BIT32(CLEAN_DT))
		take_save(save, &live->s, CLEAN_DT);
	if (groups & BIT32(CLEAN_SEG)) {
		take_save(save, &live->s, CLEAN_SEG);
		save->cpl &= 3;
	}
	if (groups & BIT32(CLEAN_CR2))
		take_save(save, &live->s, CLEAN_CR2);
	if (groups & BIT32(CLEAN_LBR))
		take_save(save, &live->s, CLEAN_LBR);
}

/* What must be copied: L2's clean bits count for the VMCB that the slot stands for. */
static inline u32 changed_groups(const struct svm_nested *n, const struct svm_slot *s,
				 const volatile struct vmcb *live)
{
	if (unlikely(n->ways.copy_all))
		return CLEAN_ALL;
	return (s->stale | ~live->c.clean) & CLEAN_ALL;
}

/* Without nested paging of L2's, L3's PAT is L2's own, which it may have written since the last
 * entry: APM 2 "Combining Memory Types, MTRRs" (15.25.8) has gPAT only for nested paging. */
static inline void inherit_pat(struct svm_nested *n, struct svm_slot *s)
{
	if (likely(s->npt13 || s->vmcb13.vmcb->s.g_pat == n->vmcb12.vmcb->s.g_pat))
		return;
	s->vmcb13.vmcb->s.g_pat = n->vmcb12.vmcb->s.g_pat;
	svm_changed(s->vmcb13.vmcb, CLEAN_NP);
}

static void merge(struct svm_nested *n, struct svm_slot *s, u32 groups)
{
	bool asks_ports = s->v23.intercept1 & INTERCEPT1_IOIO;
	struct svm_merge_in in = {
		.v12 = &n->v12,
		.v23 = &s->v23,
		.features = n->offered.features,
		.asid13 = svm_asid13(n, s),
		.ncr3_13 = s->npt13 ? nept_root_pointer(&s->npt13->nept) : n->core->ncr3_12,
		.iopm13 = asks_ports ? n->maps.ones_at.v : n->maps.iopm12_at.v,
		.msrpm13 = n->maps.msrpm13_at.v,
		.tsc_ratio = n->tsc_ratio,
	};

	if (s->iopm_is_merged)
		groups |= BIT32(CLEAN_MAPS);
	s->iopm_is_merged = false;
	svm_merge(&in, groups, &s->vmcb13.vmcb->c);
	s->msrpm23 = svm_find_msrpm(n, &s->v23);
}

/* Whether hardware still has, or gets, everything that this entry needs without another merge. */
static inline bool is_light(const struct svm_slot *s, u32 changed)
{
	return !changed && (!s->npt13 || s->npt13->key == s->npt13_key);
}

/* The physical TPR counts again while L3 runs: what L2 wrote to it with its GIF closed is only in
 * vmcb12 so far. */
static inline void publish_tpr(struct svm_nested *n)
{
	if (n->vmcb12.vmcb->c.int_control & INT_V_MASKING)
		svm_publish_tpr(n);
}

/* APM 2 "VMRUN Instruction" (15.5.1): an illegal state is #VMEXIT(VMEXIT_INVALID); L2 goes on
 * behind its VMRUN as after any exit. */
static enum outcome refuse(struct svm_nested *n)
{
	/* L3 did not run: L2's own register is where it was. */
	n->vmcb12.vmcb->s.rax = n->regs->r[REG_RAX];
	publish_tpr(n);
	svm_reflect_invalid(n);
	return OUTCOME_REFLECT;
}

/* What hardware must not keep from before a merge: also the fields that L1 chooses. */
#define CHOSEN_BY_L1 (BIT32(CLEAN_MAPS) | BIT32(CLEAN_ASID) | BIT32(CLEAN_NP))

/* False when the checks fail. */
static bool enter_full(struct svm_nested *n, struct svm_slot *s, u32 changed)
{
	struct svm_verdict verdict;

	if (!svm_check(&s->v23, &s->vmcb13.vmcb->s, &n->env, changed | BIT32(VMCB_ALWAYS),
		       &verdict))
		return false;
	svm_choose_stage2(n, s);
	merge(n, s, changed);
	/* An exit sets them: an entry that does not come about leaves them for the next. */
	s->vmcb13.vmcb->c.clean &= ~(changed | CHOSEN_BY_L1);
	return true;
}

/* The merged I/O map was made for one run of L3, and another slot may use it meanwhile. */
static void leave_merged_iopm(const struct svm_nested *n, struct svm_slot *s)
{
	s->iopm_is_merged = false;
	s->vmcb13.vmcb->c.iopm_base = n->maps.ones_at.v;
	svm_changed(s->vmcb13.vmcb, CLEAN_MAPS);
}

static inline bool enter_light(struct svm_nested *n, struct svm_slot *s)
{
	if (unlikely(s->iopm_is_merged))
		leave_merged_iopm(n, s);
	return svm_event_is_legal(s->v23.event_injection);
}

/* Features that L2 switches in fields that no clean bit covers touch every group. */
static inline u32 all_if_switched(const struct svm_slot *s, u64 nested, u64 virt_ext)
{
	return s->v23.nested_control != nested || s->v23.virt_ext != virt_ext ? CLEAN_ALL : 0;
}

static inline void switch_to_l3(struct svm_nested *n, struct svm_slot *s)
{
	struct vmcb_save *save12 = &n->vmcb12.vmcb->s;

	save12->rax = n->regs->r[REG_RAX];
	n->regs->r[REG_RAX] = s->vmcb13.vmcb->s.rax;
	publish_tpr(n);
	/* APM 2 "Interrupt Masking in EFLAGS" (15.21.1): the host's IF at VMRUN, L2's here. */
	svm_host_interrupts(save12->rflags & RFLAGS_IF);
	if (unlikely(n->scales))
		svm_tsc_ratio_write(n->tsc_ratio);
	n->run->vmcb = s->vmcb13.vmcb;
	n->run->vmcb_at = s->vmcb13.at.v;
	*n->level = 3;
}

static __attribute__((noinline)) void change_mode(struct svm_nested *n, u64 mode)
{
	n->mode = mode;
	n->env.host_paging = mode & CR0_PG;
	n->env.host_long_mode = mode & EFER_LMA;
	n->features23.no_execute = mode & EFER_NXE;
	nept_cache_set_features(&n->cache, &n->features23);
	svm_slot_forget_all(n);
}

/* The rules on nested paging, and the reserved bits of L2's tables, depend on L2's own paging. */
static inline void note_mode(struct svm_nested *n)
{
	const struct vmcb_save *s = &n->vmcb12.vmcb->s;
	u64 mode = (s->cr0 & CR0_PG) | (s->efer & (EFER_LMA | EFER_NXE));

	if (unlikely(mode != n->mode))
		change_mode(n, mode);
}

enum outcome svm_enter_l3(struct svm_nested *n, u64 next_rip)
{
	struct svm_slot *s = n->current;
	const volatile struct vmcb *live = s->live;
	u64 nested = s->v23.nested_control;
	u64 virt_ext = s->v23.virt_ext;
	bool entered;
	u32 changed;

	note_mode(n);
	changed = changed_groups(n, s, live);
	n->vmcb12.vmcb->s.rip = next_rip;
	n->vmcb12.vmcb->c.int_state = 0;
	take_run(s, live);
	changed |= all_if_switched(s, nested, virt_ext);
	if (likely(is_light(s, changed)))
		entered = enter_light(n, s);
	else {
		take_groups(s, live, changed);
		entered = enter_full(n, s, changed);
	}
	if (unlikely(!entered))
		return refuse(n);
	inherit_pat(n, s);
	svm_merge_run(&s->v23, &s->vmcb13.vmcb->c);
	s->injected = s->v23.event_injection;
	if (unlikely(s->injected))
		take_next_rip(n, s, live);
	s->stale = 0;
	svm_merge_msrpm(n, s);
	if (unlikely(s->missed))
		svm_fill_ahead(s);
	if (unlikely(svm_is_flush_due(n, s)))
		svm_flush_for_entry(n, s);
	switch_to_l3(n, s);
	return OUTCOME_RESUME;
}
