/*
 * Walk of a guest's own page tables: linear address to guest-physical, for the operands of
 * instructions that L1 emulates.
 *
 * Owns: access rights, reserved bits, accessed and dirty flags, the page-fault error code.
 * Assumes: the caller did segmentation and the canonical check, and asks for each page once.
 * Refuses: DEVIATION: shadow-stack accesses and linear-address masking are not known here.
 */
#ifndef NESTED_EPT_GPT_WALK_H
#define NESTED_EPT_GPT_WALK_H

#include "nested-ept/memory.h"

/* The state that paging depends on. */
struct gpt_context {
	u64 cr0, cr3, cr4, efer, rflags;
	/* PAE paging: the four PDPTE registers, or NULL to take them from memory at CR3, as SVM
	 * with nested paging does. */
	const u64 *pdptes;
	u32 pkru, pkrs;    /* looked at only when CR4.PKE, CR4.PKS are set */
	u32 physical_bits; /* width of the guest's physical addresses */
	bool has_1g_pages;
	const struct nept_memory *memory;
};

/* Kinds of an access; 0 is an explicit supervisor-mode data read. */
#define GPT_WRITE    1U
#define GPT_USER     2U /* CPL 3 */
#define GPT_FETCH    4U
#define GPT_IMPLICIT 8U /* of the GDT, a TSS ...: supervisor-mode at any CPL, EFLAGS.AC ignored */

enum gpt_result {
	GPT_OK,
	GPT_FAULT, /* #PF with this error code; CR2 = the address */
	GPT_RETRY, /* another CPU kept changing the tables: run the instruction again */
};

struct gpt_walk {
	pa2_t pa2;
	u32 error_code;
};

/* Translates one byte's address. With paging off, linear is physical.
 * SDM 3A "32-Bit Paging" (4.3), "PAE Paging" (4.4), "4-Level Paging and 5-Level Paging" (4.5),
 * "Access Rights" (4.6), "Page-Fault Exceptions" (4.7), "Accessed and Dirty Flags" (4.8). */
enum gpt_result gpt_walk(const struct gpt_context *context, u64 linear, u32 access,
			 struct gpt_walk *walk);

#endif
