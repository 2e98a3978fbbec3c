/*
 * A test of the checks of VMRUN as a row of a table: changes to a VMCB that would enter, and what
 * the entry then leads to.
 */
#ifndef GUESTS_SVM_ENTRY_ENTRY_CASE_H
#define GUESTS_SVM_ENTRY_ENTRY_CASE_H

#include "guests/lib/svm_inner.h"
#include "guests/lib/test.h"

enum change_kind { CHANGE_NONE, CHANGE_SET, CHANGE_OR, CHANGE_CLEAR };

struct change {
	enum change_kind kind;
	u16 offset, size;
	u64 value;
};

#define CHANGE(kind, field, value)                                                                \
	{                                                                                         \
		kind, offsetof(struct vmcb, field), sizeof(((struct vmcb *)NULL)->field), (value) \
	}
#define SET(field, value)   CHANGE(CHANGE_SET, field, value)
#define OR(field, value)    CHANGE(CHANGE_OR, field, value)
#define CLEAR(field, value) CHANGE(CHANGE_CLEAR, field, value)

#define CHANGES_MAX 10

enum entry_outcome {
	ENTERS,  /* and exits by its VMMCALL */
	INVALID, /* VMEXIT_INVALID */
};

struct entry_case {
	const char *name, *rule;
	enum entry_outcome outcome;
	/* The platform, but not Nestbed, may enter, and then exit in any way. Each row that says so
	 * says which, as a QUIRK. */
	bool check_is_optional;
	struct change changes[CHANGES_MAX];
	void (*prepare)(void); /* after the changes */
};

void entry_cases_run(const struct entry_case *cases, size_t count);

/* The same with nested paging. */
void entry_cases_run_npt(const struct entry_case *cases, size_t count);

/* The inner guest of every row: does nothing but its VMMCALL. */
extern const char entry_code[];

extern const struct suite checks_suite, npt_checks_suite, modes_suite, state_suite;
extern const struct suite npt_state_suite, clean_suite, events_suite, host_suite;

/* Attributes of struct vmcb_segment. */
#define ATTR_CODE64 0xa9bU
#define ATTR_CODE32 0xc9bU
#define ATTR_CODE16 0x09bU
#define ATTR_DATA16 0x093U

/* APM 2 "Long Mode": the widths of physical addresses and of linear ones. */
u32 entry_physical_width(void);
u32 entry_linear_width(void);

#endif
