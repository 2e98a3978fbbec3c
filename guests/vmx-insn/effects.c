/*
 * What the instructions do when they succeed, and what they leave alone when they fail.
 */
#include "guests/vmx-insn/insn_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define NO_POINTER (~0ULL)
#define NO_FIELD   0x7ffeU
#define SOME_VALUE 0x123456789abcdef0ULL
#define MISALIGNED 8

static void succeeds(const char *what, enum vmx_status status)
{
	test_equal(what, status, VMX_SUCCEED);
}

static void current_is(u64 pointer)
{
	u64 found = 0;

	succeeds("status of VMPTRST", vmx_vmptrst(&found));
	test_true(pointer == NO_POINTER ? "there is no current VMCS"
					: "the current VMCS is the expected one",
		  found == pointer);
}

static void vmxon_leaves_no_current(void)
{
	insn_reach(STATE_ROOT);
	current_is(NO_POINTER);
}

static void vmxon_forgets_current(void)
{
	insn_reach(STATE_CURRENT);
	succeeds("status of VMXOFF", vmx_vmxoff());
	succeeds("status of VMXON", vmx_vmxon((u64)&inner_vmxon));
	current_is(NO_POINTER);
}

static void gp_on(const char *what, struct fault fault)
{
	test_true(what, fault.raised && fault.vector == EXC_GP && fault.error_code == 0);
}

static void fixed_bits_hold(void)
{
	insn_reach(STATE_ROOT);
	gp_on("clearing CR4.VMXE is #GP(0)", try_write_cr4(read_cr4() & ~CR4_VMXE));
	gp_on("clearing CR0.NE is #GP(0)", try_write_cr0(read_cr0() & ~CR0_NE));
	gp_on("clearing CR0.PG is #GP(0)", try_write_cr0(read_cr0() & ~CR0_PG));
	gp_on("clearing CR0.PE is #GP(0)", try_write_cr0(read_cr0() & ~(CR0_PG | CR0_PE)));
}

static void vmxoff_allows_clearing_vmxe(void)
{
	insn_reach(STATE_ROOT);
	succeeds("status of VMXOFF", vmx_vmxoff());
	test_true("clearing CR4.VMXE raises nothing",
		  !try_write_cr4(read_cr4() & ~CR4_VMXE).raised);
	test_equal("CR4.VMXE", read_cr4() & CR4_VMXE, 0);
}

static void vmptrld_makes_current(void)
{
	insn_reach(STATE_CURRENT);
	current_is((u64)&inner_vmcs);
	succeeds("status of VMCLEAR", vmx_vmclear((u64)&inner_other_vmcs));
	current_is((u64)&inner_vmcs);
	succeeds("status of VMPTRLD", vmx_vmptrld((u64)&inner_other_vmcs));
	current_is((u64)&inner_other_vmcs);
}

static void failed_vmptrld_keeps_current(void)
{
	insn_reach(STATE_CURRENT);
	vmx_vmptrld((u64)&inner_other_vmcs + MISALIGNED);
	current_is((u64)&inner_vmcs);
	vmx_vmptrld((u64)&inner_vmxon);
	current_is((u64)&inner_vmcs);
}

static void vmclear_of_current(void)
{
	insn_reach(STATE_CURRENT);
	succeeds("status of VMCLEAR", vmx_vmclear((u64)&inner_vmcs));
	current_is(NO_POINTER);
}

static void failed_vmclear_keeps_current(void)
{
	insn_reach(STATE_CURRENT);
	vmx_vmclear((u64)&inner_vmcs + MISALIGNED);
	current_is((u64)&inner_vmcs);
}

static void data_survive_another_vmcs(void)
{
	insn_reach(STATE_CURRENT);
	succeeds("status of VMCLEAR", vmx_vmclear((u64)&inner_other_vmcs));
	vmx_set(PLAIN_FIELD, SOME_VALUE);
	succeeds("status of VMPTRLD", vmx_vmptrld((u64)&inner_other_vmcs));
	vmx_set(PLAIN_FIELD, ~SOME_VALUE);
	succeeds("status of VMPTRLD", vmx_vmptrld((u64)&inner_vmcs));
	test_equal("field of the first VMCS", vmx_get(PLAIN_FIELD), SOME_VALUE);
	succeeds("status of VMPTRLD", vmx_vmptrld((u64)&inner_other_vmcs));
	test_equal("field of the second VMCS", vmx_get(PLAIN_FIELD), ~SOME_VALUE);
}

static void data_survive_vmclear(void)
{
	insn_reach(STATE_CURRENT);
	vmx_set(PLAIN_FIELD, SOME_VALUE);
	vmx_set(VMCS_GUEST_RIP, SOME_VALUE);
	succeeds("status of VMCLEAR", vmx_vmclear((u64)&inner_vmcs));
	succeeds("status of VMPTRLD", vmx_vmptrld((u64)&inner_vmcs));
	test_equal("a control field", vmx_get(PLAIN_FIELD), SOME_VALUE);
	test_equal("guest RIP", vmx_get(VMCS_GUEST_RIP), SOME_VALUE);
}

