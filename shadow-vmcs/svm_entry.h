/*
 * What VMRUN of L2 needs of the other parts of nested SVM: see svm_entry.c, svm_stage2.c,
 * svm_reflect.c, svm_insn.c.
 */
#ifndef SHADOW_VMCS_SVM_ENTRY_H
#define SHADOW_VMCS_SVM_ENTRY_H

#include "shadow-vmcs/svm_nested.h"

/* VMRUN of the VMCB of n->current; L2 goes on at `next_rip` when L3 exits. */
enum outcome svm_enter_l3(struct svm_nested *n, u64 next_rip);

/* #VMEXIT(INVALID): L3 did not run. */
void svm_reflect_invalid(struct svm_nested *n);

/* Which npt13 or npt12 the slot runs on. */
void svm_choose_stage2(struct svm_nested *n, struct svm_slot *s);
/* The ASID of hardware's for the slot. */
u32 svm_asid13(const struct svm_nested *n, const struct svm_slot *s);
/* After a nested page fault that was L2's: L3 will make the same access, and L2 has mended its
 * table by now; so it is filled from it before L3 misses again. */
void svm_fill_ahead(struct svm_slot *s);
/* Asks for the flush that this entry of L3 needs. */
void svm_flush_for_entry(struct svm_nested *n, struct svm_slot *s);
/* Whether it needs one. What L1 removed matters even where L2 asked for nothing: under this ASID
 * hardware may have kept translations, and of any table that it ran on references to pages that
 * serve for others now. */
static inline bool svm_is_flush_due(const struct svm_nested *n, const struct svm_slot *s)
{
	return s->v23.tlb_control || s->flush_due || n->ways.flush ||
	       s->pool_given != n->cache.config.pool->given ||
	       (s->npt13 && s->npt13_removals != s->npt13->nept.table.removals);
}

/* The TPR that L2 wrote with its GIF closed becomes the physical one. */
void svm_publish_tpr(struct svm_nested *n);
/* The other way round, after an L3 that may have written the physical one. */
void svm_collect_tpr(struct svm_nested *n);

#endif
