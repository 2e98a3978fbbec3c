/*
 * NMIs that the local APIC sends to its own CPU: exits, delivery, what holds them back, and the
 * IRET intercept by which a hypervisor learns that they may come again. APM 2 "NMI Intercept"
 * (15.13.2), "NMI Support" (15.21.10).
 */
#include "guests/svm-event/event.h"
#include "guests/lib/segments.h"

CODE(nmi_send, 64, EVENT_SEND_NMI "vmmcall\n\tvmmcall");

static void start(const char *code, u32 intercept1)
{
	event_begin_nmis();
	svm_inner_reset(code);
	svm_inner_vmcb.c.intercept1 |= intercept1;
	svm_inner_regs.rdi = (u64)event_nmi_register();
}

static void run_to(enum svm_exit want)
{
	struct svm_inner_exit exit;

	svm_inner_run(&exit);
	svm_inner_exited(&exit, want);
	test_equal("EXITINTINFO.V", exit.int_info & EVENT_VALID, 0);
}

/* The exit does not take the NMI: it comes to us as soon as GIF is 1. */
static void exits(void)
{
	start(nmi_send, INTERCEPT1_NMI);
	event_take_nmis();
	run_to(SVM_EXIT_NMI);
	__asm__ volatile("nop\n\tnop" : : : "memory");
	test_equal("NMIs that we took after STGI", event_nmis_taken, 1);
	event_end_nmis();
}

static void exit_holds_ours(void)
{
	struct svm_inner_exit exit;

	start(nmi_send, INTERCEPT1_NMI);
	event_take_nmis();
	svm_inner_enter(&exit, SVM_ENTRY_VLS);
	svm_inner_exited(&exit, SVM_EXIT_NMI);
	test_equal("NMIs that we took with GIF = 0", event_nmis_taken, 0);
	svm_stgi();
	__asm__ volatile("nop\n\tnop" : : : "memory");
	test_equal("NMIs that we took after STGI", event_nmis_taken, 1);
	event_end_nmis();
}

static void clgi_holds_ours(void)
{
	start(event_done, 0);
	event_take_nmis();
	svm_clgi();
	event_send_nmi();
	test_equal("NMIs that we took with GIF = 0", event_nmis_taken, 0);
	svm_stgi();
	__asm__ volatile("nop\n\tnop" : : : "memory");
	test_equal("NMIs that we took after STGI", event_nmis_taken, 1);
	event_end_nmis();
}

static void entry_lets_it_through(void)
{
	struct svm_inner_exit exit;

	start(event_code, INTERCEPT1_NMI);
	event_take_nmis();
	svm_clgi();
	event_send_nmi();
	svm_inner_enter(&exit, SVM_ENTRY_VLS);
	svm_inner_exited(&exit, SVM_EXIT_NMI);
	test_equal("RIP, from the start of the code", svm_inner_vmcb.s.rip - (u64)event_code, 0);
	svm_stgi();
	__asm__ volatile("nop\n\tnop" : : : "memory");
	test_equal("NMIs that we took after STGI", event_nmis_taken, 1);
	event_end_nmis();
}

static void is_delivered(void)
{
	struct svm_inner_exit exit;

	start(nmi_send, 0);
	event_watch_inside(EXC_NMI);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("number of events seen", event_seen.count, 1);
	svm_inner_skip(&exit, 3);
	svm_inner_run_to_end();
	test_equal("number of events seen at last", event_seen.count, 1);
	event_end_nmis();
}

/* The guest's handler of an NMI is left for code that sends another: it waits for IRET. */
static void blocks_until_iret(const char *code, u64 injected)
{
	struct svm_inner_exit exit;
	u64 in_handler;

	start(code, 0);
	svm_inner_vmcb.c.event_injection = injected;
	event_watch_inside(EXC_NMI);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("events seen", event_seen.count, 1);
	in_handler = svm_inner_vmcb.s.rip;
	svm_inner_vmcb.s.rip = (u64)nmi_send;
	svm_inner_regs.rdi = (u64)event_nmi_register();
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal_or_quirk("events seen before IRET", event_seen.count, 1, injected ? 2 : 1);
	svm_inner_vmcb.s.rip = in_handler + 3;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("events seen after IRET", event_seen.count, 2);
	event_end_nmis();
}

static void delivered_blocks(void)
{
	blocks_until_iret(nmi_send, 0);
}

static void injected_blocks(void)
{
	blocks_until_iret(event_code, svm_event(EVENT_TYPE_NMI, EXC_NMI));
}

static void iret_exits(void)
{
	struct svm_inner_exit exit;

	start(nmi_send, INTERCEPT1_IRET);
	event_watch_inside(EXC_NMI);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	svm_inner_skip(&exit, 3);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_IRET);
	test_equal("CS in the frame that IRET would take", ((const u64 *)svm_inner_vmcb.s.rsp)[1],
		   SEL_CODE64);
	svm_inner_vmcb.c.intercept1 &= ~INTERCEPT1_IRET;
	svm_inner_run_to_end();
	event_end_nmis();
}

#define RULE_EXIT                                                                                 \
	"NMI intercept: an NMI exits and stays pending; it is held by GIF = 0 until STGI or the " \
	"next "                                                                                   \
	"VMRUN"
#define RULE_BLOCK "NMIs are blocked from an NMI's delivery to the next IRET"

static const struct test tests[] = {
	{ "an NMI exits and comes to us", RULE_EXIT, exits },
	{ "an NMI that exited waits for STGI", RULE_EXIT, exit_holds_ours },
	{ "CLGI holds an NMI until STGI", RULE_EXIT, clgi_holds_ours },
	{ "an NMI held by CLGI exits at the next entry", RULE_EXIT, entry_lets_it_through },
	{ "an NMI is delivered to the guest",
	  "Without the intercept NMIs go through the guest's IDT", is_delivered },
	{ "an NMI of the guest blocks NMIs until IRET", RULE_BLOCK, delivered_blocks },
	{ "an injected NMI blocks NMIs until IRET", RULE_BLOCK, injected_blocks },
	{ "IRET from an NMI exits by its intercept", "IRET intercept", iret_exits },
};

SUITE_OF_TESTS(nmi_suite, tests);
