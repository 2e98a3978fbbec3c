/*
 * What vmcs_fields.def says, as C: encodings (VMCS_<NAME>), dense row numbers (F_<NAME>), the type
 * of each value, properties by row, lookup by encoding, names, and the sets of fields that hardware
 * shadowing exposes to L2. Pure; a guest may use it as well as L1.
 *
 * To treat every field of a group without a loop at run time, define VMCS_FIELD to a statement
 * `if ((group) == VG_SEG) ...` and include the .def inside a function: the compiler keeps one
 * group.
 */
#ifndef SHADOW_VMCS_VMCS_FIELDS_H
#define SHADOW_VMCS_VMCS_FIELDS_H

#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/bitmap.h"

/* The unit of staleness: a bit per group says that vmcs23 and vmcs13 differ. */
enum vmcs_group {
	VG_RIP,
	VG_IP,      /* RSP, RFLAGS, interruptibility, activity, pending debug exceptions */
	VG_EVENT,   /* what an entry injects */
	VG_CTRL,    /* pin and processor controls, exceptions, CR3 targets */
	VG_CRMASK,  /* CR0 and CR4 masks and shadows */
	VG_SWITCH,  /* exit and entry controls, MSR lists */
	VG_BITMAPS, /* addresses of the I/O and MSR bitmaps */
	VG_TSC,
	VG_STAGE2, /* EPTP, VPID */
	VG_APIC,
	VG_CR, /* guest CR0, CR3, CR4 */
	VG_PDPTE,
	VG_SEG,    /* every guest segment register, LDTR and TR included */
	VG_TABLES, /* guest GDTR and IDTR */
	VG_MSR,    /* guest SYSENTER, PAT, EFER, DEBUGCTL, DR7, performance counters */
	VG_HOST,
	VG_INFO,  /* read-only data */
	VG_EXTRA, /* link pointer, and what L2 is not offered yet */
	VG_COUNT,
};

#define VG_ALL ((1U << VG_COUNT) - 1)

/* Field encoding: access type bit 0, index 9:1, type 11:10, width 14:13. */
enum vmcs_width { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_N };
enum vmcs_type { VMCS_TYPE_CONTROL, VMCS_TYPE_INFO, VMCS_TYPE_GUEST, VMCS_TYPE_HOST };
#define VMCS_HIGH       1U
#define VMCS_ENCODINGS  0x8000U
#define VMCS_INDEX_MASK 0x3feU

enum vmcs_field {
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) \
	VMCS_##NAME = VMCS_WIDTH_##width << 13 | VMCS_TYPE_##type << 10 | (index) << 1,
#include "shadow-vmcs/vmcs_fields.def"
};

enum vmcs_row_number {
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) F_##NAME,
#include "shadow-vmcs/vmcs_fields.def"
	VMCS_ROWS,
};

typedef u16 vmcs_value_16;
typedef u32 vmcs_value_32;
typedef u64 vmcs_value_64;
typedef u64 vmcs_value_N;
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) \
	typedef vmcs_value_##width vmcs_type_##NAME;
#include "shadow-vmcs/vmcs_fields.def"

/* One VMCS's fields as L1 keeps them in memory; a narrow field's upper bits are zero. */
struct vmcs_fields {
	u64 f[VMCS_ROWS];
};

/* The value with the field's own type, and a store that truncates to it. */
#define vmcs_get(v, NAME)        ((vmcs_type_##NAME)(v)->f[F_##NAME])
#define vmcs_set(v, NAME, value) ((v)->f[F_##NAME] = (vmcs_type_##NAME)(value))

/* How far hardware shadowing exposes a field to L2. */
enum vmcs_expose_access {
	EXPOSE_TRAP, /* every access exits */
	EXPOSE_READ, /* VMREAD does not exit */
	EXPOSE_RW,   /* neither does VMWRITE */
};

/* Which capability MSR says that a field exists; the bit is in struct vmcs_row. */
enum vmcs_need {
	NEED_ALWAYS,
	NEED_PIN,
	NEED_PROC,
	NEED_PROC2,
	NEED_EXIT,
	NEED_ENTRY,
};

