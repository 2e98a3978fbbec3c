/*
 * The state after an entry that failed, SDM 3C "VM-Entry Failures During or After Loading Guest
 * State" (27.8), and the order of the checks.
 *
 * QUIRK(bochs-2.7): such an entry also clears the interruption-information and IDT-vectoring
 * information fields, which the manual says are not modified; they are not looked at here.
 */
#include "guests/vmx-entry/entry_case.h"
#include "l1-hypervisor/leaf/insn.h"

#define SOME_VALUE 0x1234567890abcdefULL
#define SOME_BASE  0x3456789abcULL
#define DR7_RESET  0x400
#define DR7_OTHER  0x455
#define INJECTED   (INTR_INFO_VALID | INTR_TYPE_HARDWARE_EXCEPTION | EXC_UD)

static struct inner_msr list[1] __attribute__((aligned(16)));

static void spoil_guest(void)
{
	inner_clear_bits(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
}

static void repair_guest(void)
{
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
}

static void enter_and_fail(struct inner_exit *exit)
{
	inner_run(exit);
	test_equal("status of the entry", exit->status, VMX_SUCCEED);
	test_equal("exit reason", exit->reason,
		   VMX_EXIT_ENTRY_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE);
}

static void guest_state_is_kept(void)
{
	struct inner_exit exit;

	inner_reset(entry_code, NULL);
	vmx_set(VMCS_GUEST_RSP, SOME_VALUE);
	vmx_set(VMCS_GUEST_GDTR_BASE, SOME_BASE);
	vmx_set(VMCS_GUEST_LDTR_SELECTOR, 0x1230);
	spoil_guest();
	enter_and_fail(&exit);
	test_equal("guest RIP", vmx_get(VMCS_GUEST_RIP), (u64)entry_code);
	test_equal("guest RSP", vmx_get(VMCS_GUEST_RSP), SOME_VALUE);
	test_equal("guest GDTR base", vmx_get(VMCS_GUEST_GDTR_BASE), SOME_BASE);
	test_equal("guest LDTR selector", vmx_get(VMCS_GUEST_LDTR_SELECTOR), 0x1230);
	test_equal("guest RFLAGS", vmx_get(VMCS_GUEST_RFLAGS), 0);
}

static void injection_is_kept(void)
{
	struct inner_exit exit;

	inner_reset(entry_code, NULL);
	vmx_set(VMCS_ENTRY_INTR_INFO, INJECTED);
	spoil_guest();
	enter_and_fail(&exit);
	test_equal("VM-entry interruption information", vmx_get(VMCS_ENTRY_INTR_INFO), INJECTED);
}

static void launch_state_is_kept(void)
{
	struct inner_exit exit;

	inner_reset(entry_code, NULL);
	spoil_guest();
	enter_and_fail(&exit);
	inner_resume(&exit);
	test_equal("error of VMRESUME", exit.error, VMXERR_VMRESUME_NOT_LAUNCHED);
	repair_guest();
	inner_launch(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
}

static void launched_stays_launched(void)
{
	struct inner_exit exit;

	inner_reset(entry_code, NULL);
	inner_run_to_end();
	spoil_guest();
	enter_and_fail(&exit);
	repair_guest();
	inner_resume(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
}

/* As after any exit; vmx-exit looks at all of it. */
static void host_state_is_loaded(void)
{
	struct inner_exit exit;
	u64 fs = rdmsr(MSR_FS_BASE), sysenter = rdmsr(MSR_SYSENTER_EIP);

	inner_reset(entry_code, NULL);
	vmx_set(VMCS_HOST_FS_BASE, SOME_BASE);
	vmx_set(VMCS_HOST_SYSENTER_EIP, SOME_BASE);
	write_dr7(DR7_OTHER);
	spoil_guest();
	enter_and_fail(&exit);
	test_equal("FS base", rdmsr(MSR_FS_BASE), SOME_BASE);
	test_equal("SYSENTER_EIP", rdmsr(MSR_SYSENTER_EIP), SOME_BASE);
	test_equal("DR7", read_dr7(), DR7_RESET);
	wrmsr(MSR_FS_BASE, fs);
	wrmsr(MSR_SYSENTER_EIP, sysenter);
}

static void exit_msrs_are_loaded(void)
{
	struct inner_exit exit;
	u64 gs = rdmsr(MSR_KERNEL_GS_BASE);

	inner_reset(entry_code, NULL);
	list[0] = (struct inner_msr){ MSR_KERNEL_GS_BASE, 0, SOME_BASE };
	vmx_set(VMCS_EXIT_MSR_LOAD_ADDR, (u64)list);
	vmx_set(VMCS_EXIT_MSR_LOAD_COUNT, 1);
	spoil_guest();
	enter_and_fail(&exit);
	test_equal("KERNEL_GS_BASE", rdmsr(MSR_KERNEL_GS_BASE), SOME_BASE);
	wrmsr(MSR_KERNEL_GS_BASE, gs);
}

static void no_msrs_are_stored(void)
{
	struct inner_exit exit;

	inner_reset(entry_code, NULL);
	list[0] = (struct inner_msr){ MSR_KERNEL_GS_BASE, 0, SOME_VALUE };
	vmx_set(VMCS_EXIT_MSR_STORE_ADDR, (u64)list);
	vmx_set(VMCS_EXIT_MSR_STORE_COUNT, 1);
	spoil_guest();
	enter_and_fail(&exit);
	test_equal("value in the MSR-store list", list[0].value, SOME_VALUE);
}

static void msr_failure_keeps_guest_state(void)
{
	struct inner_exit exit;

	inner_reset(entry_code, NULL);
	vmx_set(VMCS_GUEST_RSP, SOME_VALUE);
	vmx_set(VMCS_ENTRY_INTR_INFO, INJECTED);
	list[0] = (struct inner_msr){ MSR_GS_BASE, 0, 0 };
	vmx_set(VMCS_ENTRY_MSR_LOAD_ADDR, (u64)list);
	vmx_set(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
	inner_run(&exit);
	test_equal("exit reason", exit.reason, VMX_EXIT_ENTRY_MSR_LOAD | EXIT_REASON_ENTRY_FAILURE);
	test_equal("guest RSP", vmx_get(VMCS_GUEST_RSP), SOME_VALUE);
	test_equal("VM-entry interruption information", vmx_get(VMCS_ENTRY_INTR_INFO), INJECTED);
	vmx_set(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_set(VMCS_ENTRY_INTR_INFO, 0);
	inner_launch(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
}

static void vmfail_keeps_exit_fields(void)
{
	struct inner_exit exit;

	inner_reset(entry_code, NULL);
	inner_run_to_end();
	vmx_set(VMCS_CR3_TARGET_COUNT, 5);
	inner_run(&exit);
	test_equal("VM-instruction error", exit.error, VMXERR_ENTRY_CONTROLS);
	test_equal("exit reason", vmx_get(VMCS_EXIT_REASON), VMX_EXIT_VMCALL);
	vmx_set(VMCS_CR3_TARGET_COUNT, 0);
	inner_resume(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
}

static void controls_before_host_before_guest(void)
{
	struct inner_exit exit;

	inner_reset(entry_code, NULL);
	vmx_set(VMCS_CR3_TARGET_COUNT, 5);
	vmx_set(VMCS_HOST_CS_SELECTOR, 0);
	spoil_guest();
	inner_run(&exit);
	test_equal("error with everything wrong", exit.error, VMXERR_ENTRY_CONTROLS);
	vmx_set(VMCS_CR3_TARGET_COUNT, 0);
	inner_run(&exit);
	test_equal("error with host and guest wrong", exit.error, VMXERR_ENTRY_HOST_STATE);
	inner_reset(entry_code, NULL);
	list[0] = (struct inner_msr){ MSR_GS_BASE, 0, 0 };
	vmx_set(VMCS_ENTRY_MSR_LOAD_ADDR, (u64)list);
	vmx_set(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
	spoil_guest();
	enter_and_fail(&exit);
}

#define RULE_STATE "the guest-state area is not modified"

static const struct test tests[] = {
	{ "a failed entry keeps the guest-state area", RULE_STATE, guest_state_is_kept },
	{ "a failed entry keeps the event to inject",
	  "The valid bit in the VM-entry interruption-information field is not cleared",
	  injection_is_kept },
	{ "a failed VMLAUNCH leaves the VMCS clear", "The launch state is not changed",
	  launch_state_is_kept },
	{ "a failed VMRESUME leaves the VMCS launched", "The launch state is not changed",
	  launched_stays_launched },
	{ "a failed entry loads the host state",
	  "Processor state is loaded as would be done on a VM exit", host_state_is_loaded },
	{ "a failed entry loads the VM-exit MSR-load list",
	  "MSRs are loaded from the VM-exit MSR-load area", exit_msrs_are_loaded },
	{ "a failed entry stores no MSRs", "No MSRs are saved into the VM-exit MSR-store area",
	  no_msrs_are_stored },
	{ "an entry that fails on MSRs keeps the guest-state area", RULE_STATE,
	  msr_failure_keeps_guest_state },
	{ "VMfailValid keeps the exit information",
	  "VMfailValid writes the VM-instruction error only", vmfail_keeps_exit_fields },
	{ "controls are checked before host state, guest state and MSRs",
	  "basic checks, then controls and host state, then guest state, then MSR loading",
	  controls_before_host_before_guest },
};

SUITE_OF_TESTS(after_suite, tests);
