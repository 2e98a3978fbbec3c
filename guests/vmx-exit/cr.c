/*
 * Control registers of the inner guest: accesses that exit and their qualification, the guest/host
 * masks and read shadows, CR3 targets, and bits that VMX fixes. SDM 3C "Exit Qualification for
 * Control-Register Accesses" (table 28-3), "Changes to Instruction Behavior in VMX Non-Root
 * Operation" (26.3).
 */
#include "guests/vmx-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"

#define QUAL_TO(cr, reg)   ((cr) | (reg) << 8)
#define QUAL_FROM(cr, reg) ((cr) | 1 << 4 | (reg) << 8)
#define QUAL_CLTS          (2 << 4)
#define QUAL_LMSW(value)   (3 << 4 | (value) << 16)
#define QUAL_LMSW_MEMORY   (1 << 6)

CODE(c_from_cr3, 64, "mov %cr3, %rbx" INNER_DONE);
CODE(c_to_cr3, 64, "mov %rsi, %cr3" INNER_DONE);
CODE(c_from_cr8, 64, "mov %cr8, %r9" INNER_DONE);
CODE(c_to_cr8, 64, "mov %rcx, %cr8" INNER_DONE);
CODE(c_to_cr0, 64, "mov %rsi, %cr0" INNER_DONE);
CODE(c_from_cr0, 64, "mov %cr0, %rbx" INNER_DONE);
CODE(c_to_cr4, 64, "mov %rsi, %cr4" INNER_DONE);
CODE(c_from_cr4, 64, "mov %cr4, %rbx" INNER_DONE);
CODE(c_clts, 64, "clts" INNER_DONE);
CODE(c_lmsw, 64, "lmsw %si" INNER_DONE);
CODE(c_lmsw_memory, 64, "lmsw (%rdi)" INNER_DONE);
CODE(c_smsw, 64, "smsw %rbx" INNER_DONE);

static u16 msw_operand;

/* The guest's CR0 and CR4 start as ours; tests move one bit. */
static void want_cr0(u64 set, u64 clear)
{
	inner_regs.rsi = (vmx_get(VMCS_GUEST_CR0) | set) & ~clear;
}

static void want_cr4(u64 set, u64 clear)
{
	inner_regs.rsi = (vmx_get(VMCS_GUEST_CR4) | set) & ~clear;
}

static void mask_cr0(u64 mask, u64 shadow)
{
	vmx_set(VMCS_CR0_MASK, mask);
	vmx_set(VMCS_CR0_SHADOW, shadow);
}

static void mask_cr4(u64 mask, u64 shadow)
{
	vmx_set(VMCS_CR4_MASK, mask);
	vmx_set(VMCS_CR4_SHADOW, shadow);
}

static void set_masked_ts(void)
{
	mask_cr0(CR0_TS, 0);
	want_cr0(CR0_TS, 0);
}

static void set_masked_ts_as_shadow(void)
{
	mask_cr0(CR0_TS, CR0_TS);
	want_cr0(CR0_TS, 0);
}

static void set_unmasked_ts(void)
{
	mask_cr0(CR0_MP, CR0_MP);
	want_cr0(CR0_TS, 0);
}

static void masked_bit_is_kept(void)
{
	test_equal("guest CR0.TS", vmx_get(VMCS_GUEST_CR0) & CR0_TS, 0);
}

static void unmasked_bit_is_set(void)
{
	test_equal("guest CR0.TS", vmx_get(VMCS_GUEST_CR0) & CR0_TS, CR0_TS);
}

static void shadow_differs(void)
{
	mask_cr0(CR0_TS | CR0_EM | CR0_WP, CR0_TS);
}

/* Masked bits come from the shadow, the others from CR0. */
static void read_is_mixed(void)
{
	u64 mask = CR0_TS | CR0_EM | CR0_WP;

	test_equal("CR0 as the guest read it", inner_regs.rbx,
		   (vmx_get(VMCS_GUEST_CR0) & ~mask) | CR0_TS);
}

static void read_is_mixed_word(void)
{
	u64 mask = CR0_TS | CR0_EM | CR0_WP;

	test_equal("low 16 bits of CR0 as the guest read them", (u16)inner_regs.rbx,
		   (u16)((vmx_get(VMCS_GUEST_CR0) & ~mask) | CR0_TS));
}

static void set_masked_tsd(void)
{
	mask_cr4(CR4_TSD, 0);
	want_cr4(CR4_TSD, 0);
}

static void set_masked_tsd_as_shadow(void)
{
	mask_cr4(CR4_TSD, CR4_TSD);
	want_cr4(CR4_TSD, 0);
}

static void set_unmasked_tsd(void)
{
	want_cr4(CR4_TSD, 0);
}

static void masked_tsd_is_kept(void)
{
	test_equal("guest CR4.TSD", vmx_get(VMCS_GUEST_CR4) & CR4_TSD, 0);
}

static void unmasked_tsd_is_set(void)
{
	test_equal("guest CR4.TSD", vmx_get(VMCS_GUEST_CR4) & CR4_TSD, CR4_TSD);
}

