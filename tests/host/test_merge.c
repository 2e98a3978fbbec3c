/*
 * The merge of vmcs12 and vmcs23 into vmcs13: for every field, where its value must come from, with
 * the manual's words that say why; checked over random VMCSs, for all groups at once and for any
 * selection of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/merge_case.h"

#define ROUNDS 2000

/* --- Where a value comes from. --- */

typedef u64 expected(const struct merge_case *m, int row);

static u64 of_l2(const struct merge_case *m, int row)
{
	return m->v23.f[row];
}

static u64 of_either(const struct merge_case *m, int row)
{
	return m->v12.f[row] | m->v23.f[row];
}

static u64 nothing(const struct merge_case *m, int row)
{
	(void)m;
	(void)row;
	return 0;
}

static u64 left_alone(const struct merge_case *m, int row)
{
	return m->before.f[row];
}

/* What the caller gives instead of L2's pointer or number. */
static u64 given(const struct merge_case *m, int row)
{
	switch (row) {
	case F_IO_BITMAP_A:
		return m->in.io_bitmap_a13;
	case F_IO_BITMAP_B:
		return m->in.io_bitmap_b13;
	case F_MSR_BITMAP:
		return m->in.msr_bitmap13;
	case F_VIRTUAL_APIC_ADDR:
		return m->in.virtual_apic13;
	case F_APIC_ACCESS_ADDR:
		return m->in.apic_access13;
	case F_EPTP:
		return m->in.eptp13;
	case F_VPID:
		return m->in.vpid13;
	default:
		fail_msg("nothing is given for %s", vmcs_field_name(row));
		return 0;
	}
}

static bool loads(const struct merge_case *m, u32 control)
{
	return m->v23.f[F_ENTRY_CONTROLS] & control;
}

/* Either level's, always with MSR bitmaps and secondary controls. All ports exit when L2 wants any,
 * until its bitmaps are merged; and the debug registers, when L3 must not keep what it writes. */
static u64 proc(const struct merge_case *m, int row)
{
	bool keeps_dr = loads(m, ENTRY_LOAD_DEBUG) && (m->v23.f[F_EXIT_CONTROLS] & EXIT_SAVE_DEBUG);
	u64 controls = of_either(m, row) | PROC_MSR_BITMAPS | PROC_SECONDARY;

	controls &= ~(u64)(PROC_IO_BITMAPS | PROC_UNCONDITIONAL_IO);
	controls |= keeps_dr ? 0 : PROC_MOV_DR;
	return controls | (merge_l2_wants_ports(m) ? PROC_UNCONDITIONAL_IO : PROC_IO_BITMAPS);
}

/* Bit by bit: what is a permission is L2's to give; VPIDs are L1's; an intercept is either's. */
static u64 proc2(const struct merge_case *m, int row)
{
	bool active = m->v23.f[F_PROC_CONTROLS] & PROC_SECONDARY;
	u64 controls = 0;

	for (u32 bit = 1; bit; bit <<= 1) {
		bool in12 = m->v12.f[row] & bit;
		bool in23 = active && (m->v23.f[row] & bit);

		switch (bit) {
		case PROC2_VPID:
			controls |= in12 ? bit : 0;
			break;
		case PROC2_RDTSCP:
		case PROC2_INVPCID:
		case PROC2_XSAVES:
		case PROC2_UNRESTRICTED_GUEST:
		case PROC2_VMCS_SHADOWING:
			controls |= in23 ? bit : 0;
			break;
		default:
			controls |= in12 || in23 ? bit : 0;
		}
	}
	return controls;
}

/* Either level's; but an exit that L1 serves must leave L3's PAT alone, unless the next entry loads
 * it again. */
static u64 exit_controls(const struct merge_case *m, int row)
{
	u64 in23 = m->v23.f[row];

	if (!loads(m, ENTRY_LOAD_PAT))
		in23 &= ~(u64)EXIT_LOAD_PAT;
	return m->v12.f[row] | in23;
}

/* Either level's, but whether L3 runs in IA-32e mode is L2's to say. */
static u64 entry_controls(const struct merge_case *m, int row)
{
	return (m->v12.f[row] & ~(u64)ENTRY_GUEST_64) | m->v23.f[row];
}

static u64 offset(const struct merge_case *m, int row)
{
	bool used = m->v23.f[F_PROC_CONTROLS] & PROC_TSC_OFFSETTING;

	return m->v12.f[row] + (used ? m->v23.f[row] : 0);
}

/* What L2's VM entry does not load stays as L2 has it. */
static u64 debug(const struct merge_case *m, int row)
{
	return loads(m, ENTRY_LOAD_DEBUG) ? m->v23.f[row] : m->v12.f[row];
}

