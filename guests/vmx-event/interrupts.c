/*
 * External interrupts that the timer makes while the inner guest runs: exits with and without
 * acknowledgment, or delivered to the guest; also out of HLT. SDM 3C "Other Causes of VM Exits"
 * (26.2), "Information for VM Exits Due to Vectored Events" (28.2.2).
 *
 * QUIRK(bochs-2.7): a guest entered with RFLAGS.IF = 0 that never sets it sees no such exit,
 * although the manual wants one; it is not tested.
 */
#include "guests/vmx-event/event.h"
#include "guests/lib/timer.h"

#define SOON 20 /* timer periods: 17 microseconds */

CODE(int_spin, 64, "1:\tpause\n\tjmp 1b");
CODE(int_hlt, 64, "hlt\n\tvmcall");
CODE(int_sti_hlt, 64, "sti\n\thlt\n\tvmcall");

static void start(const char *code, const struct vmx_controls *more)
{
	timer_init();
	inner_reset(code, more);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	timer_arm(SOON);
}

/* One interrupt that waits is taken by our own handler. */
static void take_waiting(void)
{
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
}

static void acknowledged(const char *code, const struct vmx_controls *more)
{
	struct inner_exit exit;

	start(code, more);
	inner_run(&exit);
	if (inner_exited(&exit, VMX_EXIT_EXTERNAL_INTERRUPT)) {
		test_equal("VM-exit interruption information", exit.intr_info,
			   INTR_INFO_VALID | INTR_TYPE_EXTERNAL | TIMER_VECTOR);
		test_equal("exit qualification", exit.qualification, 0);
	}
	take_waiting();
	test_equal("interrupts still waiting after the exit", timer_count(), 0);
}

static void exits_acknowledged(void)
{
	acknowledged(int_spin, &(struct vmx_controls){ .pin = PIN_EXTERNAL_INTERRUPT,
						       .exit = EXIT_ACK_INTERRUPT });
}

static void exits_from_hlt(void)
{
	acknowledged(int_hlt, &(struct vmx_controls){ .pin = PIN_EXTERNAL_INTERRUPT,
						      .exit = EXIT_ACK_INTERRUPT });
}

static void exits_waiting(void)
{
	struct inner_exit exit;

	start(int_spin, &(struct vmx_controls){ .pin = PIN_EXTERNAL_INTERRUPT });
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_EXTERNAL_INTERRUPT);
	test_equal("valid bit of the VM-exit interruption information",
		   exit.intr_info & INTR_INFO_VALID, 0);
	test_equal("interrupts taken before we allowed one", timer_count(), 0);
	take_waiting();
	test_equal("interrupts taken when we allowed one", timer_count(), 1);
}

static void is_delivered(const char *code)
{
	start(code, NULL);
	event_watch(TIMER_VECTOR);
	inner_run_to_end();
	event_check(TIMER_VECTOR);
	event_unwatch_all();
	timer_init();
}

static void is_delivered_to_code(void)
{
	is_delivered(int_spin);
}

static void is_delivered_to_hlt(void)
{
	is_delivered(int_hlt);
}

static void entered_halted(void)
{
	start(event_code, NULL);
	vmx_set(VMCS_GUEST_ACTIVITY, VMX_HALTED);
	event_watch(TIMER_VECTOR);
	inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 1);
	test_equal("return address, from the start of the code",
		   event_seen.frame.rip - (u64)event_code, 0);
	event_unwatch_all();
	timer_init();
}

static void handler_of_the_guest_runs(void)
{
	timer_init();
	inner_reset(int_sti_hlt, NULL);
	timer_arm(SOON);
	inner_run_to_end();
	test_equal("interrupts that the handler counted", timer_count(), 1);
	test_equal("guest RFLAGS.IF", vmx_get(VMCS_GUEST_RFLAGS) & RFLAGS_IF, RFLAGS_IF);
}

#define RULE_EXIT                                                                                \
	"If the \"external-interrupt exiting\" control is 1, an external interrupt causes a VM " \
	"exit"
#define RULE_GUEST                                                                             \
	"If the control is 0, the interrupt is delivered normally through the guest IDT when " \
	"RFLAGS.IF = 1"

static const struct test tests[] = {
	{ "an external interrupt exits and is acknowledged",
	  "If \"acknowledge interrupt on exit\" is 1, the vector is in the VM-exit "
	  "interruption-information field",
	  exits_acknowledged },
	{ "an external interrupt exits out of HLT", RULE_EXIT, exits_from_hlt },
	{ "an external interrupt exits and still waits",
	  "If \"acknowledge interrupt on exit\" is 0, the interrupt stays pending and the VM-exit "
	  "interruption information is not valid",
	  exits_waiting },
	{ "an external interrupt is delivered to the guest", RULE_GUEST, is_delivered_to_code },
	{ "an external interrupt is delivered to the guest in HLT", RULE_GUEST,
	  is_delivered_to_hlt },
	{ "an external interrupt wakes a guest that was entered in HLT",
	  "The guest is entered in the activity state of the VMCS", entered_halted },
	{ "the guest's own handler serves its interrupt", RULE_GUEST, handler_of_the_guest_runs },
};

SUITE_OF_TESTS(interrupts_suite, tests);
