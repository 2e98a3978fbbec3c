/*
 * Interrupt windows and NMI windows. SDM 3C "Other Causes of VM Exits" (26.2), "Virtual NMIs"
 * (25.3, NMI blocking).
 *
 * QUIRK(bochs-2.7): an interrupt window does not end HLT there; it is not tested.
 */
#include "guests/vmx-event/event.h"
#include "guests/lib/segments.h"

#define VECTOR 0x50

CODE(win_cli, 64, "nop\n\tvmcall");
CODE(win_sti, 64, "nop\n\tsti\n\tnop\n\tnop\n\tvmcall");
CODE(win_moss, 64, "nop\n\tmov %eax, %ss\n\tnop\n\tnop\n\tvmcall");
CODE(win_popf, 64, "pushf\n\torl $0x200, (%rsp)\n\tpopf\n\tnop\n\tvmcall");
/* IRET to itself: a frame for the instruction behind it. */
CODE(win_iret, 64,
     "mov %rsp, %rax\n\tpushq $0x10\n\tpush %rax\n\tpushq $2\n\tpushq $0x8\n\t"
     "lea 1f(%rip), %rax\n\tpush %rax\n\tiretq\n1:\tnop\n\tvmcall");

#define AFTER_STI_AND_NOP  3 /* nop, sti, nop */
#define AFTER_MOSS_AND_NOP 4 /* nop, mov ss (2 bytes), nop */

static const struct vmx_controls interrupt_window = { .proc = PROC_INTERRUPT_WINDOW };
static const struct vmx_controls nmi_window = { .pin = PIN_NMI | PIN_VIRTUAL_NMI,
						.proc = PROC_NMI_WINDOW };
static const struct vmx_controls virtual_nmis = { .pin = PIN_NMI | PIN_VIRTUAL_NMI };

/* The next exit is this one, `offset` bytes into the code. */
static void exits_at(enum vmx_exit_reason reason, const char *code, u64 offset)
{
	struct inner_exit exit;

	inner_run(&exit);
	if (!inner_exited(&exit, reason))
		return;
	test_equal("exit qualification", exit.qualification, 0);
	test_equal("IDT-vectoring information", exit.vectoring_info & INTR_INFO_VALID, 0);
	test_equal("guest RIP, from the start of the code", vmx_get(VMCS_GUEST_RIP) - (u64)code,
		   offset);
}

static void open_at_once(void)
{
	inner_reset(win_cli, &interrupt_window);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	exits_at(VMX_EXIT_INTERRUPT_WINDOW, win_cli, 0);
	exits_at(VMX_EXIT_INTERRUPT_WINDOW, win_cli, 0);
}

static void closed_by_if(void)
{
	inner_reset(win_cli, &interrupt_window);
	inner_run_to_end();
}

static void opened_by_sti(void)
{
	inner_reset(win_sti, &interrupt_window);
	exits_at(VMX_EXIT_INTERRUPT_WINDOW, win_sti, AFTER_STI_AND_NOP);
}

static void opened_by_popf(void)
{
	struct inner_exit exit;

	inner_reset(win_popf, &interrupt_window);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_INTERRUPT_WINDOW);
	test_equal("guest RFLAGS.IF", vmx_get(VMCS_GUEST_RFLAGS) & RFLAGS_IF, RFLAGS_IF);
	vmx_set(VMCS_PROC_CONTROLS, vmx_get(VMCS_PROC_CONTROLS) & ~(u64)PROC_INTERRUPT_WINDOW);
	inner_run_to_end();
}

