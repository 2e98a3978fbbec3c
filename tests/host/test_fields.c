/*
 * The VMCS field table: every encoding against the manual's appendix, typed in here a second time
 * on purpose, and what is derived from the table against what the encoding itself says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmcs_fields.h"

/* SDM 3D "Field Encoding in VMCS" (Appendix B). */
/* clang-format off */
static const struct {
	u32 encoding;
	const char *name;
} appendix_b[] = {
	/* 16-bit control (B.1.1). */
	{ 0x0000, "VPID" }, { 0x0002, "POSTED_INTR_VECTOR" }, { 0x0004, "EPTP_INDEX" },
	/* 16-bit guest state (B.1.2). */
	{ 0x0800, "GUEST_ES_SELECTOR" }, { 0x0802, "GUEST_CS_SELECTOR" },
	{ 0x0804, "GUEST_SS_SELECTOR" }, { 0x0806, "GUEST_DS_SELECTOR" },
	{ 0x0808, "GUEST_FS_SELECTOR" }, { 0x080a, "GUEST_GS_SELECTOR" },
	{ 0x080c, "GUEST_LDTR_SELECTOR" }, { 0x080e, "GUEST_TR_SELECTOR" },
	{ 0x0810, "GUEST_INTR_STATUS" }, { 0x0812, "GUEST_PML_INDEX" },
	/* 16-bit host state (B.1.3). */
	{ 0x0c00, "HOST_ES_SELECTOR" }, { 0x0c02, "HOST_CS_SELECTOR" },
	{ 0x0c04, "HOST_SS_SELECTOR" }, { 0x0c06, "HOST_DS_SELECTOR" },
	{ 0x0c08, "HOST_FS_SELECTOR" }, { 0x0c0a, "HOST_GS_SELECTOR" },
	{ 0x0c0c, "HOST_TR_SELECTOR" },
	/* 64-bit control (B.2.1). */
	{ 0x2000, "IO_BITMAP_A" }, { 0x2002, "IO_BITMAP_B" }, { 0x2004, "MSR_BITMAP" },
	{ 0x2006, "EXIT_MSR_STORE_ADDR" }, { 0x2008, "EXIT_MSR_LOAD_ADDR" },
	{ 0x200a, "ENTRY_MSR_LOAD_ADDR" }, { 0x200c, "EXECUTIVE_VMCS" }, { 0x200e, "PML_ADDR" },
	{ 0x2010, "TSC_OFFSET" }, { 0x2012, "VIRTUAL_APIC_ADDR" }, { 0x2014, "APIC_ACCESS_ADDR" },
	{ 0x2016, "POSTED_INTR_DESC" }, { 0x2018, "VMFUNC_CONTROLS" }, { 0x201a, "EPTP" },
	{ 0x201c, "EOI_EXIT_BITMAP0" }, { 0x201e, "EOI_EXIT_BITMAP1" },
	{ 0x2020, "EOI_EXIT_BITMAP2" }, { 0x2022, "EOI_EXIT_BITMAP3" }, { 0x2024, "EPTP_LIST" },
	{ 0x2026, "VMREAD_BITMAP" }, { 0x2028, "VMWRITE_BITMAP" }, { 0x202a, "VE_INFO_ADDR" },
	{ 0x202c, "XSS_BITMAP" }, { 0x202e, "ENCLS_BITMAP" }, { 0x2030, "SPPTP" },
	{ 0x2032, "TSC_MULTIPLIER" },
	/* 64-bit read-only (B.2.2). */
	{ 0x2400, "GUEST_PHYSICAL_ADDRESS" },
	/* 64-bit guest state (B.2.3). */
	{ 0x2800, "LINK_POINTER" }, { 0x2802, "GUEST_DEBUGCTL" }, { 0x2804, "GUEST_PAT" },
	{ 0x2806, "GUEST_EFER" }, { 0x2808, "GUEST_PERF_GLOBAL" }, { 0x280a, "GUEST_PDPTE0" },
	{ 0x280c, "GUEST_PDPTE1" }, { 0x280e, "GUEST_PDPTE2" }, { 0x2810, "GUEST_PDPTE3" },
	{ 0x2812, "GUEST_BNDCFGS" }, { 0x2814, "GUEST_RTIT_CTL" }, { 0x2816, "GUEST_LBR_CTL" },
	{ 0x2818, "GUEST_PKRS" },
	/* 64-bit host state (B.2.4). */
	{ 0x2c00, "HOST_PAT" }, { 0x2c02, "HOST_EFER" }, { 0x2c04, "HOST_PERF_GLOBAL" },
	{ 0x2c06, "HOST_PKRS" },
	/* 32-bit control (B.3.1). */
	{ 0x4000, "PIN_CONTROLS" }, { 0x4002, "PROC_CONTROLS" }, { 0x4004, "EXCEPTION_BITMAP" },
	{ 0x4006, "PF_ERROR_MASK" }, { 0x4008, "PF_ERROR_MATCH" }, { 0x400a, "CR3_TARGET_COUNT" },
	{ 0x400c, "EXIT_CONTROLS" }, { 0x400e, "EXIT_MSR_STORE_COUNT" },
	{ 0x4010, "EXIT_MSR_LOAD_COUNT" }, { 0x4012, "ENTRY_CONTROLS" },
	{ 0x4014, "ENTRY_MSR_LOAD_COUNT" }, { 0x4016, "ENTRY_INTR_INFO" },
	{ 0x4018, "ENTRY_ERROR_CODE" }, { 0x401a, "ENTRY_INSN_LENGTH" },
	{ 0x401c, "TPR_THRESHOLD" }, { 0x401e, "PROC_CONTROLS2" }, { 0x4020, "PLE_GAP" },
	{ 0x4022, "PLE_WINDOW" },
	/* 32-bit read-only (B.3.2). */
	{ 0x4400, "INSTRUCTION_ERROR" }, { 0x4402, "EXIT_REASON" }, { 0x4404, "EXIT_INTR_INFO" },
	{ 0x4406, "EXIT_INTR_ERROR_CODE" }, { 0x4408, "IDT_VECTORING_INFO" },
	{ 0x440a, "IDT_VECTORING_ERROR_CODE" }, { 0x440c, "EXIT_INSN_LENGTH" },
	{ 0x440e, "EXIT_INSN_INFO" },
	/* 32-bit guest state (B.3.3). */
	{ 0x4800, "GUEST_ES_LIMIT" }, { 0x4802, "GUEST_CS_LIMIT" }, { 0x4804, "GUEST_SS_LIMIT" },
	{ 0x4806, "GUEST_DS_LIMIT" }, { 0x4808, "GUEST_FS_LIMIT" }, { 0x480a, "GUEST_GS_LIMIT" },
	{ 0x480c, "GUEST_LDTR_LIMIT" }, { 0x480e, "GUEST_TR_LIMIT" },
	{ 0x4810, "GUEST_GDTR_LIMIT" }, { 0x4812, "GUEST_IDTR_LIMIT" }, { 0x4814, "GUEST_ES_AR" },
	{ 0x4816, "GUEST_CS_AR" }, { 0x4818, "GUEST_SS_AR" }, { 0x481a, "GUEST_DS_AR" },
	{ 0x481c, "GUEST_FS_AR" }, { 0x481e, "GUEST_GS_AR" }, { 0x4820, "GUEST_LDTR_AR" },
	{ 0x4822, "GUEST_TR_AR" }, { 0x4824, "GUEST_INTERRUPTIBILITY" },
	{ 0x4826, "GUEST_ACTIVITY" }, { 0x4828, "GUEST_SMBASE" }, { 0x482a, "GUEST_SYSENTER_CS" },
	{ 0x482e, "PREEMPTION_TIMER" },
	/* 32-bit host state (B.3.4). */
	{ 0x4c00, "HOST_SYSENTER_CS" },
	/* Natural-width control (B.4.1). */
	{ 0x6000, "CR0_MASK" }, { 0x6002, "CR4_MASK" }, { 0x6004, "CR0_SHADOW" },
	{ 0x6006, "CR4_SHADOW" }, { 0x6008, "CR3_TARGET0" }, { 0x600a, "CR3_TARGET1" },
	{ 0x600c, "CR3_TARGET2" }, { 0x600e, "CR3_TARGET3" },
	/* Natural-width read-only (B.4.2). */
	{ 0x6400, "EXIT_QUALIFICATION" }, { 0x6402, "IO_RCX" }, { 0x6404, "IO_RSI" },
	{ 0x6406, "IO_RDI" }, { 0x6408, "IO_RIP" }, { 0x640a, "GUEST_LINEAR_ADDRESS" },
	/* Natural-width guest state (B.4.3). */
	{ 0x6800, "GUEST_CR0" }, { 0x6802, "GUEST_CR3" }, { 0x6804, "GUEST_CR4" },
	{ 0x6806, "GUEST_ES_BASE" }, { 0x6808, "GUEST_CS_BASE" }, { 0x680a, "GUEST_SS_BASE" },
	{ 0x680c, "GUEST_DS_BASE" }, { 0x680e, "GUEST_FS_BASE" }, { 0x6810, "GUEST_GS_BASE" },
	{ 0x6812, "GUEST_LDTR_BASE" }, { 0x6814, "GUEST_TR_BASE" }, { 0x6816, "GUEST_GDTR_BASE" },
	{ 0x6818, "GUEST_IDTR_BASE" }, { 0x681a, "GUEST_DR7" }, { 0x681c, "GUEST_RSP" },
	{ 0x681e, "GUEST_RIP" }, { 0x6820, "GUEST_RFLAGS" }, { 0x6822, "GUEST_PENDING_DEBUG" },
	{ 0x6824, "GUEST_SYSENTER_ESP" }, { 0x6826, "GUEST_SYSENTER_EIP" },
	{ 0x6828, "GUEST_S_CET" }, { 0x682a, "GUEST_SSP" }, { 0x682c, "GUEST_SSP_TABLE" },
	/* Natural-width host state (B.4.4). */
	{ 0x6c00, "HOST_CR0" }, { 0x6c02, "HOST_CR3" }, { 0x6c04, "HOST_CR4" },
	{ 0x6c06, "HOST_FS_BASE" }, { 0x6c08, "HOST_GS_BASE" }, { 0x6c0a, "HOST_TR_BASE" },
	{ 0x6c0c, "HOST_GDTR_BASE" }, { 0x6c0e, "HOST_IDTR_BASE" },
	{ 0x6c10, "HOST_SYSENTER_ESP" }, { 0x6c12, "HOST_SYSENTER_EIP" }, { 0x6c14, "HOST_RSP" },
	{ 0x6c16, "HOST_RIP" }, { 0x6c18, "HOST_S_CET" }, { 0x6c1a, "HOST_SSP" },
	{ 0x6c1c, "HOST_SSP_TABLE" },
};
/* clang-format on */

