/*
 * Guest state between instructions, in and out of VMCS fields: activity states, interruptibility,
 * pending debug exceptions. SDM 3C "Saving Non-Register State" (28.3.4), "Delivery of Pending Debug
 * Exceptions after VM Entry" (27.7.3).
 */
#include "guests/vmx-event/event.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define DEBUG_B0 BIT(0)

CODE(state_hlt, 64, "hlt\n\tvmcall");
CODE(state_sti_hlt, 64, "sti\n\thlt\n\tvmcall");
CODE(state_moss_hlt, 64, "mov %eax, %ss\n\thlt\n\tvmcall");
CODE(state_nops, 64, "nop\n\tnop\n\tvmcall");
CODE(state_moss, 64, "mov %eax, %ss\n\tnop\n\tnop\n\tvmcall");
CODE(state_sti_cpuid, 64, "sti\n\tcpuid\n\tvmcall");

static const struct vmx_controls hlt_exiting = { .proc = PROC_HLT };

static void run_to(enum vmx_exit_reason reason)
{
	struct inner_exit exit;

	inner_run(&exit);
	inner_exited(&exit, reason);
}

static void hlt_exit_is_active(void)
{
	inner_reset(state_hlt, &hlt_exiting);
	run_to(VMX_EXIT_HLT);
	test_equal("activity state", vmx_get(VMCS_GUEST_ACTIVITY), VMX_ACTIVE);
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

static void sti_blocking_is_saved(void)
{
	inner_reset(state_sti_hlt, &hlt_exiting);
	run_to(VMX_EXIT_HLT);
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_STI);
	test_equal("guest RFLAGS.IF", vmx_get(VMCS_GUEST_RFLAGS) & RFLAGS_IF, RFLAGS_IF);
}

static void mov_ss_blocking_is_saved(void)
{
	inner_reset(state_moss_hlt, &hlt_exiting);
	inner_regs.rax = SEL_DATA;
	run_to(VMX_EXIT_HLT);
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY),
		   INTERRUPTIBILITY_MOV_SS);
}

/* CPUID exits whoever asks for it: nobody may lose the blocking on the way. */
static void sti_blocking_of_another_exit(void)
{
	struct inner_exit exit;

	inner_reset(state_sti_cpuid, NULL);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_CPUID);
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_STI);
	inner_skip(&exit);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	inner_run_to_end();
}

static void nmi_blocking_is_kept(void)
{
	inner_reset(state_hlt, &hlt_exiting);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	run_to(VMX_EXIT_HLT);
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
}

static void db_exits(u64 qualification, const char *code, u64 offset)
{
	struct inner_exit exit;

	inner_run(&exit);
	event_exited(&exit, INTR_TYPE_HARDWARE_EXCEPTION | EXC_DB, 0);
	test_equal("exit qualification", exit.qualification, qualification);
	test_equal("guest RIP, from the start of the code", vmx_get(VMCS_GUEST_RIP) - (u64)code,
		   offset);
}

static void start_debug(const char *code, u64 pending, bool tf)
{
	inner_reset(code, NULL);
	vmx_set(VMCS_EXCEPTION_BITMAP, BIT32(EXC_DB));
	vmx_set(VMCS_GUEST_PENDING_DEBUG, pending);
	if (tf)
		inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_TF);
}

static void pending_step(void)
{
	start_debug(state_nops, PENDING_DEBUG_BS, true);
	db_exits(PENDING_DEBUG_BS, state_nops, 0);
}

static void pending_breakpoint(void)
{
	start_debug(state_nops, PENDING_DEBUG_ENABLED | DEBUG_B0, false);
	db_exits(DEBUG_B0, state_nops, 0);
}

static void pending_is_delivered(void)
{
	inner_reset(event_code, NULL);
	vmx_set(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_ENABLED | DEBUG_B0);
	event_watch(EXC_DB);
	event_seen_once(EXC_DB, 0, (u64)event_code);
	event_unwatch_all();
}

static void step_without_pending(void)
{
	start_debug(state_nops, 0, true);
	db_exits(PENDING_DEBUG_BS, state_nops, 1);
}

static void mov_ss_delays_step(void)
{
	start_debug(state_moss, 0, true);
	inner_regs.rax = SEL_DATA;
	db_exits(PENDING_DEBUG_BS, state_moss, 3);
}

static void injection_drops_pending(void)
{
	inner_reset(event_code, NULL);
	vmx_set(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_ENABLED | DEBUG_B0);
	vmx_set(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_SOFTWARE_INTERRUPT | 0x50);
	vmx_set(VMCS_ENTRY_INSN_LENGTH, 2);
	event_watch(EXC_DB);
	event_watch(0x50);
	inner_run_to_end();
	test_equal("vector seen last", event_seen.frame.vector, 0x50);
	test_equal("number of events seen", event_seen.count, 1);
	event_unwatch_all();
}

static void no_pending_after_ordinary_exit(void)
{
	inner_reset(event_code, NULL);
	inner_run_to_end();
	test_equal("pending debug exceptions", vmx_get(VMCS_GUEST_PENDING_DEBUG), 0);
	test_equal("activity state", vmx_get(VMCS_GUEST_ACTIVITY), VMX_ACTIVE);
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

#define RULE_INTERRUPTIBILITY                                                                     \
	"The interruptibility-state field is saved to reflect blocking by STI, by MOV SS and by " \
	"NMI as it was before the exit"
#define RULE_PENDING                                                                              \
	"If no event is injected, pending debug exceptions are delivered after VM entry, before " \
	"the first instruction"

static const struct test tests[] = {
	{ "HLT that exits does not halt", "The VM exit occurs before HLT is executed",
	  hlt_exit_is_active },
	{ "blocking by STI is saved", RULE_INTERRUPTIBILITY, sti_blocking_is_saved },
	{ "blocking by MOV SS is saved", RULE_INTERRUPTIBILITY, mov_ss_blocking_is_saved },
	{ "blocking by STI is saved by an unconditional exit", RULE_INTERRUPTIBILITY,
	  sti_blocking_of_another_exit },
	{ "blocking by NMI is loaded and saved", RULE_INTERRUPTIBILITY, nmi_blocking_is_kept },
	{ "a pending single step is delivered at once", RULE_PENDING, pending_step },
	{ "a pending breakpoint is delivered at once", RULE_PENDING, pending_breakpoint },
	{ "a pending breakpoint reaches the guest's handler", RULE_PENDING, pending_is_delivered },
	{ "RFLAGS.TF steps one instruction",
	  "TF loaded by VM entry counts for the first instruction", step_without_pending },
	{ "MOV SS delays a single step", "Blocking by MOV SS inhibits debug exceptions",
	  mov_ss_delays_step },
	{ "an injected interrupt drops pending debug exceptions",
	  "Events injected as software interrupts come first; pending debug exceptions are lost",
	  injection_drops_pending },
	{ "an ordinary exit leaves nothing pending", "The field is cleared when nothing is pending",
	  no_pending_after_ordinary_exit },
};

SUITE_OF_TESTS(state_suite, tests);
