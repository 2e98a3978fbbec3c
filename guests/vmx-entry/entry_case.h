/*
 * A test of the checks at VM entry as a row of a table: changes to a VMCS that would enter, and
 * what the entry then leads to.
 */
#ifndef GUESTS_VMX_ENTRY_ENTRY_CASE_H
#define GUESTS_VMX_ENTRY_ENTRY_CASE_H

#include "guests/lib/inner.h"
#include "guests/lib/test.h"

enum change_kind { CHANGE_NONE, CHANGE_SET, CHANGE_OR, CHANGE_CLEAR };

struct change {
	enum change_kind kind;
	u32 field;
	u64 value;
};

#define SET(field, value)                         \
	{                                         \
		CHANGE_SET, VMCS_##field, (value) \
	}
#define OR(field, value)                         \
	{                                        \
		CHANGE_OR, VMCS_##field, (value) \
	}
#define CLEAR(field, value)                         \
	{                                           \
		CHANGE_CLEAR, VMCS_##field, (value) \
	}
#define CHANGES_MAX 10

enum entry_outcome {
	ENTERS,   /* and exits by its VMCALL */
	FAILS_7,  /* VMfailValid: invalid control */
	FAILS_8,  /* VMfailValid: invalid host state */
	EXITS_33, /* invalid guest state */
	EXITS_34, /* MSR loading */
};

struct entry_case {
	const char *name, *rule;
	enum entry_outcome outcome;
	u64 qualification; /* of EXITS_33 and EXITS_34 */
	struct vmx_controls more;
	struct change changes[CHANGES_MAX];
	void (*prepare)(void); /* after the changes */
};

void entry_case_run(const struct entry_case *c);
void entry_cases_run(const struct entry_case *cases, size_t count);

/* The inner guest of every row: does nothing but its VMCALL. */
extern const char entry_code[];

extern const struct suite controls_suite, control_lists_suite, injection_suite, host_suite;
extern const struct suite registers_suite, segments_suite, other_state_suite;
extern const struct suite ept_controls_suite, ept_state_suite;
extern const struct suite msr_load_suite, after_suite;

#define AR_CODE32 0xc09b

/* Changes that make a guest outside IA-32e mode. */
#define GUEST_32                                                                       \
	CLEAR(ENTRY_CONTROLS, ENTRY_GUEST_64), CLEAR(GUEST_EFER, EFER_LMA | EFER_LME), \
		SET(GUEST_CS_AR, AR_CODE32)

#define TOO_WIDE     BIT(62) /* beyond any physical-address width */
#define NONCANONICAL BIT(47)

#endif