static void test_every_encoding_is_the_manuals(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_SIZE(appendix_b), VMCS_ROWS);
	for (size_t i = 0; i < ARRAY_SIZE(appendix_b); i++) {
		const char *name = appendix_b[i].name;
		int row = vmcs_row_of(appendix_b[i].encoding);

		assert_true(row >= 0);
		assert_string_equal(vmcs_field_name(row), name);
		assert_int_equal(vmcs_table[row].encoding, appendix_b[i].encoding);
	}
}

static bool is_in_appendix(u32 encoding)
{
	for (size_t i = 0; i < ARRAY_SIZE(appendix_b); i++)
		if (appendix_b[i].encoding == encoding)
			return true;
	return false;
}

/* Nothing else is a field; a high half is one exactly for 64-bit fields (bits 14:13 are 1). */
static void test_no_other_encoding_is_a_field(void **state)
{
	(void)state;
	for (u32 encoding = 0; encoding < 0x20000; encoding++) {
		bool high = encoding & 1;
		bool is_64 = (encoding >> 13 & 3) == 1;
		bool field = is_in_appendix(encoding & ~1U) && (!high || is_64);

		assert_int_equal(vmcs_row_of(encoding) >= 0, field);
		if (high && field)
			assert_int_equal(vmcs_row_of(encoding), vmcs_row_of(encoding & ~1U));
	}
	assert_int_equal(vmcs_row_of(VMCS_GUEST_RIP | BIT(15)), -1);
	assert_int_equal(vmcs_row_of(VMCS_GUEST_RIP | BIT(32)), -1);
	assert_int_equal(vmcs_row_of(~0ULL), -1);
}

