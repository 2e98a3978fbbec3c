/*
 * The layout of a second-level page table as data, so that walk, composition and the merged tables
 * work for any vendor: EPT (ept.h) and AMD's nested paging (npt.h).
 *
 * Owns: the neutral vocabulary (rights, levels, shifts) and the format's operations.
 * Assumes: entries of 8 bytes, 512 in a table, level 1 holds the 4-KByte leaves.
 * Refuses: anything that knows a virtual CPU, a VMCS or a VMCB.
 */
#ifndef NESTED_EPT_FORMAT_H
#define NESTED_EPT_FORMAT_H

#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/leaf/x86.h"

/* What a translation allows and what an access needs, with the same bits. */
#define NEPT_R   1U
#define NEPT_W   2U
#define NEPT_X   4U
#define NEPT_RWX (NEPT_R | NEPT_W | NEPT_X)
/* Stands for the rights of entries that are present but allow nothing, in a format where that can
 * be and a guest is told of it. */
#define NEPT_DENIED 8U

#define NEPT_LEVELS_MAX 4
#define NEPT_ENTRIES    512U

#define NEPT_SHIFT_4K 12U
#define NEPT_SHIFT_2M 21U
#define NEPT_SHIFT_1G 30U

/* What the machine that a table is made for can do: for a table of L2, what L2 was told. */
struct nept_features {
	u32 physical_bits; /* width of the physical addresses in the entries */
	u32 max_shift;     /* largest leaf: NEPT_SHIFT_4K, _2M or _1G */
	bool execute_only; /* a translation may allow fetches without allowing reads */
	bool no_execute;   /* the bit that denies fetches exists, where such a bit denies them */
};

/* Which entries are misconfigured, computed once from the features. */
struct nept_rules {
	u32 good_rights; /* bit n: low three bits of n are present and not misconfigured */
	u32 bad_types;   /* bit n: a leaf whose caching is n is misconfigured */
	u64 reserved_table[NEPT_LEVELS_MAX + 1]; /* bits that must be 0 in a reference, by level */
	u64 reserved_leaf[NEPT_LEVELS_MAX + 1];  /* bits that must be 0 in a leaf */
};

/* The pointer to a table of L2 (EPTP or nCR3), taken apart. */
struct nept_root23 {
	pa2_t table;
	bool tracks; /* accessed and dirty flags are on */
};

enum nept_walk_result {
	NEPT_WALK_OK,
	NEPT_WALK_VIOLATION, /* not present, or the access is not allowed */
	NEPT_WALK_MISCONFIG,
	NEPT_WALK_RETRY, /* another CPU kept changing the tables: let L3 run and fault again */
};

/* What a miss of L3 in a merged table came to. */
enum nept_result {
	NEPT_FILLED,    /* run L3 again */
	NEPT_RETRY,     /* another CPU changed ept23 meanwhile; run L3 again, it faults again */
	NEPT_VIOLATION, /* L2's table denies the access: reflect fault->info */
	NEPT_MISCONFIG, /* L2's table is misconfigured: reflect; the information is 0 */
	NEPT_ABSENT,    /* L2 allows it, but has no such memory or right itself: fault->pa2 */
	NEPT_NOMEM,     /* the pool is empty: drop tables and try again */
};

#define NEPT_RESULTS (NEPT_NOMEM + 1)

struct nept_source;
struct nept_walk;
struct nept;
struct nept_fault;

struct nept_format {
	const char *name;
	u32 levels;
	u64 key;   /* bits of a root pointer that tell two address spaces apart */
	u64 space; /* those of them that an invalidation compares */

	/* Bits of an entry. */
	u64 address;
	u64 present; /* an entry with none of these is not present */
	u64 denying; /* bits that take a right away when set, where others give it */
	u64 leaf;    /* set in every leaf above level 1 */
	u64 accessed;
	u64 dirty;
	u64 reference; /* an ignored bit: in our tables, marks the entries that refer to a table */
	u64 table_entry; /* such an entry without its address: every right, accessed */

	/* The rights of an entry. */
	u32 (*rights)(u64 entry);
	/* How the memory of a leaf is cached, as a number that only the format understands: what
	 * composition and splitting hand on. */
	u32 (*caching)(u64 entry, u32 shift);
	u32 (*caching_of_type)(enum memory_type type);
	/* A leaf without its address; accessed and dirty, so that hardware need not write it. */
	u64 (*leaf_entry)(u32 shift, u32 rights, u32 caching);
	void (*make_rules)(const struct nept_features *features, struct nept_rules *rules);
	/* nept_walk() for this format; made by walk_as.h. */
	enum nept_walk_result (*walk)(const struct nept_source *source, pa3_t pa3, u32 access,
				      struct nept_walk *walk);
	/* nept_fill() for this format; made by fill_as.h. */
	enum nept_result (*fill)(struct nept *nept, pa3_t pa3, u64 info, struct nept_fault *fault);
	/* nept_fill_ahead() for this format. */
	enum nept_result (*fill_ahead)(struct nept *nept, pa3_t pa3, u64 info,
				       struct nept_fault *fault);

	struct nept_root23 (*root23)(u64 root_pointer);
	/* What hardware is given to run on the table at `root`. */
	u64 (*root_pointer)(pa1_t root, bool tracks);

	/* The information hardware gives with a fault (exit qualification or error code): the
	 * rights that the access needed, and what a guest is told whose own table, with these
	 * accumulated rights (0 when not present, or NEPT_DENIED), denies the access. */
	u32 (*access)(u64 info);
	u64 (*violation)(u64 info, u32 rights);
};

/* The bits of an address below the index of a level; 1 << shift is the size of a leaf there. */
static inline u32 nept_shift_of(u32 level)
{
	return 3 + 9 * level;
}

static inline u32 nept_index(u64 address, u32 shift)
{
	return (u32)(address >> shift) & (NEPT_ENTRIES - 1);
}

/* Whether an address has more bits than the levels translate. */
static inline bool nept_is_beyond(const struct nept_format *format, u64 address)
{
	return (address >> nept_shift_of(format->levels + 1)) != 0;
}

#endif
