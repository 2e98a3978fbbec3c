/*
 * Exits while an event is being delivered: EXITINTINFO names the event, and injecting it again
 * completes it. APM 2 "EXITINTINFO" in "Saving State at #VMEXIT: Intercepts During IDT Interrupt
 * Delivery" (15.7.2).
 *
 * QUIRK(qemu-7.2): INT3 is told as a software interrupt; error codes that name a gate count 16
 * bytes an entry and never have EXT; the intercept of #DF is ignored. QUIRK(bochs-2.7): INT n
 * leaves what EXITINTINFO was for the last exception.
 */
#include "guests/svm-event/event.h"
#include "guests/lib/pages.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE  96
#define GATE_ERROR 2 /* bit 1 of an error code: it names a gate of the IDT */
#define EXT        1 /* bit 0: an event external to the program was being delivered */

CODE(vec_int_n, 64, "int $0x50\n\tvmmcall");
CODE(vec_int3, 64, "int3\n\tvmmcall");
CODE(vec_ud, 64, "ud2\n\tvmmcall");
CODE(vec_gp, 64, "mov (%rax), %eax\n\tvmmcall");

/* An event, made by the code or injected. */
struct event {
	const char *name, *code;
	u64 injected; /* EVENTINJ; 0: the code makes the event */
	u64 info;     /* EXITINTINFO expected, less V */
	u32 length;   /* of the instruction, for software events of the code */
	u8 vector;
	u64 info_quirk; /* EXITINTINFO by a bug of a known platform */
	bool may_be_stale;
};

#define INJECTED(what) .injected = EVENT_VALID | (what), .info = (what)
#define CODE_OF(code)  ((u64)(code) << EVENT_ERROR_SHIFT | EVENT_ERROR_CODE)

static const struct event events[] = {
	{ "INT n", vec_int_n, .info = EVENT_TYPE_SOFTWARE | SOME_VECTOR, .length = 2,
	  .vector = SOME_VECTOR, .may_be_stale = true },
	{ "INT3", vec_int3, .info = EVENT_TYPE_EXCEPTION | EXC_BP, .length = 1, .vector = EXC_BP,
	  .info_quirk = EVENT_TYPE_SOFTWARE | EXC_BP },
	{ "#UD", vec_ud, .info = EVENT_TYPE_EXCEPTION | EXC_UD, .vector = EXC_UD },
	{ "#GP", vec_gp, .info = EVENT_TYPE_EXCEPTION | CODE_OF(0) | EXC_GP, .vector = EXC_GP },
	{ "an injected external interrupt", event_code, INJECTED(EVENT_TYPE_INTR | SOME_VECTOR),
	  .vector = SOME_VECTOR },
	{ "an injected NMI", event_code, INJECTED(EVENT_TYPE_NMI | EXC_NMI), .vector = EXC_NMI },
	{ "an injected #UD", event_code, INJECTED(EVENT_TYPE_EXCEPTION | EXC_UD),
	  .vector = EXC_UD },
	{ "an injected #GP", event_code, INJECTED(EVENT_TYPE_EXCEPTION | CODE_OF(0x18) | EXC_GP),
	  .vector = EXC_GP },
	{ "an injected INT n", event_code, INJECTED(EVENT_TYPE_SOFTWARE | SOME_VECTOR),
	  .vector = SOME_VECTOR },
};

static void start(const struct event *e, bool with_npt)
{
	svm_inner_reset(e->code);
	if (with_npt)
		svm_inner_use_npt();
	svm_inner_vmcb.s.rflags |= RFLAGS_IF;
	svm_inner_regs.rax = BIT(47); /* not canonical */
	svm_inner_vmcb.c.event_injection = e->injected;
	svm_inner_vmcb.c.next_rip = svm_inner_vmcb.s.rip;
	event_own_idt();
}

static void check_info(const struct event *e, const struct svm_inner_exit *exit)
{
	u64 quirk = (e->info_quirk ? e->info_quirk : e->info) | EVENT_VALID;

	if (e->may_be_stale && (exit->int_info & EVENT_TYPE) == EVENT_TYPE_EXCEPTION)
		test_quirk("whether EXITINTINFO is of this event", false, true);
	else
		test_equal_or_quirk("EXITINTINFO", exit->int_info, e->info | EVENT_VALID, quirk);
	test_equal("EVENTINJ.V", svm_inner_vmcb.c.event_injection & EVENT_VALID, 0);
	test_equal("RIP, from the start of the code", svm_inner_vmcb.s.rip - (u64)e->code, 0);
}

/* What a hypervisor does after it has made the cause go away. */
static void inject_again(const struct event *e)
{
	event_watch(e->vector);
	svm_inner_vmcb.c.intercept_exceptions = 0;
	svm_inner_vmcb.c.event_injection = e->info | EVENT_VALID;
	svm_inner_vmcb.s.rip += e->length;
	svm_inner_vmcb.c.next_rip = svm_inner_vmcb.s.rip;
	svm_inner_run_to_end();
	if (event_check(e->vector)) {
		test_equal("error code seen", event_seen.frame.error_code,
			   e->info >> EVENT_ERROR_SHIFT);
		test_equal("return address, from the start of the code",
			   event_seen.frame.rip - (u64)e->code, e->length);
	}
	event_unwatch_all();
}