static u64 efer(const struct merge_case *m, int row)
{
	u64 value = m->v12.f[row];

	if (loads(m, ENTRY_LOAD_EFER))
		return m->v23.f[row];
	if (loads(m, ENTRY_GUEST_64))
		value |= EFER_LMA;
	else
		value &= ~EFER_LMA;
	if (loads(m, ENTRY_GUEST_64))
		value |= EFER_LME;
	else if (m->v23.f[F_GUEST_CR0] & CR0_PG)
		value &= ~EFER_LME;
	return value;
}

/* --- The statement for every field. --- */

#define ROWS_MAX 52

struct statement {
	const char *quote; /* of SDM 3C or 3D; the section is in the comment before */
	expected *value;
	int rows[ROWS_MAX];
	u32 count;
};

#define STATE(quote, value, ...)                                                            \
	{                                                                                   \
		quote, value, { __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int) \
	}

/* The rows of one segment register. */
#define SEGMENT(S) F_GUEST_##S##_SELECTOR, F_GUEST_##S##_BASE, F_GUEST_##S##_LIMIT, F_GUEST_##S##_AR

/* clang-format off */
static const struct statement statements[] = {
	/* "Guest-State Area" (25.4). */
	STATE("VM entries load processor state from these fields and VM exits store processor state "
	      "into these fields", of_l2,
	      F_GUEST_RIP, F_GUEST_RSP, F_GUEST_RFLAGS, F_GUEST_CR0, F_GUEST_CR3, F_GUEST_CR4,
	      F_GUEST_INTERRUPTIBILITY, F_GUEST_ACTIVITY, F_GUEST_PENDING_DEBUG,
	      SEGMENT(ES), SEGMENT(CS), SEGMENT(SS), SEGMENT(DS), SEGMENT(FS), SEGMENT(GS),
	      SEGMENT(LDTR), SEGMENT(TR),
	      F_GUEST_GDTR_BASE, F_GUEST_GDTR_LIMIT, F_GUEST_IDTR_BASE, F_GUEST_IDTR_LIMIT,
	      F_GUEST_SYSENTER_CS, F_GUEST_SYSENTER_ESP, F_GUEST_SYSENTER_EIP),
	/* "Guest Register State" (25.4.1). */
	STATE("This field is supported only on processors that support the 1-setting of the \"load "
	      "IA32_PAT\" VM-entry control", of_l2,
	      F_GUEST_PAT, F_GUEST_PERF_GLOBAL),
	/* "Guest Non-Register State" (25.4.2). */
	STATE("They are used only if the \"enable EPT\" VM-execution control is 1", of_l2,
	      F_GUEST_PDPTE0, F_GUEST_PDPTE1, F_GUEST_PDPTE2, F_GUEST_PDPTE3),
	/* "Loading Guest Control Registers, Debug Registers, and MSRs" (27.3.2.1). */
	STATE("If the \"load debug controls\" VM-entry control is 1, DR7 is loaded from the DR7 field; "
	      "the IA32_DEBUGCTL MSR is loaded from the field in the guest-state area", debug,
	      F_GUEST_DR7, F_GUEST_DEBUGCTL),
	STATE("If the \"load IA32_EFER\" VM-entry control is 0, IA32_EFER.LMA is set to the setting of "
	      "the \"IA-32e mode guest\" VM-entry control; if CR0.PG is being loaded so that it will be "
	      "1, IA32_EFER.LME is set to the same; otherwise, IA32_EFER.LME is unmodified", efer,
	      F_GUEST_EFER),
	/* "VM-Entry Controls for Event Injection" (25.8.3). */
	STATE("VM entry can be configured to conclude by delivering an event through the IDT (after "
	      "all guest state and MSRs have been loaded)", of_l2,
	      F_ENTRY_INTR_INFO, F_ENTRY_ERROR_CODE, F_ENTRY_INSN_LENGTH),
	/* "Pin-Based VM-Execution Controls" (25.6.1). */
	STATE("If this control is 1, external interrupts cause VM exits. Otherwise, they are delivered "
	      "normally", of_either,
	      F_PIN_CONTROLS),
	/* "Processor-Based VM-Execution Controls" (25.6.2). */
	STATE("govern the handling of synchronous events, mainly those caused by the execution of "
	      "specific instructions", proc,
	      F_PROC_CONTROLS),
	STATE("If this control is 0, any execution of RDTSCP causes an invalid-opcode exception (#UD)",
	      proc2,
	      F_PROC_CONTROLS2),
	/* "Exception Bitmap" (25.6.3). */
	STATE("If the bit is 1, the exception causes a VM exit", of_either,
	      F_EXCEPTION_BITMAP),
	STATE("Software can set the page-fault error-code mask and match fields to determine which "
	      "page faults cause VM exits", of_l2,
	      F_PF_ERROR_MASK, F_PF_ERROR_MATCH),
	/* "CR3-Target Controls" (25.6.7). */
	STATE("An execution of MOV to CR3 in VMX non-root operation does not cause a VM exit if its "
	      "source operand matches one of these values", of_l2,
	      F_CR3_TARGET_COUNT, F_CR3_TARGET0, F_CR3_TARGET1, F_CR3_TARGET2, F_CR3_TARGET3),
	/* "Controls for PAUSE-Loop Exiting" (25.6.13), "XSS-Exiting Bitmap" (25.6.20). */
	STATE("On processors that support the 1-setting of the control, the VM-execution control "
	      "fields include the field", of_l2,
	      F_PLE_GAP, F_PLE_WINDOW, F_XSS_BITMAP),
	/* "Guest/Host Masks and Read Shadows for CR0 and CR4" (25.6.6). */
	STATE("In general, bits set to 1 in a guest/host mask correspond to bits \"owned\" by the host",
	      of_l2,
	      F_CR0_MASK, F_CR4_MASK, F_CR0_SHADOW, F_CR4_SHADOW),
	/* "VM-Exit Controls" (25.7.1), "VM-Entry Controls" (25.8.1). */
	STATE("The VM-exit controls constitute a vector that governs the basic operation of VM exits",
	      exit_controls,
	      F_EXIT_CONTROLS),
	STATE("This control determines whether the logical processor is in IA-32e mode after VM entry",
	      entry_controls,
	      F_ENTRY_CONTROLS),
	/* "VM-Exit Controls for MSRs" (25.7.2), "VM-Entry Controls for MSRs" (25.8.2). L1 does it. */
	STATE("This field contains the number of MSRs to be loaded on VM entry", nothing,
	      F_EXIT_MSR_STORE_COUNT, F_EXIT_MSR_LOAD_COUNT, F_ENTRY_MSR_LOAD_COUNT),
	STATE("This field contains the physical address of the VM-entry MSR-load area", nothing,
	      F_EXIT_MSR_STORE_ADDR, F_EXIT_MSR_LOAD_ADDR, F_ENTRY_MSR_LOAD_ADDR),
	/* "I/O-Bitmap Addresses" (25.6.4), "MSR-Bitmap Address" (25.6.9). */
	STATE("A logical processor uses these bitmaps if and only if the control is 1", given,
	      F_IO_BITMAP_A, F_IO_BITMAP_B, F_MSR_BITMAP),
	/* "Time-Stamp Counter Offset and Multiplier" (25.6.5). */
	STATE("executions of the RDTSC ... return the sum of the time-stamp counter and the TSC offset",
	      offset,
	      F_TSC_OFFSET),
	/* "Extended-Page-Table Pointer (EPTP)" (25.6.11), "Virtual-Processor Identifier" (25.6.12). */
	STATE("contains the address of the base of EPT PML4 table", given, F_EPTP),
	STATE("It is a 16-bit field that exists only on processors that support the 1-setting of the "
	      "\"enable VPID\" VM-execution control", given,
	      F_VPID),
	/* "Controls for APIC Virtualization" (25.6.8). */
	STATE("This field contains the physical address of the 4-KByte page", given,
	      F_VIRTUAL_APIC_ADDR, F_APIC_ACCESS_ADDR),
	STATE("Bits 3:0 of this field determine the threshold below which bits 7:4 of VTPR cannot fall",
	      of_l2,
	      F_TPR_THRESHOLD),
	/* "Loading Host State" (28.5): an exit from L3 goes to L1, whose state never changes. */
	STATE("VM exits load processor state from the host-state area", left_alone,
	      F_HOST_CR0, F_HOST_CR3, F_HOST_CR4, F_HOST_RSP, F_HOST_RIP, F_HOST_ES_SELECTOR,
	      F_HOST_CS_SELECTOR, F_HOST_SS_SELECTOR, F_HOST_DS_SELECTOR, F_HOST_FS_SELECTOR,
	      F_HOST_GS_SELECTOR, F_HOST_TR_SELECTOR, F_HOST_FS_BASE, F_HOST_GS_BASE, F_HOST_TR_BASE,
	      F_HOST_GDTR_BASE, F_HOST_IDTR_BASE, F_HOST_SYSENTER_CS, F_HOST_SYSENTER_ESP,
	      F_HOST_SYSENTER_EIP, F_HOST_EFER, F_HOST_PERF_GLOBAL),
	STATE("If the \"load IA32_PAT\" VM-exit control is 1, the IA32_PAT MSR is loaded from the "
	      "IA32_PAT field", of_l2,
	      F_HOST_PAT),
	/* "VM-Exit Information Fields" (25.9). */
	STATE("The VMCS contains a section of fields that contain information about the most recent VM "
	      "exit. These fields are read-only", left_alone,
	      F_EXIT_REASON, F_EXIT_INTR_INFO, F_EXIT_INTR_ERROR_CODE, F_IDT_VECTORING_INFO,
	      F_IDT_VECTORING_ERROR_CODE, F_EXIT_INSN_LENGTH, F_EXIT_INSN_INFO, F_EXIT_QUALIFICATION,
	      F_IO_RCX, F_IO_RSI, F_IO_RDI, F_IO_RIP, F_GUEST_LINEAR_ADDRESS,
	      F_GUEST_PHYSICAL_ADDRESS, F_INSTRUCTION_ERROR),
	/* "Guest Non-Register State" (25.4.2), VMCS link pointer; L3 has no shadow VMCS. */
	STATE("Otherwise, software should set this field to FFFFFFFF_FFFFFFFFH to avoid VM-entry "
	      "failures", left_alone,
	      F_LINK_POINTER),
	/* SDM 3D "Field Encoding in VMCS" (Appendix B): none of these controls is offered to L2. */
	STATE("This field exists only on processors that support the 1-setting of the control",
	      left_alone,
	      F_EXECUTIVE_VMCS, F_GUEST_SMBASE, F_VMREAD_BITMAP, F_VMWRITE_BITMAP, F_PREEMPTION_TIMER,
	      F_POSTED_INTR_VECTOR, F_POSTED_INTR_DESC, F_EPTP_INDEX, F_VE_INFO_ADDR,
	      F_VMFUNC_CONTROLS, F_EPTP_LIST, F_EOI_EXIT_BITMAP0, F_EOI_EXIT_BITMAP1,
	      F_EOI_EXIT_BITMAP2, F_EOI_EXIT_BITMAP3, F_GUEST_INTR_STATUS, F_GUEST_PML_INDEX,
	      F_PML_ADDR, F_ENCLS_BITMAP, F_SPPTP, F_TSC_MULTIPLIER, F_GUEST_BNDCFGS,
	      F_GUEST_RTIT_CTL, F_GUEST_LBR_CTL, F_GUEST_PKRS, F_GUEST_S_CET, F_GUEST_SSP,
	      F_GUEST_SSP_TABLE, F_HOST_PKRS, F_HOST_S_CET, F_HOST_SSP, F_HOST_SSP_TABLE),
};
/* clang-format on */

