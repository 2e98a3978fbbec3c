/*
 * Exits while an event is being delivered: the IDT-vectoring information names the event, and
 * injecting it again completes it. SDM 3C "Information for VM Exits That Occur During Event
 * Delivery" (28.2.4).
 */
#include "guests/vmx-event/event.h"
#include "guests/lib/pages.h"
#include "l1-hypervisor/leaf/string.h"

#define VECTOR     0x50
#define NAME_SIZE  80
#define GATE_ERROR 2 /* bit 1 of an error code: it names a gate of the IDT */
#define EXT        1 /* bit 0: an event external to the program was being delivered */

CODE(vec_int_n, 64, "int $0x50\n\tvmcall");
CODE(vec_int3, 64, "int3\n\tvmcall");
CODE(vec_int1, 64, ".byte 0xf1\n\tvmcall");
CODE(vec_ud, 64, "ud2\n\tvmcall");
CODE(vec_gp, 64, "mov (%rax), %eax\n\tvmcall");

/* An event, made by the code or injected. */
struct event {
	const char *name, *code;
	u32 injected;  /* interruption information; 0: the code makes the event */
	u32 vectoring; /* IDT-vectoring information expected, less the valid bit */
	u32 length;    /* of the instruction, for software events */
	u8 vector;
};

static const struct event events[] = {
	{ "INT n", vec_int_n, 0, INTR_TYPE_SOFTWARE_INTERRUPT | VECTOR, 2, VECTOR },
	{ "INT3", vec_int3, 0, INTR_TYPE_SOFTWARE_EXCEPTION | EXC_BP, 1, EXC_BP },
	{ "INT1", vec_int1, 0, INTR_TYPE_PRIVILEGED_SOFTWARE_EXCEPTION | EXC_DB, 1, EXC_DB },
	{ "#UD", vec_ud, 0, INTR_TYPE_HARDWARE_EXCEPTION | EXC_UD, 0, EXC_UD },
	{ "#GP", vec_gp, 0, INTR_TYPE_HARDWARE_EXCEPTION | INTR_INFO_ERROR_CODE | EXC_GP, 0,
	  EXC_GP },
	{ "an injected external interrupt", event_code, INTR_TYPE_EXTERNAL | VECTOR,
	  INTR_TYPE_EXTERNAL | VECTOR, 0, VECTOR },
	{ "an injected NMI", event_code, INTR_TYPE_NMI | EXC_NMI, INTR_TYPE_NMI | EXC_NMI, 0,
	  EXC_NMI },
	{ "an injected #UD", event_code, INTR_TYPE_HARDWARE_EXCEPTION | EXC_UD,
	  INTR_TYPE_HARDWARE_EXCEPTION | EXC_UD, 0, EXC_UD },
	{ "an injected INT n", event_code, INTR_TYPE_SOFTWARE_INTERRUPT | VECTOR,
	  INTR_TYPE_SOFTWARE_INTERRUPT | VECTOR, 2, VECTOR },
};

static void start(const struct event *e, const struct vmx_controls *more)
{
	inner_reset(e->code, more);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	inner_regs.rax = BIT(47); /* not canonical */
	if (e->injected)
		vmx_set(VMCS_ENTRY_INTR_INFO, e->injected | INTR_INFO_VALID);
	vmx_set(VMCS_ENTRY_INSN_LENGTH, e->length);
	event_own_idt();
}

static void check_vectoring(const struct event *e, const struct inner_exit *exit)
{
	test_equal("IDT-vectoring information", exit->vectoring_info & ~INTR_INFO_NMI_UNBLOCK,
		   e->vectoring | INTR_INFO_VALID);
	if (e->vectoring & INTR_INFO_ERROR_CODE)
		test_equal("IDT-vectoring error code", exit->vectoring_error, 0);
	if (e->length && !e->injected)
		test_equal("instruction length", exit->insn_length, e->length);
	test_equal("guest RIP, from the start of the code", vmx_get(VMCS_GUEST_RIP) - (u64)e->code,
		   0);
}