static void entered_blocked_by_sti(void)
{
	inner_reset(win_cli, &interrupt_window);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	exits_at(VMX_EXIT_INTERRUPT_WINDOW, win_cli, 1);
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

static void entered_blocked_by_mov_ss(void)
{
	inner_reset(win_cli, &interrupt_window);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	exits_at(VMX_EXIT_INTERRUPT_WINDOW, win_cli, 1);
}

static void blocked_by_mov_ss(void)
{
	inner_reset(win_moss, &interrupt_window);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	inner_regs.rax = SEL_DATA;
	exits_at(VMX_EXIT_INTERRUPT_WINDOW, win_moss, 1);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	exits_at(VMX_EXIT_INTERRUPT_WINDOW, win_moss, AFTER_MOSS_AND_NOP);
}

static void open_after_injection(void)
{
	inner_reset(event_code, &interrupt_window);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmx_set(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_EXTERNAL | VECTOR);
	event_watch_inside(VECTOR);
	inner_run_to_end();
	inner_skip(&(struct inner_exit){ .insn_length = 3 });
	exits_at(VMX_EXIT_INTERRUPT_WINDOW, event_code, 0);
	event_unwatch_all();
}

static void nmi_open_at_once(void)
{
	inner_reset(win_cli, &nmi_window);
	exits_at(VMX_EXIT_NMI_WINDOW, win_cli, 0);
}

static void nmi_open_with_if_set(void)
{
	inner_reset(win_cli, &nmi_window);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	inner_set_bits(VMCS_PROC_CONTROLS, PROC_INTERRUPT_WINDOW);
	exits_at(VMX_EXIT_NMI_WINDOW, win_cli, 0);
}

static void nmi_blocked(void)
{
	inner_reset(win_cli, &nmi_window);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	inner_run_to_end();
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
}

static void nmi_opened_by_iret(void)
{
	struct inner_exit exit;

	inner_reset(win_iret, &nmi_window);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_NMI_WINDOW);
	test_equal("interruptibility", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	test_equal("instruction at guest RIP", *(const u8 *)vmx_get(VMCS_GUEST_RIP), 0x90);
}

static void nmi_blocked_by_mov_ss(void)
{
	inner_reset(win_cli, &nmi_window);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	exits_at(VMX_EXIT_NMI_WINDOW, win_cli, 1);
}

static void injected_nmi_blocks_virtually(void)
{
	struct inner_exit exit;

	inner_reset(event_code, &virtual_nmis);
	vmx_set(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_NMI | EXC_NMI);
	event_watch_inside(EXC_NMI);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
	test_equal("interruptibility in the handler", vmx_get(VMCS_GUEST_INTERRUPTIBILITY),
		   INTERRUPTIBILITY_NMI);
	inner_set_bits(VMCS_PROC_CONTROLS, PROC_NMI_WINDOW);
	inner_skip(&exit);
	exits_at(VMX_EXIT_NMI_WINDOW, event_code, 0);
	event_unwatch_all();
}

#define RULE_INTERRUPT                                                                            \
	"If the \"interrupt-window exiting\" control is 1, a VM exit occurs before execution of " \
	"any instruction if RFLAGS.IF = 1 and there is no blocking by STI or by MOV SS"
#define RULE_NMI                                                                                \
	"If the \"NMI-window exiting\" control is 1, a VM exit occurs before execution of any " \
	"instruction if there is no virtual-NMI blocking and no blocking of events by MOV SS"

static const struct test tests[] = {
	{ "an open interrupt window exits before the first instruction", RULE_INTERRUPT,
	  open_at_once },
	{ "an interrupt window is closed while RFLAGS.IF = 0", RULE_INTERRUPT, closed_by_if },
	{ "STI opens the interrupt window one instruction later", RULE_INTERRUPT, opened_by_sti },
	{ "POPF opens the interrupt window", RULE_INTERRUPT, opened_by_popf },
	{ "an entry with blocking by STI opens the window one instruction later", RULE_INTERRUPT,
	  entered_blocked_by_sti },
	{ "an entry with blocking by MOV SS opens the window one instruction later", RULE_INTERRUPT,
	  entered_blocked_by_mov_ss },
	{ "MOV SS closes the interrupt window for one instruction", RULE_INTERRUPT,
	  blocked_by_mov_ss },
	{ "the interrupt window opens when an injected interrupt's handler returns", RULE_INTERRUPT,
	  open_after_injection },
	{ "an open NMI window exits before the first instruction", RULE_NMI, nmi_open_at_once },
	{ "an NMI window comes before an interrupt window", RULE_NMI, nmi_open_with_if_set },
	{ "an NMI window is closed by virtual-NMI blocking", RULE_NMI, nmi_blocked },
	{ "IRET opens the NMI window", RULE_NMI, nmi_opened_by_iret },
	{ "blocking by MOV SS closes the NMI window for one instruction", RULE_NMI,
	  nmi_blocked_by_mov_ss },
	{ "an injected NMI blocks virtual NMIs until IRET",
	  "If the \"virtual NMIs\" control is 1, injection of an NMI blocks virtual NMIs",
	  injected_nmi_blocks_virtually },
};

SUITE_OF_TESTS(windows_suite, tests);
