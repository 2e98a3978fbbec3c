/*
 * A test of a VMX instruction in 32-bit protected mode as a row of a table: like insn_case.h, with
 * segments. Before each one, PLAIN_FIELD and VMCS_TSC_OFFSET of the VMCS hold LEGACY_VALUE.
 */
#ifndef GUESTS_VMX_INSN_LEGACY_CASE_H
#define GUESTS_VMX_INSN_LEGACY_CASE_H

#include "guests/vmx-insn/insn_case.h"
#include "guests/lib/legacy.h"
#include "l1-hypervisor/leaf/x86.h"

#define LEGACY_VALUE 0x0f1e2d3c4b5a6978ULL

#define LEGACY_LIMIT     0xfffU
#define LEGACY_AREA_SIZE (8 * PAGE_SIZE)

#define SEL_BASED       (SEL_SPARE + 0 * 8) /* base at the area, no limit */
#define SEL_LIMITED     (SEL_SPARE + 1 * 8) /* the same, limit LEGACY_LIMIT */
#define SEL_READ_ONLY   (SEL_SPARE + 2 * 8)
#define SEL_EXPAND_DOWN (SEL_SPARE + 3 * 8) /* offsets above LEGACY_LIMIT */
#define SEL_EXECUTE     (SEL_SPARE + 4 * 8) /* code that cannot be read */
#define SEL_STACK       (SEL_SPARE + 5 * 8) /* base at LEGACY_STACK_BASE in the area */
#define SEL_SHORT_CODE  (SEL_SPARE + 6 * 8) /* 16-bit code, base at the code */

extern u8 legacy_area[LEGACY_AREA_SIZE];

/* The stack segment within the area, and where ESP starts in it. */
#define LEGACY_STACK_BASE  (LEGACY_AREA_SIZE - PAGE_SIZE)
#define LEGACY_STACK_START 0xff0

struct legacy_case {
	const char *name, *rule;
	const char *code;
	struct insn_want want;
	enum legacy_vmx vmx;
	u32 eflags;
	u16 cs, ss, ds, es, fs, gs; /* 0: flat */
	u32 eax, ebx, ecx, edx, esi, edi;
	bool null_ds;
	void (*prepare)(void);
	void (*finish)(const struct legacy_end *end);
};

void legacy_cases_run(const struct legacy_case *cases, size_t count);

#endif