static const struct statement *statement_of(int row)
{
	const struct statement *found = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
		for (u32 k = 0; k < statements[i].count; k++) {
			if (statements[i].rows[k] != row)
				continue;
			if (found)
				fail_msg("%s is stated twice", vmcs_field_name(row));
			found = &statements[i];
		}
	}
	if (!found)
		fail_msg("nothing is stated about %s", vmcs_field_name(row));
	return found;
}

static void test_every_field_is_stated_once(void **state)
{
	(void)state;
	for (int row = 0; row < VMCS_ROWS; row++)
		assert_non_null(statement_of(row));
}

/* What a merge of `groups` made of each field. */
static void expect_merged(const struct merge_case *m, u32 groups)
{
	static const struct statement *by_row[VMCS_ROWS];

	for (int row = 0; row < VMCS_ROWS; row++) {
		bool merged = groups >> vmcs_table[row].group & 1;
		u64 value;

		if (!by_row[row])
			by_row[row] = statement_of(row);
		value = merged ? by_row[row]->value(m, row) : m->before.f[row];
		if (m->v13.f[row] != (value & vmcs_value_mask(row)))
			fail_msg("%s is 0x%lx, not 0x%lx: %s", vmcs_field_name(row), m->v13.f[row],
				 value, by_row[row]->quote);
	}
}

static void test_all_groups(void **state)
{
	struct fake_random random = { 1 };
	struct merge_case m;

	(void)state;
	for (u32 i = 0; i < ROUNDS; i++) {
		merge_make(&random, &m);
		vmx_merge(&m.in, VG_ALL, &m.v13);
		expect_merged(&m, VG_ALL);
	}
}

static void test_any_groups(void **state)
{
	struct fake_random random = { 2 };
	struct merge_case m;

	(void)state;
	for (u32 i = 0; i < ROUNDS; i++) {
		u32 groups = (u32)fake_random(&random) & VG_ALL;

		merge_make(&random, &m);
		vmx_merge(&m.in, groups, &m.v13);
		expect_merged(&m, groups);
	}
}

static void test_one_group(void **state)
{
	struct fake_random random = { 3 };
	struct merge_case m;

	(void)state;
	for (u32 group = 0; group < VG_COUNT; group++) {
		merge_make(&random, &m);
		vmx_merge(&m.in, 1U << group, &m.v13);
		expect_merged(&m, 1U << group);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field_is_stated_once),
		cmocka_unit_test(test_all_groups),
		cmocka_unit_test(test_any_groups),
		cmocka_unit_test(test_one_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
