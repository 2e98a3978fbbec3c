/*
 * Permission maps of L1 and L2 and how they meet; see svm_maps.c.
 */
#ifndef SHADOW_VMCS_SVM_MAPS_H
#define SHADOW_VMCS_SVM_MAPS_H

#include "shadow-vmcs/svm_nested.h"

/* The bit number of the MSR's reads in a map, that of its writes follows; false for an MSR outside
 * of the ranges, whose accesses always exit. */
bool svm_msrpm_bit(u32 msr, u32 *bit);

/* Whether an access of `size` bytes (1, 2 or 4) at `port` exits by this map. */
bool svm_iopm_exits(const u8 *map, u16 port, u32 size);

/* What L2's maps say of an access of L3, as they are now. */
bool svm_l2_wants_msr(const struct svm_nested *n, u32 msr, bool is_write);
bool svm_l2_wants_port(const struct svm_nested *n, u16 port, u32 size);

/* Merges the words of the MSRs that are used often; for every entry of L3. */
void svm_merge_msrpm(struct svm_nested *n, const struct svm_slot *s);
/* L3 makes a string I/O access that L2 does not want: it runs on merged bits until it ends. */
void svm_merge_iopm(struct svm_nested *n);

#endif