/* Shapes of values that more than one field has; vmx_check tests them where the manual says so. */
enum vmcs_shape {
	CHECK_ANY,       /* free, or constrained by a rule of its own */
	CHECK_CANONICAL, /* a canonical linear address */
	CHECK_PAGE,      /* physical, within the address width, 4-KiB aligned */
	CHECK_AREA,      /* physical, within the address width, 16-byte aligned */
	CHECK_PHYSICAL,  /* within the address width */
	CHECK_LIMIT16,   /* bits 31:16 are zero */
	CHECK_LOW32,     /* bits 63:32 are zero */
	CHECK_SELECTOR,  /* RPL and TI are zero */
	CHECK_PDPTE,     /* not present, or with no reserved bit set */
	CHECK_PAT,       /* what WRMSR accepts for IA32_PAT */
	CHECK_EFER,      /* no reserved bit */
	CHECK_DEBUGCTL,  /* no reserved bit */
};

/* The shape of each field as a constant: SHAPE_<NAME>. */
enum vmcs_field_shape {
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) \
	SHAPE_##NAME = CHECK_##check,
#include "shadow-vmcs/vmcs_fields.def"
};

/* A row of the table. */
struct vmcs_row {
	u16 encoding;
	u8 width : 2;
	u8 type : 2;
	u8 need : 4;
	u8 need_bit; /* of the capability MSR's allowed-1 half; nothing when need is NEED_ALWAYS */
	u8 group;
	u8 shape;
	u8 expose;         /* the most that may be exposed: enum vmcs_expose_access */
	u8 expose_kvm : 4; /* what the set `kvm` exposes */
	u8 expose_minimal : 4;
};

extern const struct vmcs_row vmcs_table[VMCS_ROWS];

/* Row number + 1 by encoding; 0 where no field is. */
extern const u8 vmcs_row_by_encoding[VMCS_ENCODINGS];

/*
 * The row of an encoding, or -1 when there is none. Both access types of a 64-bit field lead to its
 * row (the caller looks at VMCS_HIGH); an odd encoding of any other field leads nowhere.
 */
static inline int vmcs_row_of(u64 encoding)
{
	if (unlikely(encoding >= VMCS_ENCODINGS))
		return -1;
	return vmcs_row_by_encoding[encoding] - 1;
}

/* The bits that a field can hold; a natural-width field is taken as 64 bits wide. */
static inline u64 vmcs_value_mask(int row)
{
	static const u64 masks[] = {
		[VMCS_WIDTH_16] = 0xffff,
		[VMCS_WIDTH_64] = ~0ULL,
		[VMCS_WIDTH_32] = 0xffffffff,
		[VMCS_WIDTH_N] = ~0ULL,
	};

	return masks[vmcs_table[row].width];
}

/* The name as in vmcs_fields.def. */
const char *vmcs_field_name(int row);

/* What hardware shadowing exposes to L2, by row, and the rows that are exposed at all. */
struct vmcs_expose {
	u8 access[VMCS_ROWS]; /* enum vmcs_expose_access */
	u8 readable_count;
	u8 writable_count;
	u8 readable[VMCS_ROWS]; /* rows whose VMREAD does not exit: L1 publishes them */
	u8 writable[VMCS_ROWS]; /* rows whose VMWRITE does not exit: L1 collects them */
};

enum vmcs_expose_result {
	VMCS_EXPOSE_OK,
	VMCS_EXPOSE_EMPTY,   /* a word is missing */
	VMCS_EXPOSE_UNKNOWN, /* the word is neither a set nor a field */
	VMCS_EXPOSE_REFUSED, /* accesses to this field must exit */
};

/*
 * Makes the set that the text of vmcs.fields= describes: the words minimal, kvm, all, none and
 * names of fields, joined by '+'. A named field is exposed as far as it may be. On failure *out is
 * unusable and *bad, *bad_length give the word that is to blame.
 */
enum vmcs_expose_result vmcs_expose_set(const char *words, size_t length, struct vmcs_expose *out,
					const char **bad, size_t *bad_length);

/* Takes out of the set every field for which `exists` is false. */
void vmcs_expose_limit(struct vmcs_expose *set, bool (*exists)(const void *ctx, int row),
		       const void *ctx);

/*
 * Fills the two bitmaps of SDM 3C "VMCS Shadowing Bitmap Addresses" (25.6.15): bit n stands for the
 * encoding n (bits 14:0) and is clear where the access is exposed.
 */
void vmcs_expose_bitmaps(const struct vmcs_expose *set, struct bitmap_page *read,
			 struct bitmap_page *write);

#endif