static void hide_vmxe(void)
{
	mask_cr4(CR4_VMXE | CR4_TSD, CR4_TSD);
}

static void vmxe_is_hidden(void)
{
	test_equal("CR4 as the guest read it", inner_regs.rbx,
		   (vmx_get(VMCS_GUEST_CR4) & ~(CR4_VMXE | CR4_TSD)) | CR4_TSD);
}

static void clear_vmxe(void)
{
	want_cr4(0, CR4_VMXE);
}

static void clear_ne(void)
{
	want_cr0(0, CR0_NE);
}

static void clear_pg(void)
{
	want_cr0(0, CR0_PG);
}

static void mask_ts_shadow_1(void)
{
	mask_cr0(CR0_TS, CR0_TS);
}

static void mask_ts_shadow_0(void)
{
	mask_cr0(CR0_TS, 0);
	inner_set_bits(VMCS_GUEST_CR0, CR0_TS);
}

static void lmsw_masked_ts(void)
{
	mask_cr0(CR0_TS, 0);
	inner_regs.rsi = CR0_PE | CR0_TS;
}

static void lmsw_masked_ts_memory(void)
{
	mask_cr0(CR0_TS, 0);
	msw_operand = CR0_PE | CR0_TS;
	inner_regs.rdi = (u64)&msw_operand;
}

static void lmsw_operand_address(void)
{
	test_equal("guest-linear address", vmx_get(VMCS_GUEST_LINEAR_ADDRESS), (u64)&msw_operand);
}

static void lmsw_masked_pe(void)
{
	mask_cr0(CR0_PE, 0);
	inner_regs.rsi = CR0_PE;
}

static void lmsw_unmasked_ts(void)
{
	inner_regs.rsi = CR0_PE | CR0_MP | CR0_TS;
}

static void same_cr3(void)
{
	inner_regs.rsi = read_cr3();
}

static void target_cr3(void)
{
	same_cr3();
	vmx_set(VMCS_CR3_TARGET_COUNT, 4);
	vmx_set(VMCS_CR3_TARGET3, inner_regs.rsi);
}

static void target_beyond_count(void)
{
	target_cr3();
	vmx_set(VMCS_CR3_TARGET_COUNT, 3);
}

#define RULE_CR3_LOAD                                                                           \
	"MOV to CR3 exits if the \"CR3-load exiting\" control is 1 and the operand is not one " \
	"of the CR3-target values"
#define RULE_TO                                                                                   \
	"MOV to CR0 or CR4 exits unless the operand matches, for every bit set in the mask, the " \
	"read shadow; masked bits are then not changed"
#define RULE_FROM "For each bit set in the mask, the corresponding bit of the read shadow is read"
#define RULE_CLTS                                                                               \
	"CLTS exits if bit 3 is set in both the CR0 mask and the read shadow; if it is set in " \
	"the "                                                                                  \
	"mask only, CLTS does nothing"
#define RULE_LMSW                                                                               \
	"LMSW exits if it would change a bit of 3:1 that is set in the mask, against the read " \
	"shadow, or set bit 0 when that is masked and 0 in the shadow"
#define RULE_FIXED                                                                              \
	"Any attempt to set a fixed bit of CR0 or CR4 to an unsupported value in VMX non-root " \
	"operation causes a general-protection exception"

static const struct exit_case cr3_cases[] = {
	{ "MOV from CR3 exits", "\"CR3-store exiting\" control", c_from_cr3,
	  .more.proc = PROC_CR3_STORE, .reason = VMX_EXIT_CR_ACCESS, .length = 3,
	  .qualification = QUAL_FROM(3, R_BX) },
	{ "MOV from CR3 does not exit", "\"CR3-store exiting\" control", c_from_cr3, NO_EXIT },
	{ "MOV to CR3 exits", RULE_CR3_LOAD, c_to_cr3, .more.proc = PROC_CR3_LOAD,
	  .reason = VMX_EXIT_CR_ACCESS, .length = 3, .qualification = QUAL_TO(3, R_SI),
	  .prepare = same_cr3 },
	{ "MOV to CR3 does not exit", RULE_CR3_LOAD, c_to_cr3, NO_EXIT, .prepare = same_cr3 },
	{ "MOV of a target value to CR3 does not exit", RULE_CR3_LOAD, c_to_cr3, NO_EXIT,
	  .more.proc = PROC_CR3_LOAD, .prepare = target_cr3 },
	{ "MOV of a target value beyond the count to CR3 exits", RULE_CR3_LOAD, c_to_cr3,
	  .more.proc = PROC_CR3_LOAD, .reason = VMX_EXIT_CR_ACCESS, .length = 3,
	  .qualification = QUAL_TO(3, R_SI), .prepare = target_beyond_count },
	{ "MOV from CR8 exits", "\"CR8-store exiting\" control", c_from_cr8,
	  .more.proc = PROC_CR8_STORE, .reason = VMX_EXIT_CR_ACCESS, .length = 4,
	  .qualification = QUAL_FROM(8, R_9) },
	{ "MOV to CR8 exits", "\"CR8-load exiting\" control", c_to_cr8, .more.proc = PROC_CR8_LOAD,
	  .reason = VMX_EXIT_CR_ACCESS, .length = 4, .qualification = QUAL_TO(8, R_CX) },
	{ "MOV to CR3 at CPL 3 is #GP", "Faults based on privilege level come first", c_to_cr3,
	  RAISES_GP, .more.proc = PROC_CR3_LOAD, .user = true },
};