static void test_rows_say_what_their_encodings_say(void **state)
{
	static const u64 masks[] = { 0xffff, ~0ULL, 0xffffffff, ~0ULL };

	(void)state;
	for (int row = 0; row < VMCS_ROWS; row++) {
		const struct vmcs_row *field = &vmcs_table[row];

		assert_int_equal(field->width, field->encoding >> 13 & 3);
		assert_int_equal(field->type, field->encoding >> 10 & 3);
		assert_true(vmcs_value_mask(row) == masks[field->width]);
		assert_true(field->group < VG_COUNT);
		assert_true(field->expose_minimal <= field->expose_kvm || field->expose_kvm == 0);
		assert_true(field->expose_kvm <= field->expose);
		assert_true(field->expose_minimal <= field->expose);
	}
}

/* Groups are runs of rows, and each type of field lies in the groups made for it. */
static void test_groups(void **state)
{
	u32 seen = 0;

	(void)state;
	for (int row = 0; row < VMCS_ROWS; row++) {
		u32 group = vmcs_table[row].group;

		if (row > 0 && vmcs_table[row - 1].group == group)
			continue;
		assert_false(seen >> group & 1);
		seen |= 1U << group;
	}
	assert_int_equal(seen, VG_ALL);
	for (int row = 0; row < VMCS_ROWS; row++) {
		u32 group = vmcs_table[row].group;

		if (group == VG_EXTRA)
			continue;
		assert_int_equal(group == VG_INFO, vmcs_table[row].type == VMCS_TYPE_INFO);
		assert_int_equal(group == VG_HOST, vmcs_table[row].type == VMCS_TYPE_HOST);
	}
}

