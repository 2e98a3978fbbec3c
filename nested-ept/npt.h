/*
 * AMD's nested paging: its tables are ordinary page tables of long mode, whose entries x86.h has.
 * The pointer to one, the error code of a nested page fault, and the format built from them.
 * Hardware facts only; no policy.
 */
#ifndef NESTED_EPT_NPT_H
#define NESTED_EPT_NPT_H

#include "nested-ept/format.h"

/* APM 2 "4-Kbyte Page Translation" (5.3.3), the formats. */
#define NPT_ADDRESS   BITS(51, 12)
#define NPT_REFERENCE BIT(11) /* available to software; see struct nept_format */
#define NPT_PAT_4K    BIT(7)  /* in the place of PS */
#define NPT_PAT_LARGE BIT(12)

/* A root pointer is the nested CR3, whose bits 63:52 are zero, with the ASID that runs on it in
 * those: tables of two ASIDs are never one, and a flush drops those of an ASID. */
#define NPT_ASID_SHIFT 52
#define NPT_ASID       BITS(63, NPT_ASID_SHIFT)

static inline u64 npt_root_pointer23(u64 ncr3, u32 asid)
{
	return (ncr3 & NPT_ADDRESS) | (u64)asid << NPT_ASID_SHIFT;
}

/* APM 2 "Nested versus Guest Page Faults, Fault Ordering" (15.25.6): what a guest hypervisor is
 * told, given what hardware told, when its entry has a reserved bit set (NEPT_MISCONFIG). */
static inline u64 npt_reserved_fault(u64 info)
{
	return info | PF_P | PF_U | PF_RSVD;
}

extern const struct nept_format nept_format_npt;

#endif
