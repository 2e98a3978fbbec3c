/*
 * Permission maps of L1 and L2 and how they meet; see svm_maps.c.
 */
#ifndef SHADOW_VMCS_SVM_MAPS_H
#define SHADOW_VMCS_SVM_MAPS_H

#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/svm_hw.h"

/* The bit number of the MSR's reads in a map, that of its writes follows; false for an MSR outside
 * of the ranges, whose accesses always exit. */
bool svm_msrpm_bit(u32 msr, u32 *bit);

/* Whether an access of `size` bytes (1, 2 or 4) at `port` exits by this map. */
bool svm_iopm_exits(const u8 *map, u16 port, u32 size);

/* What L2's maps say of an access of L3, as they are now. */
bool svm_l2_wants_msr(const struct svm_nested *n, u32 msr, bool is_write);
bool svm_l2_wants_port(const struct svm_nested *n, u16 port, u32 size);

/* Where L2's MSR map is for L1; when L2 intercepts no MSR, one that adds nothing to L1's own. */
const u64 *svm_find_msrpm(const struct svm_nested *n, const struct vmcb_control *v23);

/* A word of 64 bits has 32 MSRs. */
#define MSRPM_WORD_OF_LOW(msr)  ((msr) / 32)
#define MSRPM_WORD_OF_HIGH(msr) ((MSRPM_RANGE_BYTES / 8) + ((msr) & (MSRPM_RANGE - 1)) / 32)

static inline void svm_merge_msrpm_word(struct svm_nested *n, const u64 *map23, u32 word)
{
	((u64 *)n->maps.msrpm13)[word] = ((const u64 *)n->maps.msrpm12)[word] |
					 __atomic_load_n(&map23[word], __ATOMIC_RELAXED);
}

/* Merges the words of the MSRs that are used often; for every entry of L3. */
static inline void svm_merge_msrpm(struct svm_nested *n, const struct svm_slot *s)
{
	svm_merge_msrpm_word(n, s->msrpm23, MSRPM_WORD_OF_LOW(MSR_SYSENTER_CS));
	svm_merge_msrpm_word(n, s->msrpm23, MSRPM_WORD_OF_LOW(MSR_PAT));
	svm_merge_msrpm_word(n, s->msrpm23, MSRPM_WORD_OF_HIGH(MSR_EFER));
	svm_merge_msrpm_word(n, s->msrpm23, MSRPM_WORD_OF_HIGH(MSR_FS_BASE));
	svm_count_map_words(4);
}
/* L3 makes a string I/O access that L2 does not want: it runs on merged bits until its next entry.
 */
void svm_merge_iopm(struct svm_nested *n);

#endif
