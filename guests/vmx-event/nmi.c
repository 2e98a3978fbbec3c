/*
 * NMIs that the local APIC sends to its own CPU: exits, delivery, and what blocks them. SDM 3C
 * "Other Causes of VM Exits" (26.2), "Changes to Instruction Behavior in VMX Non-Root Operation:
 * IRET" (26.3).
 */
#include "guests/vmx-event/event.h"

#define IRET_TO_NEXT                                                               \
	"mov %rsp, %rax\n\tpushq $0x10\n\tpush %rax\n\tpushq $2\n\tpushq $0x8\n\t" \
	"lea 1f(%rip), %rax\n\tpush %rax\n\tiretq\n1:\tnop\n\tnop\n\t"

CODE(nmi_send, 64, EVENT_SEND_NMI "vmcall\n\tvmcall");
CODE(nmi_send_iret, 64, EVENT_SEND_NMI "vmcall\n\t" IRET_TO_NEXT "vmcall");
CODE(nmi_iret_faults, 64, "mov %rax, %rsp\n\tiretq");

static const struct vmx_controls exiting = { .pin = PIN_NMI };
static const struct vmx_controls virtual_nmis = { .pin = PIN_NMI | PIN_VIRTUAL_NMI };

static void start(const char *code, const struct vmx_controls *more, u64 interruptibility)
{
	event_begin_nmis();
	inner_reset(code, more);
	inner_regs.rdi = (u64)event_nmi_register();
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, interruptibility);
}

static void run_to_nmi_exit(void)
{
	struct inner_exit exit;

	inner_run(&exit);
	event_exited(&exit, INTR_TYPE_NMI | EXC_NMI, 0);
	test_equal("exit qualification", exit.qualification, 0);
	test_equal("IDT-vectoring information", exit.vectoring_info & INTR_INFO_VALID, 0);
}

static void exits(void)
{
	start(nmi_send, &exiting, 0);
	run_to_nmi_exit();
	event_end_nmis();
}

static void exit_blocks_ours(void)
{
	start(nmi_send, &exiting, 0);
	run_to_nmi_exit();
	event_take_nmis();
	event_send_nmi();
	test_equal("NMIs that came before IRET", event_nmis_taken, 0);
	event_unblock_nmis();
	test_equal("NMIs that came after IRET", event_nmis_taken, 1);
	event_end_nmis();
}

static void is_delivered(void)
{
	struct inner_exit exit;

	start(nmi_send, NULL, 0);
	event_watch_inside(EXC_NMI);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
	test_equal("number of events seen", event_seen.count, 1);
	test_equal("interruptibility in the handler", vmx_get(VMCS_GUEST_INTERRUPTIBILITY),
		   INTERRUPTIBILITY_NMI);
	inner_skip(&exit);
	inner_run_to_end();
	test_equal("interruptibility after the handler", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	event_end_nmis();
}

static void blocked_until_iret(void)
{
	struct inner_exit exit;

	start(nmi_send_iret, NULL, INTERRUPTIBILITY_NMI);
	event_watch(EXC_NMI);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
	test_equal("events seen before IRET", event_seen.count, 0);
	inner_skip(&exit);
	inner_run_to_end();
	test_equal("events seen after IRET", event_seen.count, 1);
	event_end_nmis();
}

static void virtual_blocking_does_not_stop_exits(void)
{
	start(nmi_send, &virtual_nmis, INTERRUPTIBILITY_NMI);
	run_to_nmi_exit();
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	event_end_nmis();
}

/* RAX becomes RSP: IRET's frame is not there. */
static void iret_that_faults(const struct vmx_controls *more, u64 interruptibility, u32 want)
{
	struct inner_exit exit;

	start(nmi_iret_faults, more, interruptibility);
	inner_regs.rax = BIT(47);
	vmx_set(VMCS_EXCEPTION_BITMAP, BIT32(EXC_SS));
	inner_run(&exit);
	event_exited(&exit, INTR_TYPE_HARDWARE_EXCEPTION | INTR_INFO_ERROR_CODE | EXC_SS | want, 0);
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	event_end_nmis();
}

static void unblocking_is_reported(void)
{
	iret_that_faults(NULL, INTERRUPTIBILITY_NMI, INTR_INFO_NMI_UNBLOCK);
}

static void virtual_unblocking_is_reported(void)
{
	iret_that_faults(&virtual_nmis, INTERRUPTIBILITY_NMI, INTR_INFO_NMI_UNBLOCK);
}

static void nothing_to_unblock(void)
{
	iret_that_faults(NULL, 0, 0);
}

#define RULE_UNBLOCK                                                                              \
	"Bit 12 (NMI unblocking due to IRET) is 1 if the VM exit is due to a fault on IRET that " \
	"removed blocking by NMI, or virtual-NMI blocking"

static const struct test tests[] = {
	{ "an NMI exits", "If the \"NMI exiting\" control is 1, NMIs cause VM exits", exits },
	{ "an exit by NMI leaves NMIs blocked until our IRET",
	  "A VM exit caused by an NMI blocks NMIs", exit_blocks_ours },
	{ "an NMI is delivered to the guest and blocks NMIs until its IRET",
	  "If the control is 0, an NMI is delivered normally through the guest IDT", is_delivered },
	{ "an NMI waits for the IRET of a guest entered with blocking by NMI",
	  "Bit 3 of the interruptibility state: blocking by NMI", blocked_until_iret },
	{ "an NMI exits in spite of virtual-NMI blocking",
	  "If the \"virtual NMIs\" control is 1, NMIs are never blocked and bit 3 tells of "
	  "virtual-NMI blocking",
	  virtual_blocking_does_not_stop_exits },
	{ "a fault on IRET reports that it unblocked NMIs", RULE_UNBLOCK, unblocking_is_reported },
	{ "a fault on IRET reports that it unblocked virtual NMIs", RULE_UNBLOCK,
	  virtual_unblocking_is_reported },
	{ "a fault on IRET that had nothing to unblock", RULE_UNBLOCK, nothing_to_unblock },
};

SUITE_OF_TESTS(nmi_suite, tests);
