/*
 * L1's command line as a structure, and the ways of its axes, which a hypercall can change later.
 * One table holds every word, its allowed values and its default; names for the log come from it
 * too. Refuses unknown, repeated and contradictory words, naming the word and what is allowed, and
 * axes of the vendor that this CPU is not of. Whether the platform can do a way is not asked here.
 */
#ifndef L1_OPTIONS_H
#define L1_OPTIONS_H

#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/refusal.h"
#include "shadow-vmcs/vmcs_fields.h"

/* How L2 reaches vmcs23. */
enum way_vmcs { WAY_VMCS_TRAP, WAY_VMCS_SHADOW };

/* How vmcs13 is built from vmcs12 and vmcs23. */
enum way_merge { WAY_MERGE_FULL, WAY_MERGE_DIRTY };

/* How L3's memory is translated. */
enum way_ept { WAY_EPT_NESTED_LAZY, WAY_EPT_SHADOW_ON_EPT };

/* How much of vmcb23 is believed to be as it was: nothing, or what L2's clean bits say. */
enum way_vmcb { WAY_VMCB_COPY_ALL, WAY_VMCB_CLEAN_BITS };

/* Who does VMLOAD and VMSAVE, and who holds the global interrupt flag, of L2: L1, or hardware. */
enum way_vls { WAY_VLS_TRAP, WAY_VLS_VIRTUAL };
enum way_gif { WAY_GIF_TRAP, WAY_GIF_VIRTUAL };

/* As enum way_ept. */
enum way_npt { WAY_NPT_NESTED_LAZY, WAY_NPT_SHADOW_ON_NPT };

/* What a switch between L2 and L3 does to cached translations. "asid" is AMD's word for "vpid", and
 * is read as that. */
enum way_tlb { WAY_TLB_VPID, WAY_TLB_FLUSH, WAY_TLB_ASID };

enum vendor { VENDOR_VMX, VENDOR_SVM };

/* What L1 keeps of every exit: nothing, how many, or how many and how long. */
enum stats_mode { STATS_OFF, STATS_COUNT, STATS_FULL };

#define WAY_FIELDS_TEXT_MAX 256

struct ways {
	u32 vmcs;  /* enum way_vmcs */
	u32 merge; /* enum way_merge */
	u32 ept;   /* enum way_ept */
	u32 tlb;   /* enum way_tlb */
	u32 vmcb;  /* enum way_vmcb */
	u32 vls;   /* enum way_vls */
	u32 gif;   /* enum way_gif */
	u32 npt;   /* enum way_npt */
	/* The fields that hardware shadowing exposes to L2, and the words that said so. */
	struct vmcs_expose exposed;
	char fields[WAY_FIELDS_TEXT_MAX];
};

/* The words, as numbers: for options_value_name() and for bits in `given`. */
enum option {
	OPTION_VMCS,
	OPTION_MERGE,
	OPTION_EPT,
	OPTION_TLB,
	OPTION_VMCS_FIELDS,
	OPTION_VMCB,
	OPTION_VLS,
	OPTION_GIF,
	OPTION_NPT,
	OPTION_NESTED,
	OPTION_NATIVE,
	OPTION_STATS,
	OPTION_LOG,
	OPTION_CPUS,
	OPTION_MEMORY,
	OPTION_COUNT,
};

struct options {
	struct ways ways;
	u32 nested; /* L2 may use VMX or SVM */
	u32 native; /* load L2 alike, but jump to it without a hypervisor */
	u32 stats;  /* enum stats_mode */
	u32 log;
	u32 cpus;   /* use at most this many */
	u32 memory; /* what L1 takes, in MiB, even */
	u32 given;  /* BIT(enum option) of every word that was written */
};

/* Reads a command line: words `name=value` between blanks. A first word without "=" is the image's
 * name, which some boot loaders put there, and is skipped. */
bool options_read(struct options *options, const char *words, struct refusal *why);

/* Whether the words that were `given` have a meaning with this vendor's backend. Where nothing was
 * said of translations, its own tags are chosen. */
bool options_suit(struct ways *ways, u32 given, enum vendor vendor, struct refusal *why);

/* Reads "axis=way,axis=way" of `length` bytes, as NB_OP_STRATEGY carries it, over the ways that
 * are set. On refusal `ways` is unchanged. */
bool options_read_ways(struct ways *ways, const char *text, size_t length, enum vendor vendor,
		       struct refusal *why);

/* The word for a value of an option that has named values, such as "shadow". */
const char *options_value_name(enum option option, u32 value);

#endif