static const struct exit_case cr0_cases[] = {
	{ "MOV to CR0 against the shadow exits", RULE_TO, c_to_cr0, .reason = VMX_EXIT_CR_ACCESS,
	  .length = 3, .qualification = QUAL_TO(0, R_SI), .prepare = set_masked_ts,
	  .finish = masked_bit_is_kept },
	{ "MOV to CR0 as the shadow has it does not exit or change", RULE_TO, c_to_cr0, NO_EXIT,
	  .prepare = set_masked_ts_as_shadow, .finish = masked_bit_is_kept },
	{ "MOV to CR0 of a bit without mask", RULE_TO, c_to_cr0, NO_EXIT,
	  .prepare = set_unmasked_ts, .finish = unmasked_bit_is_set },
	{ "MOV from CR0 mixes CR0 and the shadow", RULE_FROM, c_from_cr0, NO_EXIT,
	  .prepare = shadow_differs, .finish = read_is_mixed },
	{ "SMSW mixes CR0 and the shadow", RULE_FROM, c_smsw, NO_EXIT, .prepare = shadow_differs,
	  .finish = read_is_mixed_word },
	{ "CLTS exits", RULE_CLTS, c_clts, .reason = VMX_EXIT_CR_ACCESS, .length = 2,
	  .qualification = QUAL_CLTS, .prepare = mask_ts_shadow_1 },
	{ "CLTS with a masked bit that reads as 0 does nothing", RULE_CLTS, c_clts, NO_EXIT,
	  .prepare = mask_ts_shadow_0, .finish = unmasked_bit_is_set },
	{ "CLTS without mask", RULE_CLTS, c_clts, NO_EXIT, .finish = masked_bit_is_kept },
	{ "LMSW exits", RULE_LMSW, c_lmsw, .reason = VMX_EXIT_CR_ACCESS, .length = 3,
	  .qualification = QUAL_LMSW(CR0_PE | CR0_TS), .prepare = lmsw_masked_ts },
	{ "LMSW from memory exits", RULE_LMSW, c_lmsw_memory, .reason = VMX_EXIT_CR_ACCESS,
	  .length = 3, .qualification = QUAL_LMSW(CR0_PE | CR0_TS) | QUAL_LMSW_MEMORY,
	  .prepare = lmsw_masked_ts_memory, .finish = lmsw_operand_address },
	{ "LMSW of a masked PE that reads as 0 exits", RULE_LMSW, c_lmsw,
	  .reason = VMX_EXIT_CR_ACCESS, .length = 3, .qualification = QUAL_LMSW(CR0_PE),
	  .prepare = lmsw_masked_pe },
	{ "LMSW without mask", RULE_LMSW, c_lmsw, NO_EXIT, .prepare = lmsw_unmasked_ts,
	  .finish = unmasked_bit_is_set },
	{ "MOV to CR0 without NE is #GP", RULE_FIXED, c_to_cr0, RAISES_GP, .prepare = clear_ne },
	{ "MOV to CR0 without PG is #GP", RULE_FIXED, c_to_cr0, RAISES_GP, .prepare = clear_pg },
};

static const struct exit_case cr4_cases[] = {
	{ "MOV to CR4 against the shadow exits", RULE_TO, c_to_cr4, .reason = VMX_EXIT_CR_ACCESS,
	  .length = 3, .qualification = QUAL_TO(4, R_SI), .prepare = set_masked_tsd,
	  .finish = masked_tsd_is_kept },
	{ "MOV to CR4 as the shadow has it does not exit or change", RULE_TO, c_to_cr4, NO_EXIT,
	  .prepare = set_masked_tsd_as_shadow, .finish = masked_tsd_is_kept },
	{ "MOV to CR4 of a bit without mask", RULE_TO, c_to_cr4, NO_EXIT,
	  .prepare = set_unmasked_tsd, .finish = unmasked_tsd_is_set },
	{ "MOV from CR4 mixes CR4 and the shadow", RULE_FROM, c_from_cr4, NO_EXIT,
	  .prepare = hide_vmxe, .finish = vmxe_is_hidden },
	{ "MOV to CR4 without VMXE is #GP", RULE_FIXED, c_to_cr4, RAISES_GP,
	  .prepare = clear_vmxe },
};

static u32 count(void)
{
	return ARRAY_SIZE(cr3_cases) + ARRAY_SIZE(cr0_cases) + ARRAY_SIZE(cr4_cases);
}

static void run(void)
{
	exit_cases_run(cr3_cases, ARRAY_SIZE(cr3_cases));
	exit_cases_run(cr0_cases, ARRAY_SIZE(cr0_cases));
	exit_cases_run(cr4_cases, ARRAY_SIZE(cr4_cases));
}

const struct suite cr_suite = { count, run };
