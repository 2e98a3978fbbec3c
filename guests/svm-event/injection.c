/*
 * Event injection: every type reaches the inner guest's handler with the right return address and
 * error code, and is not subject to intercepts. APM 2 "Event Injection" (15.20).
 *
 * A software event returns behind its instruction: RIP and nRIP are both given as that, so that it
 * does not matter which of the two the processor takes.
 */
#include "guests/svm-event/event.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE  80
#define GATE_ERROR 2 /* bit 1 of an error code: it names a gate of the IDT */

CODE(inj_hlt, 64, "hlt\n\tvmmcall");

struct injection {
	const char *name, *rule;
	u64 type;
	u8 vector;
	bool with_error_code;
	u16 error_code;
};

#define RULE_TYPE  "TYPE: 0 external or virtual interrupt, 2 NMI, 3 exception, 4 software interrupt"
#define RULE_ERROR "EV: the error code in bits 63:32 is pushed on the stack"

static const struct injection injections[] = {
	{ "an external interrupt", RULE_TYPE, EVENT_TYPE_INTR, SOME_VECTOR, false, 0 },
	{ "an external interrupt of vector 255", RULE_TYPE, EVENT_TYPE_INTR, 255, false, 0 },
	{ "an NMI", RULE_TYPE, EVENT_TYPE_NMI, EXC_NMI, false, 0 },
	{ "#DE", RULE_TYPE, EVENT_TYPE_EXCEPTION, EXC_DE, false, 0 },
	{ "#DB", RULE_TYPE, EVENT_TYPE_EXCEPTION, EXC_DB, false, 0 },
	{ "#BP", RULE_TYPE, EVENT_TYPE_EXCEPTION, EXC_BP, false, 0 },
	{ "#UD", RULE_TYPE, EVENT_TYPE_EXCEPTION, EXC_UD, false, 0 },
	{ "#NM", RULE_TYPE, EVENT_TYPE_EXCEPTION, EXC_NM, false, 0 },
	{ "#DF", RULE_ERROR, EVENT_TYPE_EXCEPTION, EXC_DF, true, 0 },
	{ "#TS", RULE_ERROR, EVENT_TYPE_EXCEPTION, EXC_TS, true, 0x28 },
	{ "#NP", RULE_ERROR, EVENT_TYPE_EXCEPTION, EXC_NP, true, 0x30 },
	{ "#SS", RULE_ERROR, EVENT_TYPE_EXCEPTION, EXC_SS, true, 0x38 },
	{ "#GP", RULE_ERROR, EVENT_TYPE_EXCEPTION, EXC_GP, true, 0x1234 },
	{ "#PF", RULE_ERROR, EVENT_TYPE_EXCEPTION, EXC_PF, true, 7 },
	{ "#AC", RULE_ERROR, EVENT_TYPE_EXCEPTION, EXC_AC, true, 0 },
	{ "#MC", RULE_TYPE, EVENT_TYPE_EXCEPTION, EXC_MC, false, 0 },
	{ "#XM", RULE_TYPE, EVENT_TYPE_EXCEPTION, EXC_XM, false, 0 },
	{ "INT n", RULE_TYPE, EVENT_TYPE_SOFTWARE, SOME_VECTOR, false, 0 },
	{ "INT 3 of two bytes", RULE_TYPE, EVENT_TYPE_SOFTWARE, EXC_BP, false, 0 },
};

static void inject(const struct injection *in)
{
	svm_inner_vmcb.c.event_injection =
		in->with_error_code ? svm_event_with_code(in->type, in->vector, in->error_code)
				    : svm_event(in->type, in->vector);
	svm_inner_vmcb.c.next_rip = svm_inner_vmcb.s.rip;
}

/* With nested paging, the tables that the delivery needs are not in a merged table yet. */
static void run_injection(const struct injection *in, bool with_npt)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "injection of %s%s", in->name,
		 with_npt ? ", with nested paging" : "");
	test_begin(name, in->rule);
	svm_inner_reset(event_code);
	if (with_npt)
		svm_inner_use_npt();
	svm_inner_vmcb.s.rflags |= RFLAGS_IF;
	svm_inner_vmcb.c.intercept_exceptions = 0xffffffff;
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_INTN | INTERCEPT1_NMI;
	event_watch(in->vector);
	inject(in);
	event_seen_once(in->vector, in->error_code, (u64)event_code);
	test_equal("RFLAGS.IF in the frame", event_seen.frame.rflags & RFLAGS_IF, RFLAGS_IF);
	test_equal("EVENTINJ.V after the exit", svm_inner_vmcb.c.event_injection & EVENT_VALID, 0);
	test_equal("EXITINTINFO.V", svm_inner_vmcb.c.exit_int_info & EVENT_VALID, 0);
	event_unwatch_all();
	test_end();
}

