/*
 * A VM entry of L3 for the host tests: a vmcs23 that passes every check, in several variants, with
 * the capabilities of Bochs 2.7's corei7_skylake_x behind it, and cases that break one rule of it.
 */
#ifndef TESTS_ENTRY_H
#define TESTS_ENTRY_H

#include "shadow-vmcs/vmx_caps.h"
#include "shadow-vmcs/vmx_check.h"

#define ENTRY_MEMORY 0x10000U

struct entry {
	struct vmcs_fields v;
	struct vmx_caps offered;
	struct vmx_check_env env;
	u8 memory[ENTRY_MEMORY]; /* L2's, from address 0; there is nothing above */
};

/* What L2's memory holds for the variants. */
#define ENTRY_VIRTUAL_APIC 0x3000U
#define ENTRY_LINK         0x6000U /* a VMCS with the right revision */
#define ENTRY_CURRENT      0x7000U /* the current VMCS, with the right revision */
#define ENTRY_NO_VMCS      0x8000U /* zeros */
#define ENTRY_SHADOW_VMCS  0x9000U /* a VMCS with the shadow bit set */
#define ENTRY_PDPTES       0xa020U /* four entries, the last not present */
#define ENTRY_BAD_PDPTES   0xa040U /* the second with a reserved bit */

/* The highest bit inside L2's physical-address width, and the lowest one beyond. */
#define ENTRY_TOP_BIT    BIT(39)
#define ENTRY_BEYOND_BIT BIT(40)

/* The platform's capability MSRs. */
void entry_platform(struct vmx_caps *caps);

/* The variants; each is complete and valid. */
typedef void entry_variant(struct entry *e);
entry_variant entry_64;           /* 64-bit L2 and L3, EPT, VPID, bitmaps, TPR shadow */
entry_variant entry_32;           /* 32-bit L2 and L3, no PAE */
entry_variant entry_pae;          /* the same with PAE paging in L3 */
entry_variant entry_pae_no_ept;   /* its PDPTEs are in memory */
entry_variant entry_v86;          /* the same as entry_32, in virtual-8086 mode */
entry_variant entry_unrestricted; /* entry_64 with unrestricted guest */
entry_variant entry_real;         /* that in real mode */
entry_variant entry_cet;          /* entry_64 with CR4.CET, offered for this */
entry_variant entry_rtm;          /* entry_64 with an RTM debug exception pending */
entry_variant entry_sgx;          /* entry_64, an enclave was interrupted */
entry_variant entry_link;         /* entry_64 with a link pointer */
entry_variant entry_few_offers;   /* entry_64; no A/D flags, no HLT state, no zero length */
entry_variant entry_msr_lists;    /* entry_64 with MSR lists */

/* All of them. */
extern entry_variant *const entry_variants[];
extern const size_t entry_variant_count;

/* A change of one field: some bits cleared, then some set. All zero: no change. */
struct edit {
	int row;
	u64 clear;
	u64 set;
};

#define SET(NAME, value)                 \
	{                                \
		F_##NAME, ~0ULL, (value) \
	}
#define OR(NAME, bits)              \
	{                           \
		F_##NAME, 0, (bits) \
	}
#define CLEAR(NAME, bits)           \
	{                           \
		F_##NAME, (bits), 0 \
	}

/* Applies it; returns the bit of the group that it makes stale. */
u32 entry_edit(struct entry *e, const struct edit *edit);

/* One rule of the manual, quoted, and what breaks it and nothing else. */
struct broken_rule {
	const char *quote;
	entry_variant *variant;
	struct edit edits[3];
};

typedef bool entry_check(const struct vmcs_fields *v, const struct vmx_caps *offered,
			 const struct vmx_check_env *env, u32 groups, struct vmx_verdict *out);

/* Runs a check; returns the text of the rule that fails, or "passes". */
const char *entry_run(entry_check *check, const struct entry *e, u32 groups);

/*
 * Expects of each case: the variant passes; broken, `check` names the quoted rule, and does so too
 * when it is told only of the groups that the edits touched.
 */
void entry_expect_broken(entry_check *check, const struct broken_rule *rules, size_t count);

/* Expects that the cases quote every rule of the section with this number. */
void entry_expect_quoted(const char *number, const struct broken_rule *rules, size_t count);

#endif
