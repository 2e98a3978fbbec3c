/*
 * Event injection: every type reaches the inner guest's handler with the right return address and
 * error code, is not subject to the exception bitmap, and wakes the guest. SDM 3C "Event
 * Injection" (27.6).
 */
#include "guests/vmx-event/event.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE  80
#define VECTOR     0x50
#define GATE_ERROR 2 /* bit 1 of an error code: it names a gate of the IDT */

struct injection {
	const char *name, *rule;
	enum intr_type type;
	u8 vector;
	bool with_error_code;
	u16 error_code;
	u32 length; /* of the instruction that a software event stands for */
};

#define RULE_RETURN                                                                           \
	"If the interruption type is software interrupt, software exception or privileged "   \
	"software exception, the value pushed for RIP is the guest RIP plus the instruction " \
	"length"
#define RULE_ERROR    "If deliver-error-code is 1, the error code is pushed on the stack"
#define RULE_VECTORED "The event is delivered through the guest IDT, as by its vector"

static const struct injection injections[] = {
	{ "an external interrupt", RULE_VECTORED, INTR_TYPE_EXTERNAL, VECTOR, false, 0, 0 },
	{ "an NMI", RULE_VECTORED, INTR_TYPE_NMI, EXC_NMI, false, 0, 0 },
	{ "#DE", RULE_VECTORED, INTR_TYPE_HARDWARE_EXCEPTION, EXC_DE, false, 0, 0 },
	{ "#DB", RULE_VECTORED, INTR_TYPE_HARDWARE_EXCEPTION, EXC_DB, false, 0, 0 },
	{ "#UD", RULE_VECTORED, INTR_TYPE_HARDWARE_EXCEPTION, EXC_UD, false, 0, 0 },
	{ "#NM", RULE_VECTORED, INTR_TYPE_HARDWARE_EXCEPTION, EXC_NM, false, 0, 0 },
	{ "#DF", RULE_ERROR, INTR_TYPE_HARDWARE_EXCEPTION, EXC_DF, true, 0, 0 },
	{ "#TS", RULE_ERROR, INTR_TYPE_HARDWARE_EXCEPTION, EXC_TS, true, 0x28, 0 },
	{ "#NP", RULE_ERROR, INTR_TYPE_HARDWARE_EXCEPTION, EXC_NP, true, 0x30, 0 },
	{ "#SS", RULE_ERROR, INTR_TYPE_HARDWARE_EXCEPTION, EXC_SS, true, 0x38, 0 },
	{ "#GP", RULE_ERROR, INTR_TYPE_HARDWARE_EXCEPTION, EXC_GP, true, 0x1234, 0 },
	{ "#PF", RULE_ERROR, INTR_TYPE_HARDWARE_EXCEPTION, EXC_PF, true, 7, 0 },
	{ "#AC", RULE_ERROR, INTR_TYPE_HARDWARE_EXCEPTION, EXC_AC, true, 0, 0 },
	{ "#MC", RULE_VECTORED, INTR_TYPE_HARDWARE_EXCEPTION, EXC_MC, false, 0, 0 },
	{ "#XM", RULE_VECTORED, INTR_TYPE_HARDWARE_EXCEPTION, EXC_XM, false, 0, 0 },
	{ "INT n", RULE_RETURN, INTR_TYPE_SOFTWARE_INTERRUPT, VECTOR, false, 0, 2 },
	{ "INT n of 15 bytes", RULE_RETURN, INTR_TYPE_SOFTWARE_INTERRUPT, VECTOR, false, 0, 15 },
	{ "INT 3 of two bytes", RULE_RETURN, INTR_TYPE_SOFTWARE_INTERRUPT, EXC_BP, false, 0, 2 },
	{ "INT3", RULE_RETURN, INTR_TYPE_SOFTWARE_EXCEPTION, EXC_BP, false, 0, 1 },
	{ "INTO", RULE_RETURN, INTR_TYPE_SOFTWARE_EXCEPTION, EXC_OF, false, 0, 1 },
	{ "INT1", RULE_RETURN, INTR_TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, EXC_DB, false, 0, 1 },
};

static void inject(const struct injection *in)
{
	vmx_set(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | (u32)in->type | in->vector |
					      (in->with_error_code ? INTR_INFO_ERROR_CODE : 0));
	vmx_set(VMCS_ENTRY_ERROR_CODE, in->error_code);
	vmx_set(VMCS_ENTRY_INSN_LENGTH, in->length);
}

