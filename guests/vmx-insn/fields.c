/*
 * Every VMCS field that Nestbed offers: holds what VMWRITE puts there, in its own width, and shares
 * its place with no other field.
 */
#include "guests/vmx-insn/insn_case.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define NAME_SIZE  80
#define AR_DEFINED 0x1f0ffULL

/* Controls whose fields Nestbed offers; a platform may have more. */
#define OFFERED_PROC  (PROC_SECONDARY | PROC_MSR_BITMAPS | PROC_TPR_SHADOW)
#define OFFERED_PROC2 (PROC2_APIC_ACCESSES | PROC2_VPID | PROC2_PAUSE_LOOP_EXITING | PROC2_XSAVES)
#define OFFERED_EXIT  (EXIT_LOAD_PAT | EXIT_LOAD_EFER)
#define OFFERED_ENTRY (ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)

struct kind {
	const char *name;
	enum vmcs_width width;
	enum vmcs_type type;
};

static const struct kind kinds[] = {
	{ "16-bit control field", VMCS_WIDTH_16, VMCS_TYPE_CONTROL },
	{ "16-bit guest-state field", VMCS_WIDTH_16, VMCS_TYPE_GUEST },
	{ "16-bit host-state field", VMCS_WIDTH_16, VMCS_TYPE_HOST },
	{ "32-bit control field", VMCS_WIDTH_32, VMCS_TYPE_CONTROL },
	{ "32-bit read-only field", VMCS_WIDTH_32, VMCS_TYPE_INFO },
	{ "32-bit guest-state field", VMCS_WIDTH_32, VMCS_TYPE_GUEST },
	{ "32-bit host-state field", VMCS_WIDTH_32, VMCS_TYPE_HOST },
	{ "64-bit control field", VMCS_WIDTH_64, VMCS_TYPE_CONTROL },
	{ "64-bit guest-state field", VMCS_WIDTH_64, VMCS_TYPE_GUEST },
	{ "64-bit host-state field", VMCS_WIDTH_64, VMCS_TYPE_HOST },
	{ "natural-width control field", VMCS_WIDTH_N, VMCS_TYPE_CONTROL },
	{ "natural-width read-only field", VMCS_WIDTH_N, VMCS_TYPE_INFO },
	{ "natural-width guest-state field", VMCS_WIDTH_N, VMCS_TYPE_GUEST },
	{ "natural-width host-state field", VMCS_WIDTH_N, VMCS_TYPE_HOST },
};

/* A row of the field table; the control whose 1-setting makes the field exist. */
struct field {
	const char *name;
	u32 encoding;
	enum vmcs_width width;
	enum vmcs_type type;
	enum vmcs_need need;
	u32 control;
};

#define ALWAYS             NEED_ALWAYS, 0
#define NEED(msr, control) NEED_##msr, msr##_##control

static const struct field fields[] = {
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) \
	{ #NAME, VMCS_##NAME, VMCS_WIDTH_##width, VMCS_TYPE_##type, need },
#include "shadow-vmcs/vmcs_fields.def"
};

static bool is_offered(const struct field *f)
{
	const u32 offered[] = {
		[NEED_PROC] = OFFERED_PROC,
		[NEED_PROC2] = OFFERED_PROC2 | (inner_with_ept() ? PROC2_EPT : 0),
		[NEED_EXIT] = OFFERED_EXIT,
		[NEED_ENTRY] = OFFERED_ENTRY,
	};

	return f->need == NEED_ALWAYS || offered[f->need] & f->control;
}

static bool is_access_rights(u32 encoding)
{
	return encoding >= VMCS_GUEST_ES_AR && encoding <= VMCS_GUEST_TR_AR;
}

/* Different for each field, and nearly every bit is 1 somewhere. */
static u64 pattern(const struct field *f)
{
	static const u64 masks[] = {
		[VMCS_WIDTH_16] = 0xffff,
		[VMCS_WIDTH_64] = ~0ULL,
		[VMCS_WIDTH_32] = 0xffffffff,
		[VMCS_WIDTH_N] = ~0ULL,
	};
	u64 number = (u64)(f - fields) + 1;
	u64 value = number * 0x9e3779b97f4a7c15UL & masks[f->width];

	return is_access_rights(f->encoding) ? value & AR_DEFINED : value;
}

static void field_keeps(const struct field *f)
{
	u64 found = 0;

	test_equal(f->name, vmx_vmread(f->encoding, &found), VMX_SUCCEED);
	test_equal(f->name, found, pattern(f));
	if (f->width != VMCS_WIDTH_64)
		return;
	test_equal(f->name, vmx_vmread(f->encoding | VMCS_HIGH, &found), VMX_SUCCEED);
	test_equal(f->name, found, pattern(f) >> 32);
}

static u32 fields_count(void)
{
	return ARRAY_SIZE(kinds);
}

static void run_kind(const struct kind *kind)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "every %s keeps its value", kind->name);
	test_begin(name, "VMWRITE: VMCS field indexed by destination operand <- source operand");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		if (is_offered(f) && f->width == kind->width && f->type == kind->type)
			field_keeps(f);
	}
	test_end();
}

static void fields_run(void)
{
	insn_reach(STATE_CURRENT);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (is_offered(&fields[i]))
			vmx_vmwrite(fields[i].encoding, pattern(&fields[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		run_kind(&kinds[i]);
}

const struct suite fields_suite = { fields_count, fields_run };
