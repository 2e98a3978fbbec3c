/*
 * A VMCB of L2's for the host tests: one that passes every check, in several variants, with
 * changes of it by field and the group of staleness that each field is in.
 */
#ifndef TESTS_SVM_GUEST_H
#define TESTS_SVM_GUEST_H

#include "shadow-vmcs/svm_check.h"
#include "shadow-vmcs/vmcb.h"

/* L2's physical-address width. */
#define SVM_GUEST_WIDTH 40

struct svm_guest {
	struct vmcb vmcb;
	struct svm_check_env env;
};

/* The variants; each is complete and valid. */
typedef void svm_variant(struct svm_guest *g);
svm_variant svm_guest_64;         /* 64-bit code, nested paging */
svm_variant svm_guest_compat;     /* 32-bit code in long mode */
svm_variant svm_guest_pae;        /* 32-bit code, PAE paging, no nested paging */
svm_variant svm_guest_32;         /* 32-bit code, two levels, L2 itself without paging */
svm_variant svm_guest_of_pae;     /* 32-bit code, and L2 itself has PAE paging */
svm_variant svm_guest_real;       /* real mode */
svm_variant svm_guest_paged_real; /* "paged real mode" */

/* All of them. */
extern svm_variant *const svm_variants[];
extern const size_t svm_variant_count;

/* A field of the VMCB. */
struct svm_field {
	const char *name;
	u32 offset;
	u32 size;
	enum vmcb_group group;
};

/* All of them; a segment register is one. */
extern const struct svm_field svm_fields[];
extern const size_t svm_field_count;

/* The field that the byte at this offset of a VMCB belongs to. */
const struct svm_field *svm_field_at(u32 offset);

#endif
