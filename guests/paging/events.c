/*
 * Events that are delivered through memory nobody has touched: a hypervisor that fills such memory
 * on demand has to deliver the event again. And page faults while another one is delivered.
 */
#include "guests/paging/paging.h"

#include "guests/lib/segments.h"
#include "guests/lib/timer.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

#define TIMER_COUNT    50
#define BAD_SELECTOR   0x3f8
#define MOV_EAX_LENGTH 5

/* Memory outside the image, whose bss has been zeroed and so touched. Each test takes pages of its
 * own for the stack of its event. */
static u64 fresh;

void events_init(u64 untouched)
{
	fresh = untouched;
}

CODE(code_int, 64, "int $0x81");
CODE(code_undefined, 64, "ud2");
CODE(code_selector, 64, "mov $0x3fb, %eax\n\tmov %eax, %ds"); /* beyond the GDT's limit */
CODE(code_wait, 64, "1: pause\n\tjmp 1b");

/* A user's excursion whose event goes to a new stack. */
static void run_on_fresh_stack(const char *code, u64 rflags, struct exception_frame *end)
{
	u64 before = guest_tss.rsp[0];
	struct excursion start = {
		.rip = (u64)code,
		.rflags = rflags,
		.cs = SEL_USER_CODE64,
		.ss = SEL_USER_DATA,
	};

	fresh += 2 * PAGE_SIZE;
	guest_tss.rsp[0] = fresh;
	excursion_run(&start, end);
	guest_tss.rsp[0] = before;
}

static void test_software_interrupt(void)
{
	struct exception_frame end;

	run_on_fresh_stack(code_int, 0, &end);
	test_equal("the vector", end.vector, EXCURSION_END);
	test_equal("the address after INT", end.rip, (u64)code_int + 2);
}

static void test_exception(void)
{
	struct exception_frame end;

	run_on_fresh_stack(code_undefined, 0, &end);
	test_equal("the vector", end.vector, EXC_UD);
	test_equal("the address of UD2", end.rip, (u64)code_undefined);
}

static void test_error_code(void)
{
	struct exception_frame end;

	run_on_fresh_stack(code_selector, 0, &end);
	test_equal("the vector", end.vector, EXC_GP);
	test_equal("the error code", end.error_code, BAD_SELECTOR);
	test_equal("the address of MOV to DS", end.rip, (u64)code_selector + MOV_EAX_LENGTH);
}

static void test_interrupt(void)
{
	interrupt_handler before;
	struct exception_frame end;

	timer_init();
	before = interrupt_handle(TIMER_VECTOR, NULL);
	timer_arm(TIMER_COUNT);
	run_on_fresh_stack(code_wait, RFLAGS_IF, &end);
	test_equal("the vector", end.vector, TIMER_VECTOR);
	interrupt_handle(TIMER_VECTOR, before);
	timer_init();
}

/* #UD's stack cannot be written: a page fault, whose stack is the same: a double fault. */
static void test_double_fault(void)
{
	struct exception_frame end;
	u64 before = guest_tss.rsp[0];
	struct excursion start = {
		.rip = (u64)code_undefined,
		.cs = SEL_USER_CODE64,
		.ss = SEL_USER_DATA,
	};

	window_show(page_one, 0);
	guest_tss.rsp[0] = (u64)window + PAGE_SIZE;
	excursion_run(&start, &end);
	guest_tss.rsp[0] = before;
	test_equal("the vector", end.vector, EXC_DF);
	test_equal("CR2", read_cr2(), (u64)window + PAGE_SIZE - 8);
}

static const struct test tests[] = {
	{ "INT to a new stack", "an interrupted delivery is repeated: software interrupt",
	  test_software_interrupt },
	{ "exception to a new stack", "an interrupted delivery is repeated: exception",
	  test_exception },
	{ "error code to a new stack", "an interrupted delivery is repeated with its error code",
	  test_error_code },
	{ "interrupt to a new stack", "an interrupted delivery is repeated: external interrupt",
	  test_interrupt },
	{ "double fault", "a page fault during the delivery of a page fault is a double fault",
	  test_double_fault },
};

SUITE_OF_TESTS(events_suite, tests);
