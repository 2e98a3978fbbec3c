/*
 * The VMCB as C structures, made from vmcb_fields.def: each field is a member at its offset, and
 * belongs to a group of staleness, which for most is a bit of the clean field.
 * Facts of the hardware only; guests use this file too.
 */
#ifndef SHADOW_VMCS_VMCB_H
#define SHADOW_VMCS_VMCB_H

#include "l1-hypervisor/leaf/types.h"

/* APM 2 "VMCB Clean Bits" (15.15): bit numbers of the clean field, then groups that it does not
 * know: read or written at every switch, written by exits, moved by VMLOAD and VMSAVE alone, of
 * features that nobody here offers. */
enum vmcb_group {
	CLEAN_INTERCEPTS,
	CLEAN_MAPS,
	CLEAN_ASID,
	CLEAN_TPR,
	CLEAN_NP,
	CLEAN_CR,
	CLEAN_DR,
	CLEAN_DT,
	CLEAN_SEG,
	CLEAN_CR2,
	CLEAN_LBR,
	CLEAN_AVIC,
	CLEAN_CET,
	CLEAN_COUNT,
	VMCB_ALWAYS = CLEAN_COUNT,
	VMCB_INFO,
	VMCB_VLS,
	VMCB_UNUSED,
};

#define CLEAN_ALL ((u32)BITS(CLEAN_COUNT - 1, 0))

/* A segment register; of GDTR and IDTR only limit and base count. The attributes are bits 55:52 and
 * 47:40 of a descriptor, joined to 12 bits. */
struct vmcb_segment {
	u16 selector;
	u16 attributes;
	u32 limit;
	u64 base;
};

#define VMCB_MEMBER(type, name, offset)   \
	struct {                          \
		u8 before_##name[offset]; \
		type name;                \
	} __attribute__((packed, aligned(1)));

struct vmcb_control {
	union {
		u8 bytes[0x400];
#define VMCB_CONTROL(type, name, offset, group) VMCB_MEMBER(type, name, offset)
#include "shadow-vmcs/vmcb_fields.def"
	};
};

struct vmcb_save {
	union {
		u8 bytes[0xc00];
#define VMCB_SAVE(type, name, offset, group) VMCB_MEMBER(type, name, offset)
#include "shadow-vmcs/vmcb_fields.def"
	};
};

struct vmcb {
	struct vmcb_control c;
	struct vmcb_save s;
} __attribute__((aligned(4096)));

_Static_assert(sizeof(struct vmcb) == 4096, "a VMCB is a page");
_Static_assert(offsetof(struct vmcb_save, last_excp_to) == 0x290, "offsets are those of the .def");

#endif