static void at_cpl_3(void)
{
	const struct injection up = { .type = EVENT_TYPE_EXCEPTION, .vector = EXC_UD };

	svm_inner_reset(event_code);
	svm_inner_make_user();
	event_watch(EXC_UD);
	inject(&up);
	event_seen_once(EXC_UD, 0, (u64)event_code);
	test_equal("CS in the frame", event_seen.frame.cs, SEL_USER_CODE64);
	test_equal("SS in the frame", event_seen.frame.ss, SEL_USER_DATA);
	event_unwatch_all();
}

/* Our gates have DPL 0. */
static void software_at_cpl_3(void)
{
	const struct injection in = { .type = EVENT_TYPE_SOFTWARE, .vector = SOME_VECTOR };

	svm_inner_reset(event_code);
	svm_inner_make_user();
	event_watch(EXC_GP);
	inject(&in);
	svm_inner_run_to_end();
	event_check(EXC_GP);
	/* QUIRK(qemu-7.2): the index in the error code is that of 8-byte entries. */
	test_equal_or_quirk("error code seen", event_seen.frame.error_code,
			    SOME_VECTOR * 8 + GATE_ERROR, SOME_VECTOR * 16 + GATE_ERROR);
	event_unwatch_all();
}

static void with_if_clear(void)
{
	const struct injection in = { .type = EVENT_TYPE_INTR, .vector = SOME_VECTOR };

	svm_inner_reset(event_code);
	event_watch(SOME_VECTOR);
	inject(&in);
	event_seen_once(SOME_VECTOR, 0, (u64)event_code);
	test_equal("RFLAGS.IF in the frame", event_seen.frame.rflags & RFLAGS_IF, 0);
	event_unwatch_all();
}

static void over_a_shadow(void)
{
	const struct injection in = { .type = EVENT_TYPE_EXCEPTION, .vector = EXC_UD };

	svm_inner_reset(event_code);
	svm_inner_vmcb.c.int_state = INT_STATE_SHADOW;
	event_watch(EXC_UD);
	inject(&in);
	event_seen_once(EXC_UD, 0, (u64)event_code);
	test_equal("INTERRUPT_SHADOW", svm_inner_vmcb.c.int_state & INT_STATE_SHADOW, 0);
	event_unwatch_all();
}

static void second_entry_injects_nothing(void)
{
	const struct injection in = { .type = EVENT_TYPE_EXCEPTION, .vector = EXC_UD };

	svm_inner_reset(event_code);
	event_watch(EXC_UD);
	inject(&in);
	event_seen_once(EXC_UD, 0, (u64)event_code);
	svm_inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 1);
	event_unwatch_all();
}

/* The handler's first instruction is the first of the guest that can exit. */
static void handler_comes_first(void)
{
	const struct injection in = { .type = EVENT_TYPE_INTR, .vector = SOME_VECTOR };
	struct svm_inner_exit exit;

	svm_inner_reset(inj_hlt);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_HLT;
	event_watch_inside(SOME_VECTOR);
	inject(&in);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("number of events seen", event_seen.count, 1);
	svm_inner_skip(&exit, 3);
	event_exits_at(SVM_EXIT_HLT, inj_hlt, 0);
	event_unwatch_all();
}

static void not_valid_is_ignored(void)
{
	svm_inner_reset(event_code);
	svm_inner_vmcb.c.event_injection = EVENT_TYPE_EXCEPTION | EXC_NMI;
	svm_inner_run_to_end();
}

static const struct test tests[] = {
	{ "#UD is injected at CPL 3", "Events are taken as if they had occurred in the guest",
	  at_cpl_3 },
	{ "INT n is injected at CPL 3 through a gate of DPL 0: #GP",
	  "Software interrupts are subject to the gate's DPL", software_at_cpl_3 },
	{ "an external interrupt is injected over RFLAGS.IF = 0",
	  "Injection does not look at RFLAGS.IF", with_if_clear },
	{ "#UD is injected over an interrupt shadow", "Injection does not look at the shadow",
	  over_a_shadow },
	{ "the next entry injects nothing", "#VMEXIT clears EVENTINJ",
	  second_entry_injects_nothing },
	{ "the handler comes before an intercepted instruction",
	  "The event is taken before the guest's first instruction", handler_comes_first },
	{ "without V nothing is injected or checked", "V: the event is to be injected",
	  not_valid_is_ignored },
};

static u32 count(void)
{
	return ARRAY_SIZE(injections) * (svm_inner_with_npt() ? 2 : 1) + ARRAY_SIZE(tests);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(injections); i++)
		run_injection(&injections[i], false);
	for (size_t i = 0; svm_inner_with_npt() && i < ARRAY_SIZE(injections); i++)
		run_injection(&injections[i], true);
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite injection_suite = { count, run };