/* With an EPT, the tables that the delivery needs are not in a merged table yet. */
static void run_injection(const struct injection *in, bool with_ept)
{
	const struct vmx_controls more = { .proc2 = with_ept ? PROC2_EPT : 0 };
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "injection of %s%s", in->name, with_ept ? ", with EPT" : "");
	test_begin(name, in->rule);
	inner_reset(event_code, &more);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmx_set(VMCS_EXCEPTION_BITMAP, 0xffffffff);
	/* With mask and match 0, a 1 in the bitmap's bit 14 means that every #PF exits. */
	event_watch(in->vector);
	inject(in);
	event_seen_once(in->vector, in->error_code, (u64)event_code + in->length);
	test_equal("RFLAGS.IF in the frame", event_seen.frame.rflags & RFLAGS_IF, RFLAGS_IF);
	test_equal("valid bit of the VM-entry interruption information",
		   vmx_get(VMCS_ENTRY_INTR_INFO) & INTR_INFO_VALID, 0);
	event_unwatch_all();
	test_end();
}

static void at_cpl_3(void)
{
	const struct injection up = { .type = INTR_TYPE_HARDWARE_EXCEPTION, .vector = EXC_UD };

	inner_reset(event_code, NULL);
	inner_make_user();
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
	const struct injection in = { .type = INTR_TYPE_SOFTWARE_INTERRUPT,
				      .vector = VECTOR,
				      .length = 2 };

	inner_reset(event_code, NULL);
	inner_make_user();
	event_watch(EXC_GP);
	inject(&in);
	event_seen_once(EXC_GP, VECTOR * 8 + GATE_ERROR, (u64)event_code);
	event_unwatch_all();
}

static void into_hlt(void)
{
	const struct injection in = { .type = INTR_TYPE_EXTERNAL, .vector = VECTOR };

	inner_reset(event_code, NULL);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmx_set(VMCS_GUEST_ACTIVITY, VMX_HALTED);
	event_watch(VECTOR);
	inject(&in);
	event_seen_once(VECTOR, 0, (u64)event_code);
	test_equal("activity state", vmx_get(VMCS_GUEST_ACTIVITY), VMX_ACTIVE);
	event_unwatch_all();
}

static void exception_over_sti_blocking(void)
{
	const struct injection in = { .type = INTR_TYPE_HARDWARE_EXCEPTION, .vector = EXC_UD };

	inner_reset(event_code, NULL);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	event_watch_inside(EXC_UD);
	inject(&in);
	inner_run_to_end();
	test_equal("interruptibility in the handler", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	test_equal("number of events seen", event_seen.count, 1);
	event_unwatch_all();
}

static void nmi_blocks_nmis(void)
{
	const struct injection in = { .type = INTR_TYPE_NMI, .vector = EXC_NMI };
	struct inner_exit exit;

	inner_reset(event_code, NULL);
	event_watch_inside(EXC_NMI);
	inject(&in);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
	test_equal("interruptibility in the handler", vmx_get(VMCS_GUEST_INTERRUPTIBILITY),
		   INTERRUPTIBILITY_NMI);
	inner_skip(&exit);
	inner_run_to_end();
	test_equal("interruptibility after the handler", vmx_get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	event_unwatch_all();
}

static void second_entry_injects_nothing(void)
{
	const struct injection in = { .type = INTR_TYPE_HARDWARE_EXCEPTION, .vector = EXC_UD };

	inner_reset(event_code, NULL);
	event_watch(EXC_UD);
	inject(&in);
	event_seen_once(EXC_UD, 0, (u64)event_code);
	inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 1);
	event_unwatch_all();
}

static const struct test tests[] = {
	{ "#UD is injected at CPL 3", "a stack of CPL 0 is taken from the TSS", at_cpl_3 },
	{ "INT n is injected at CPL 3 through a gate of DPL 0: #GP",
	  "If the interruption type is software interrupt, the gate's DPL is checked against the "
	  "CPL",
	  software_at_cpl_3 },
	{ "an external interrupt is injected into HLT",
	  "Event injection makes the logical processor active", into_hlt },
	{ "#UD injected over blocking by STI ends it",
	  "An injected event is followed by no blocking by STI or MOV SS",
	  exception_over_sti_blocking },
	{ "an injected NMI blocks NMIs until IRET",
	  "If the interruption type is NMI, NMIs are blocked after VM entry", nmi_blocks_nmis },
	{ "the next entry injects nothing",
	  "VM exits clear the valid bit of the VM-entry interruption-information field",
	  second_entry_injects_nothing },
};

static u32 count(void)
{
	return ARRAY_SIZE(injections) * (inner_with_ept() ? 2 : 1) + ARRAY_SIZE(tests);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(injections); i++)
		run_injection(&injections[i], false);
	for (size_t i = 0; inner_with_ept() && i < ARRAY_SIZE(injections); i++)
		run_injection(&injections[i], true);
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite injection_suite = { count, run };
