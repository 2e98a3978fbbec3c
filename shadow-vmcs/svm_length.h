/*
 * Where a guest goes on behind the instruction that made it exit, on a processor that does not save
 * the next RIP: the length comes from the bytes at CS:RIP, which must be prefixes and the opcode
 * that svm_exits.def has for the exit.
 *
 * Owns: the places in a guest's code whose length it knows already; a place is believed while the
 * page-table entries that lead there, and its bytes, are what they were.
 * Assumes: nested paging, so that PAE page-directory pointers are read from memory; the
 * processor has just fetched the instruction, so rights were checked.
 * Refuses: to guess. Other bytes mean that another CPU has changed the code: the guest runs again.
 */
#ifndef SHADOW_VMCS_SVM_LENGTH_H
#define SHADOW_VMCS_SVM_LENGTH_H

#include "l1-hypervisor/leaf/x86.h"
#include "nested-ept/memory.h"
#include "shadow-vmcs/svm_bits.h"
#include "shadow-vmcs/svm_exits.h"
#include "shadow-vmcs/vmcb.h"

#define SVM_SITE_LEVELS 4
#define SVM_SITE_SETS   32
#define SVM_SITE_WAYS   2

/* An instruction in 64-bit code under 4-level paging, in one page and of at most 4 bytes. */
struct svm_site {
	u64 rip, cr3, next;
	u32 what;        /* svm_site_what() of the exit; 0: the site is unused */
	u32 bytes, mask; /* the instruction */
	const u8 *code;  /* where L1 sees it */
	/* The page-table entries that lead to it; the last one again in the place of those that a
	 * large page has not. */
	const u64 *entry[SVM_SITE_LEVELS];
	u64 value[SVM_SITE_LEVELS];
} __attribute__((aligned(128))); /* a power of two, for the index */

/* Of one virtual CPU at one level, all of whose memory `struct nept_memory` shows at fixed places.
 * All zeros is empty. */
struct svm_sites {
	struct svm_site site[SVM_SITE_SETS][SVM_SITE_WAYS];
};

/* What was executed: the exit, and whether it is RDMSR or WRMSR. */
static inline u32 svm_site_what(u32 exit, const struct vmcb *vmcb)
{
	return unlikely(exit == SVM_EXIT_MSR) ? exit + SVM_EXITS * (u32)vmcb->c.exit_info1 : exit;
}

/* Whether the instruction is still there, and is what the guest would find there. */
static inline bool svm_site_holds(const struct svm_site *site, const struct vmcb *vmcb)
{
	u32 bytes;

	if (site->cr3 != vmcb->s.cr3 || !(vmcb->s.cs.attributes & SEG_L) ||
	    !(vmcb->s.efer & EFER_LMA) || (vmcb->s.cr4 & CR4_LA57))
		return false;
#pragma GCC unroll 4
	for (u32 i = 0; i < SVM_SITE_LEVELS; i++)
		if (__atomic_load_n(site->entry[i], __ATOMIC_RELAXED) != site->value[i])
			return false;
	__builtin_memcpy(&bytes, site->code, sizeof(bytes));
	return ((bytes ^ site->bytes) & site->mask) == 0;
}

/* svm_decode_next_rip() of a place that is known; false for any other. */
static inline __attribute__((always_inline)) bool
svm_known_next_rip(const struct svm_sites *sites, const struct vmcb *vmcb, u32 exit, u64 *next)
{
	const struct svm_site *site = sites->site[exit % SVM_SITE_SETS];
	u32 what = svm_site_what(exit, vmcb);

	if (unlikely(site->rip != vmcb->s.rip || site->what != what)) {
		site++;
		if (site->rip != vmcb->s.rip || site->what != what)
			return false;
	}
	if (unlikely(!svm_site_holds(site, vmcb)))
		return false;
	*next = site->next;
	return true;
}

/* Whether one of the first `count` bytes at RIP, all of them prefixes, is the address-size prefix;
 * `memory` as for svm_decode_next_rip(). */
bool svm_has_address_prefix(const struct vmcb *vmcb, const struct nept_memory *memory, u32 count);

/* Reads up to `size` bytes of the guest's code at RIP; how many it got, at most 15. */
u32 svm_code(const struct vmcb *vmcb, const struct nept_memory *memory, u8 *to, u32 size);

/*
 * The RIP behind the instruction at RIP that made the exit `exit` (an enum svm_exit), which must be
 * one with an opcode, MSR or IOIO; `memory` is the memory that the guest's CR3 and page tables
 * speak of. `sites` may be NULL: nothing is remembered then. False: the code has changed meanwhile,
 * the guest must run again as it is.
 */
bool svm_decode_next_rip(struct svm_sites *sites, const struct vmcb *vmcb, u32 exit,
			 const struct nept_memory *memory, u64 *next);

#endif