/* What a hypervisor does after it has made the cause go away. */
static void inject_again(const struct event *e, const struct inner_exit *exit)
{
	event_watch(e->vector);
	vmx_set(VMCS_ENTRY_INTR_INFO, exit->vectoring_info & ~INTR_INFO_NMI_UNBLOCK);
	vmx_set(VMCS_ENTRY_ERROR_CODE, exit->vectoring_error);
	vmx_set(VMCS_ENTRY_INSN_LENGTH, e->length);
	if (e->vector == EXC_NMI)
		inner_clear_bits(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	inner_run_to_end();
	if (event_check(e->vector))
		test_equal("return address, from the start of the code",
			   event_seen.frame.rip - (u64)e->code, e->length);
	event_unwatch_all();
}

/* The IDT is absent, so that the delivery itself faults. */
static void run_page_fault(const struct event *e)
{
	const void *idt = event_idt;
	char name[NAME_SIZE];
	struct inner_exit exit;
	u64 entry;

	snprintf(name, sizeof(name), "#PF exit while %s is delivered, injected again", e->name);
	test_begin(name, "If the exit occurs during delivery of an event, the IDT-vectoring "
			 "information field receives information about that event");
	start(e, NULL);
	vmx_set(VMCS_EXCEPTION_BITMAP, BIT32(EXC_PF));
	entry = page_change(idt, 0, PTE_P);
	inner_run(&exit);
	page_restore(idt, entry);
	event_exited(&exit, INTR_TYPE_HARDWARE_EXCEPTION | INTR_INFO_ERROR_CODE | EXC_PF, 0);
	test_equal("page of the exit qualification", exit.qualification & ~PAGE_MASK, (u64)idt);
	check_vectoring(e, &exit);
	inject_again(e, &exit);
	test_end();
}

static void run_ept_violation(const struct event *e)
{
	const struct vmx_controls more = { .proc2 = PROC2_EPT };
	u64 idt = (u64)event_idt;
	char name[NAME_SIZE];
	struct inner_exit exit;
	u64 *entry;

	snprintf(name, sizeof(name), "EPT violation while %s is delivered, injected again",
		 e->name);
	test_begin(name, "The IDT-vectoring information is saved for EPT violations as well");
	start(e, &more);
	inner_split_ept(idt);
	entry = stage2_entry(&inner_ept, idt, PAGE_SHIFT);
	*entry &= ~EPT_RAM;
	vmx_invept(INVEPT_GLOBAL, 0, 0);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_EPT_VIOLATION);
	test_equal("page of the guest-physical address",
		   vmx_get(VMCS_GUEST_PHYSICAL_ADDRESS) & ~PAGE_MASK, idt);
	check_vectoring(e, &exit);
	*entry |= EPT_RAM;
	inject_again(e, &exit);
	test_end();
}

/* The gate is not present: #NP, whose error code names it. */
static void not_present(const struct event *e, u32 error_code)
{
	struct inner_exit exit;

	start(e, NULL);
	event_spoil_gate(e->vector);
	vmx_set(VMCS_EXCEPTION_BITMAP, BIT32(EXC_NP));
	inner_run(&exit);
	event_exited(&exit, INTR_TYPE_HARDWARE_EXCEPTION | INTR_INFO_ERROR_CODE | EXC_NP,
		     error_code);
	check_vectoring(e, &exit);
}

static void np_of_int_n(void)
{
	not_present(&events[0], VECTOR * 8 + GATE_ERROR);
}

static void np_of_exception(void)
{
	not_present(&events[3], EXC_UD * 8 + GATE_ERROR + EXT);
}

static void np_of_interrupt(void)
{
	not_present(&events[5], VECTOR * 8 + GATE_ERROR + EXT);
}

/* #GP and then #NP: both contributory. */
static void start_double_fault(u32 bitmap)
{
	start(&events[4], NULL);
	event_spoil_gate(EXC_GP);
	vmx_set(VMCS_EXCEPTION_BITMAP, bitmap);
}

static void double_fault_exits(void)
{
	struct inner_exit exit;

	start_double_fault(BIT32(EXC_DF));
	inner_run(&exit);
	event_exited(&exit, INTR_TYPE_HARDWARE_EXCEPTION | INTR_INFO_ERROR_CODE | EXC_DF, 0);
	test_equal("IDT-vectoring information", exit.vectoring_info & INTR_INFO_VALID, 0);
}

static void double_fault_is_delivered(void)
{
	start_double_fault(0);
	event_watch(EXC_DF);
	inner_run_to_end();
	event_check(EXC_DF);
	event_unwatch_all();
}

static void triple_fault(void)
{
	struct inner_exit exit;

	start_double_fault(0);
	event_spoil_gate(EXC_DF);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_TRIPLE_FAULT);
	test_equal("exit qualification", exit.qualification, 0);
	test_equal("IDT-vectoring information", exit.vectoring_info & INTR_INFO_VALID, 0);
}

static void triple_fault_of_empty_idt(void)
{
	struct inner_exit exit;

	inner_reset(vec_ud, NULL);
	vmx_set(VMCS_GUEST_IDTR_LIMIT, 0);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_TRIPLE_FAULT);
}

#define RULE_NP "#NP names the gate; bit 0 (EXT) is 0 for software events and 1 for others"
#define RULE_DF                                                                             \
	"A VM exit is not considered to occur during event delivery if the original event " \
	"results in a double fault that causes the VM exit directly"

static const struct test tests[] = {
	{ "#NP exit while INT n is delivered", RULE_NP, np_of_int_n },
	{ "#NP exit while #UD is delivered", RULE_NP, np_of_exception },
	{ "#NP exit while an injected external interrupt is delivered", RULE_NP, np_of_interrupt },
	{ "#DF exits", RULE_DF, double_fault_exits },
	{ "#DF is delivered with its bit clear", "The double fault is delivered through the IDT",
	  double_fault_is_delivered },
	{ "a triple fault exits", "Triple fault: the exit has no IDT-vectoring information",
	  triple_fault },
	{ "a triple fault of an empty IDT exits", "Triple fault exits unconditionally",
	  triple_fault_of_empty_idt },
};

static u32 count(void)
{
	return ARRAY_SIZE(events) * (inner_with_ept() ? 2 : 1) + ARRAY_SIZE(tests);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		run_page_fault(&events[i]);
	tests_run(tests, ARRAY_SIZE(tests));
	for (size_t i = 0; inner_with_ept() && i < ARRAY_SIZE(events); i++)
		run_ept_violation(&events[i]);
}

const struct suite vectoring_suite = { count, run };