static void data_survive_vmxoff(void)
{
	insn_reach(STATE_CURRENT);
	vmx_set(PLAIN_FIELD, SOME_VALUE);
	succeeds("status of VMCLEAR", vmx_vmclear((u64)&inner_vmcs));
	succeeds("status of VMXOFF", vmx_vmxoff());
	succeeds("status of VMXON", vmx_vmxon((u64)&inner_vmxon));
	succeeds("status of VMPTRLD", vmx_vmptrld((u64)&inner_vmcs));
	test_equal("a control field", vmx_get(PLAIN_FIELD), SOME_VALUE);
}

static void launch_state_survives_another_vmcs(void)
{
	struct inner_exit exit;

	insn_reach(STATE_LAUNCHED);
	succeeds("status of VMCLEAR", vmx_vmclear((u64)&inner_other_vmcs));
	succeeds("status of VMPTRLD", vmx_vmptrld((u64)&inner_other_vmcs));
	succeeds("status of VMPTRLD", vmx_vmptrld((u64)&inner_vmcs));
	inner_resume(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
}

static void vmclear_makes_clear(void)
{
	struct inner_exit exit;

	insn_reach(STATE_LAUNCHED);
	succeeds("status of VMCLEAR", vmx_vmclear((u64)&inner_vmcs));
	succeeds("status of VMPTRLD", vmx_vmptrld((u64)&inner_vmcs));
	inner_resume(&exit);
	test_equal("error of VMRESUME", exit.error, VMXERR_VMRESUME_NOT_LAUNCHED);
	inner_launch(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
}

static void failed_vmread_keeps_destination(void)
{
	u64 value = SOME_VALUE;

	insn_reach(STATE_CURRENT);
	test_equal("status of VMREAD", vmx_vmread(NO_FIELD, &value), VMX_FAIL_VALID);
	test_equal("destination", value, SOME_VALUE);
}

static void narrow_fields_are_extended(void)
{
	insn_reach(STATE_CURRENT);
	vmx_set(VMCS_GUEST_LDTR_SELECTOR, SOME_VALUE);
	test_equal("16-bit field", vmx_get(VMCS_GUEST_LDTR_SELECTOR), (u16)SOME_VALUE);
	vmx_set(VMCS_GUEST_LDTR_LIMIT, SOME_VALUE);
	test_equal("32-bit field", vmx_get(VMCS_GUEST_LDTR_LIMIT), (u32)SOME_VALUE);
}

static void high_half_is_separate(void)
{
	u64 half = VMCS_TSC_OFFSET | VMCS_HIGH;

	insn_reach(STATE_CURRENT);
	vmx_set(VMCS_TSC_OFFSET, SOME_VALUE);
	test_equal("high half", vmx_get((u32)half), SOME_VALUE >> 32);
	vmx_set((u32)half, ~SOME_VALUE);
	test_equal("whole field", vmx_get(VMCS_TSC_OFFSET),
		   (~SOME_VALUE & 0xffffffff) << 32 | (u32)SOME_VALUE);
	vmx_set(VMCS_TSC_OFFSET, SOME_VALUE);
	test_equal("high half written by the whole", vmx_get((u32)half), SOME_VALUE >> 32);
}

static void exit_fields_are_writable(void)
{
	insn_reach(STATE_LAUNCHED);
	vmx_set(VMCS_EXIT_QUALIFICATION, SOME_VALUE);
	test_equal("exit qualification", vmx_get(VMCS_EXIT_QUALIFICATION), SOME_VALUE);
	vmx_set(VMCS_EXIT_REASON, (u32)SOME_VALUE);
	test_equal("exit reason", vmx_get(VMCS_EXIT_REASON), (u32)SOME_VALUE);
}

static void error_number_is_kept(void)
{
	insn_reach(STATE_CURRENT);
	vmx_vmptrld((u64)&inner_vmxon);
	vmx_set(PLAIN_FIELD, 0);
	test_equal("VM-instruction error", vmx_get(VMCS_INSTRUCTION_ERROR),
		   VMXERR_VMPTRLD_VMXON_POINTER);
}

static void launch_and_resume(void)
{
	struct inner_exit exit;

	insn_reach(STATE_CURRENT);
	inner_launch(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
	inner_resume(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
	current_is((u64)&inner_vmcs);
}

static void invvpid_types(void)
{
	insn_reach(STATE_CURRENT);
	succeeds("INVVPID of an address", vmx_invvpid(INVVPID_ADDRESS, 1, 0));
	succeeds("INVVPID of a context", vmx_invvpid(INVVPID_SINGLE, 1, 0));
	succeeds("INVVPID of all contexts", vmx_invvpid(INVVPID_ALL, 0, 0));
	succeeds("INVVPID but globals", vmx_invvpid(INVVPID_SINGLE_KEEP_GLOBAL, 0xffff, 0));
	insn_reach(STATE_ROOT);
	succeeds("INVVPID without a VMCS", vmx_invvpid(INVVPID_ALL, 0, 0));
}

static void invept_types(void)
{
	u64 eptp = (u64)&inner_other_vmcs | EPTP_WALK_4 | MEMTYPE_WB;

	insn_reach(STATE_CURRENT);
	succeeds("INVEPT of a context", vmx_invept(INVEPT_SINGLE, eptp, 0));
	succeeds("INVEPT of a context with A/D flags",
		 vmx_invept(INVEPT_SINGLE, eptp | EPTP_AD, 0));
	succeeds("INVEPT of all contexts", vmx_invept(INVEPT_GLOBAL, 0, 0));
	insn_reach(STATE_ROOT);
	succeeds("INVEPT without a VMCS", vmx_invept(INVEPT_GLOBAL, 0, 0));
}

static const struct test tests[] = {
	{ "VMXON leaves no VMCS current", "VMXON: clear current-VMCS pointer",
	  vmxon_leaves_no_current },
	{ "VMXON forgets the VMCS that was current",
	  "VMXON: current-VMCS pointer <- FFFFFFFF_FFFFFFFFH", vmxon_forgets_current },
	{ "CR0 and CR4 keep their fixed bits in VMX operation",
	  "Any attempt to set one of these bits to an unsupported value while in VMX operation "
	  "using MOV CR, CLTS, or LMSW causes a general-protection exception",
	  fixed_bits_hold },
	{ "VMXOFF allows CR4.VMXE to be cleared", "Software can clear CR4.VMXE after VMXOFF",
	  vmxoff_allows_clearing_vmxe },
	{ "VMPTRLD makes a VMCS current, VMCLEAR of another does not",
	  "VMPTRLD: current-VMCS pointer <- addr", vmptrld_makes_current },
	{ "a failed VMPTRLD keeps the current VMCS",
	  "If VMPTRLD fails, the current-VMCS pointer is not changed",
	  failed_vmptrld_keeps_current },
	{ "VMCLEAR of the current VMCS leaves none",
	  "IF operand addr = current-VMCS pointer THEN current-VMCS pointer <- "
	  "FFFFFFFF_FFFFFFFFH",
	  vmclear_of_current },
	{ "a failed VMCLEAR keeps the current VMCS", "VMfail changes no pointer",
	  failed_vmclear_keeps_current },
	{ "a VMCS keeps its data while another is current",
	  "A logical processor may maintain a number of VMCSs that are active",
	  data_survive_another_vmcs },
	{ "a VMCS keeps its data over VMCLEAR and VMPTRLD",
	  "VMCLEAR ensures that VMCS data maintained on the processor are written to the VMCS "
	  "region",
	  data_survive_vmclear },
	{ "a VMCS keeps its data over VMCLEAR, VMXOFF and VMXON",
	  "VMCLEAR ensures that VMCS data maintained on the processor are written to the VMCS "
	  "region",
	  data_survive_vmxoff },
	{ "a VMCS stays launched while another is current",
	  "The launch state of a VMCS is changed by VMCLEAR and VMLAUNCH only",
	  launch_state_survives_another_vmcs },
	{ "VMCLEAR makes a launched VMCS clear", "VMCLEAR: launch state of the VMCS <- \"clear\"",
	  vmclear_makes_clear },
	{ "a failed VMREAD keeps its destination", "VMfail changes no operand",
	  failed_vmread_keeps_destination },
	{ "16-bit and 32-bit fields are cut and extended by zeros",
	  "If the VMCS field is shorter than this effective operand size, the high bits of the "
	  "destination operand are cleared; a longer source operand's high bits are ignored",
	  narrow_fields_are_extended },
	{ "the halves of a 64-bit field can be accessed one by one",
	  "Full and high access types of 64-bit fields", high_half_is_separate },
	{ "VM-exit information fields can be written",
	  "IA32_VMX_MISC[29]: software can use VMWRITE to write to any supported field",
	  exit_fields_are_writable },
	{ "the VM-instruction error stays until the next VMfailValid",
	  "VMsucceed changes flags only", error_number_is_kept },
	{ "VMLAUNCH and VMRESUME enter the guest", "VMLAUNCH: launch state of VMCS <- \"launched\"",
	  launch_and_resume },
	{ "INVVPID takes its four types", "INVVPID types 0 to 3", invvpid_types },
};

static const struct test ept_tests[] = {
	{ "INVEPT takes its two types", "INVEPT types 1 and 2", invept_types },
};

static u32 effects_count(void)
{
	return ARRAY_SIZE(tests) + (inner_with_ept() ? ARRAY_SIZE(ept_tests) : 0);
}

static void effects_run(void)
{
	tests_run(tests, ARRAY_SIZE(tests));
	if (inner_with_ept())
		tests_run(ept_tests, ARRAY_SIZE(ept_tests));
}

const struct suite effects_suite = { effects_count, effects_run };