/* Group loops by inclusion see every field of the group once. */
static void test_loop_by_inclusion(void **state)
{
	u32 segments = 0;
	u32 all = 0;

	(void)state;
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) \
	all++;                                                           \
	if ((group) == VG_SEG)                                           \
		segments++;
#include "shadow-vmcs/vmcs_fields.def"
	assert_int_equal(all, VMCS_ROWS);
	assert_int_equal(segments, 8 * 4);
}

static void test_typed_values_truncate(void **state)
{
	struct vmcs_fields v = { { 0 } };

	(void)state;
	vmcs_set(&v, VPID, 0x12345678);
	vmcs_set(&v, EXIT_REASON, 0x123456789ULL);
	vmcs_set(&v, GUEST_RIP, ~0ULL);
	assert_int_equal(v.f[F_VPID], 0x5678);
	assert_int_equal(v.f[F_EXIT_REASON], 0x23456789);
	assert_true(vmcs_get(&v, GUEST_RIP) == ~0ULL);
	assert_int_equal(sizeof(vmcs_get(&v, VPID)), 2);
	assert_int_equal(sizeof(vmcs_get(&v, EXIT_REASON)), 4);
	assert_int_equal(sizeof(vmcs_get(&v, EPTP)), 8);
	assert_int_equal(sizeof(vmcs_get(&v, GUEST_RIP)), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_encoding_is_the_manuals),
		cmocka_unit_test(test_no_other_encoding_is_a_field),
		cmocka_unit_test(test_rows_say_what_their_encodings_say),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_loop_by_inclusion),
		cmocka_unit_test(test_typed_values_truncate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