/* The IDT is absent, so that the delivery itself faults. */
static void run_page_fault(const struct event *e)
{
	const void *idt = event_idt;
	char name[NAME_SIZE];
	struct svm_inner_exit exit;
	u64 entry;

	snprintf(name, sizeof(name), "#PF exit while %s is delivered, injected again", e->name);
	test_begin(name, "EXITINTINFO: the event that was being delivered when the guest exited");
	start(e, false);
	svm_inner_vmcb.c.intercept_exceptions = BIT32(EXC_PF);
	entry = page_change(idt, 0, PTE_P);
	svm_inner_run(&exit);
	page_restore(idt, entry);
	if (svm_inner_exited(&exit, SVM_EXIT_EXCEPTION_PF)) {
		test_equal("EXITINFO1", exit.info1, 0);
		test_equal("EXITINFO2, from the IDT", exit.info2 - (u64)idt, e->vector * 16UL);
		check_info(e, &exit);
		inject_again(e);
	}
	test_end();
}

static void run_nested_fault(const struct event *e)
{
	u64 idt = (u64)event_idt;
	char name[NAME_SIZE];
	struct svm_inner_exit exit;
	u64 *entry;

	snprintf(name, sizeof(name), "nested page fault while %s is delivered, injected again",
		 e->name);
	test_begin(name, "EXITINTINFO is also written by nested page faults");
	start(e, true);
	svm_inner_split_npt(idt);
	entry = stage2_entry(&svm_inner_npt, idt, PAGE_SHIFT);
	*entry &= ~PTE_P;
	svm_inner_run(&exit);
	if (svm_inner_exited(&exit, SVM_EXIT_NPF)) {
		test_equal("page of EXITINFO2", exit.info2 & ~PAGE_MASK, idt);
		check_info(e, &exit);
		*entry |= PTE_P;
		inject_again(e);
	}
	test_end();
}

/* The gate is not present: #NP, whose error code names it. */
static void not_present(const struct event *e, u32 ext)
{
	u32 error_code = e->vector * 8U + GATE_ERROR + ext;
	struct svm_inner_exit exit;

	start(e, false);
	event_spoil_gate(e->vector);
	svm_inner_vmcb.c.intercept_exceptions = BIT32(EXC_NP);
	svm_inner_run(&exit);
	if (svm_inner_exited(&exit, SVM_EXIT_EXCEPTION_NP)) {
		test_equal_or_quirk("EXITINFO1", exit.info1, error_code,
				    e->vector * 16U + GATE_ERROR);
		check_info(e, &exit);
	}
}

static void np_of_int_n(void)
{
	not_present(&events[0], 0);
}

static void np_of_exception(void)
{
	not_present(&events[2], EXT);
}

static void np_of_interrupt(void)
{
	not_present(&events[4], EXT);
}

/* #GP and then #NP: both contributory. */
static void start_double_fault(u32 intercepts)
{
	start(&events[3], false);
	event_spoil_gate(EXC_GP);
	svm_inner_vmcb.c.intercept_exceptions = intercepts;
}

static void double_fault_exits(void)
{
	struct svm_inner_exit exit;

	start_double_fault(BIT32(EXC_DF));
	event_watch(EXC_DF);
	svm_inner_run(&exit);
	if (exit.exit == SVM_EXIT_VMMCALL && event_seen.count)
		test_quirk("exit", exit.exit, SVM_EXIT_EXCEPTION_DF);
	else if (svm_inner_exited(&exit, SVM_EXIT_EXCEPTION_DF))
		test_equal("EXITINFO1", exit.info1, 0);
	event_unwatch_all();
}

static void double_fault_is_delivered(void)
{
	start_double_fault(0);
	event_watch(EXC_DF);
	svm_inner_run_to_end();
	event_check(EXC_DF);
	event_unwatch_all();
}

#define RULE_NP "#NP names the gate; bit 0 (EXT) is 0 for software events and 1 for others"

static const struct test tests[] = {
	{ "#NP exit while INT n is delivered", RULE_NP, np_of_int_n },
	{ "#NP exit while #UD is delivered", RULE_NP, np_of_exception },
	{ "#NP exit while an injected external interrupt is delivered", RULE_NP, np_of_interrupt },
	{ "#DF exits", "A double fault is an exception like others", double_fault_exits },
	{ "#DF is delivered with its bit clear", "The double fault is delivered through the IDT",
	  double_fault_is_delivered },
};

static u32 count(void)
{
	return ARRAY_SIZE(events) * (svm_inner_with_npt() ? 2 : 1) + ARRAY_SIZE(tests);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		run_page_fault(&events[i]);
	tests_run(tests, ARRAY_SIZE(tests));
	for (size_t i = 0; svm_inner_with_npt() && i < ARRAY_SIZE(events); i++)
		run_nested_fault(&events[i]);
}

const struct suite vectoring_suite = { count, run };
