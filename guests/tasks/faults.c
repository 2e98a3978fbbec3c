/*
 * Faults of task switches: of the old task before it is left, and of the new one, SDM 3A table
 * "Exception Conditions Checked During a Task Switch".
 */
#include "guests/lib/exceptions.h"
#include "guests/tasks/task.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define OLD_EFLAGS    0x8d7U
#define EXT           1U
#define LARGE_PAGE    0x200000ULL
#define UNMAPPED      0xc0000000ULL /* its page is taken out of the tables for a while */
#define BEYOND_GDT    (SEL_SPARE + SEL_SPARES * 8)
#define NOT_PRESENT   0x80ULL
#define ACCESS_DATA   0xc093
#define ACCESS_RDONLY 0xc091
#define ACCESS_CODE   0xc09b
#define ACCESS_XONLY  0xc099
#define ACCESS_LDT    0x82

CODE(f_jmp, 32, "ljmp $" SEL_NEW_TEXT ", $0\n\tud2");
CODE(f_call, 32, "lcall $" SEL_NEW_TEXT ", $0\n\tud2");
CODE(f_int, 32, "int $" TASK_VECTOR_TEXT "\n\tud2");
CODE(f_ud, 32, "ud2");
CODE(f_gp, 32, "mov $0x7b, %edx\n\tmov %edx, %ds");

extern u64 guest_pds[];

/* A word of the new TSS is made bad, and SEL_ODD has this access (0: nothing is there). */
struct fault_case {
	const char *name;
	size_t field;
	u32 value;
	u16 odd_access;
	u8 vector;
	u32 error_code;
};

#define FIELD(name) offsetof(struct tss32, name)

static const struct fault_case cases[] = {
	{ "LDT in an LDT", FIELD(ldt), SEL_LDT | 4, 0, EXC_TS, SEL_LDT | 4 },
	{ "LDT beyond the GDT", FIELD(ldt), BEYOND_GDT, 0, EXC_TS, BEYOND_GDT },
	{ "LDT that is data", FIELD(ldt), SEL_ODD, ACCESS_DATA, EXC_TS, SEL_ODD },
	{ "LDT that is not present", FIELD(ldt), SEL_ODD, ACCESS_LDT & ~0x80, EXC_TS, SEL_ODD },
	{ "null SS", FIELD(ss), 0, 0, EXC_TS, 0 },
	{ "SS beyond the GDT", FIELD(ss), BEYOND_GDT, 0, EXC_TS, BEYOND_GDT },
	{ "SS that is read-only", FIELD(ss), SEL_ODD, ACCESS_RDONLY, EXC_TS, SEL_ODD },
	{ "SS that is code", FIELD(ss), SEL_ODD, ACCESS_CODE, EXC_TS, SEL_ODD },
	{ "SS of another privilege", FIELD(ss), SEL_USER_DATA, 0, EXC_TS, SEL_USER_DATA & ~3U },
	{ "SS that is not present", FIELD(ss), SEL_ODD, ACCESS_DATA & ~0x80, EXC_SS, SEL_ODD },
	{ "DS beyond the GDT", FIELD(ds), BEYOND_GDT, 0, EXC_TS, BEYOND_GDT },
	{ "DS in an LDT where there is none", FIELD(ds), 12, 0, EXC_TS, 12 },
	{ "DS that cannot be read", FIELD(ds), SEL_ODD, ACCESS_XONLY, EXC_TS, SEL_ODD },
	{ "DS with an RPL above its DPL", FIELD(ds), SEL_DATA | 3, 0, EXC_TS, SEL_DATA },
	{ "ES that is not present", FIELD(es), SEL_ODD, ACCESS_DATA & ~0x80, EXC_NP, SEL_ODD },
	{ "FS that is a TSS", FIELD(fs), SEL_OLD, 0, EXC_TS, SEL_OLD },
	{ "GS that is not present", FIELD(gs), SEL_ODD, ACCESS_DATA & ~0x80, EXC_NP, SEL_ODD },
	{ "CS that is data", FIELD(cs), SEL_ODD, ACCESS_DATA, EXC_TS, SEL_ODD },
	{ "CS that is not present", FIELD(cs), SEL_ODD, ACCESS_CODE & ~0x80, EXC_NP, SEL_ODD },
	{ "null CS", FIELD(cs), 0, 0, EXC_TS, 0 },
};

#define RULE "errors in these steps occur in the context of the new task"

static void make_bad(const struct fault_case *c)
{
	task_reset();
	memcpy((u8 *)&new_task + c->field, &c->value, sizeof(c->value));
	if (c->odd_access)
		segment_set(SEL_ODD, segment_descriptor(0, 0xfffff, c->odd_access));
}

static void run_case(const struct fault_case *c)
{
	const struct task_frame *f;

	make_bad(c);
	f = task_run(f_jmp, OLD_EFLAGS);
	test_equal("the vector", f->vector, c->vector);
	test_equal("the error code", f->error_code, c->error_code);
	test_equal("EIP, from the new task's code", f->eip - new_task.eip, 0);
	test_equal("TR", task_seen.tr, SEL_NEW);
	test_equal("EAX", f->eax, new_task.eax);
	expect_busy(false, true);
}

static void expect_fault(const char *code, u8 vector, u32 error_code)
{
	const struct task_frame *f = task_run(code, OLD_EFLAGS);

	test_equal("the vector", f->vector, vector);
	test_equal("the error code", f->error_code, error_code);
}

/* The switch has not begun. */
static void expect_old_task(void)
{
	test_equal("TR", task_seen.tr, SEL_OLD);
	test_equal("CR0.TS", task_seen.cr0 & CR0_TS, 0);
	expect_busy(true, false);
}

static void short_new_tss(void)
{
	task_reset();
	segment_set(SEL_NEW,
		    segment_descriptor((u32)(u64)&new_task, sizeof(new_task) - 2, TSS_AVAILABLE));
	expect_fault(f_jmp, EXC_TS, SEL_NEW);
	expect_old_task();
}

static void absent_new_tss(void)
{
	task_reset();
	segment_set(SEL_NEW, segment_descriptor((u32)(u64)&new_task, sizeof(new_task) - 1,
						TSS_AVAILABLE & ~(u32)NOT_PRESENT));
	expect_fault(f_jmp, EXC_NP, SEL_NEW);
	expect_old_task();
}

static void short_old_tss(void)
{
	task_reset();
	segment_set(SEL_OLD, segment_descriptor((u32)(u64)&old_task, 0x5e, TSS_AVAILABLE));
	expect_fault(f_jmp, EXC_TS, SEL_OLD);
	expect_old_task();
}

/* Runs code while the page of UNMAPPED is not there. */
static const struct task_frame *run_unmapped(const char *code)
{
	u64 *entry = &guest_pds[UNMAPPED / LARGE_PAGE];
	const struct task_frame *f;

	*entry &= ~PTE_P;
	f = task_run(code, OLD_EFLAGS);
	*entry |= PTE_P;
	return f;
}

static void unmapped_new_tss(void)
{
	const struct task_frame *f;

	task_reset();
	segment_set(SEL_NEW,
		    segment_descriptor((u32)UNMAPPED, sizeof(new_task) - 1, TSS_AVAILABLE));
	f = run_unmapped(f_jmp);
	test_equal("the vector", f->vector, EXC_PF);
	test_equal("the error code", f->error_code, 0);
	test_equal("EIP, from the code", f->eip - (u32)(u64)f_jmp, 0);
	expect_old_task();
}

static void unmapped_error_code(void)
{
	const struct task_frame *f;

	task_reset();
	task_gate(EXC_GP);
	new_task.cs = SEL_USER_CODE32;
	new_task.ss = new_task.ds = new_task.es = SEL_USER_DATA;
	new_task.fs = new_task.gs = 0;
	new_task.esp = (u32)UNMAPPED + 0x100;
	f = run_unmapped(f_gp);
	test_equal("the vector", f->vector, EXC_PF);
	test_equal("the error code", f->error_code, PF_W | PF_U);
	test_equal("TR", task_seen.tr, SEL_NEW);
}

static void beyond_cs(void)
{
	task_reset();
	segment_set(SEL_ODD, segment_descriptor(0, 0xff, ACCESS_CODE));
	new_task.cs = SEL_ODD;
	new_task.eip = 0x100000;
	expect_fault(f_jmp, EXC_GP, 0);
	test_equal("TR", task_seen.tr, SEL_NEW);
}

static void external(void)
{
	task_reset();
	new_task.ds = BEYOND_GDT;
	expect_fault(f_int, EXC_TS, BEYOND_GDT);
	task_reset();
	task_gate(EXC_UD);
	new_task.ds = BEYOND_GDT;
	expect_fault(f_ud, EXC_TS, BEYOND_GDT | EXT);
}

static void double_fault(void)
{
	task_reset();
	task_gate(EXC_GP);
	new_task.ds = BEYOND_GDT;
	expect_fault(f_gp, EXC_DF, 0);
	test_equal("TR", task_seen.tr, SEL_NEW);
}

static void after_call(void)
{
	const struct task_frame *f;

	task_reset();
	new_task.ss = 0;
	f = task_run(f_call, OLD_EFLAGS);
	test_equal("the vector", f->vector, EXC_TS);
	test_equal("the link of the new task", new_task.link, SEL_OLD);
	test_equal("the EIP saved, from the code", old_task.eip - (u32)(u64)f_call, 7);
	expect_busy(true, true);
}

static const struct test tests[] = {
	{ "a new TSS that is too short: #TS", "TSS segment limit", short_new_tss },
	{ "a new TSS that is not present: #NP", "TSS present", absent_new_tss },
	{ "an old TSS that is too short: #TS", "TSS segment limit", short_old_tss },
	{ "a new TSS that is not mapped: #PF of the old task", "paged into memory",
	  unmapped_new_tss },
	{ "an error code that cannot be pushed: #PF of the new task", RULE, unmapped_error_code },
	{ "EIP beyond the new CS: #GP of the new task", RULE, beyond_cs },
	{ "EXT tells an exception from INT n", "EXT: delivery of an event external to the program",
	  external },
	{ "a fault of the switch to a #GP handler: #DF", "contributory exceptions", double_fault },
	{ "a fault of a task that was called", RULE, after_call },
};

static u32 count(void)
{
	return ARRAY_SIZE(tests) + ARRAY_SIZE(cases);
}

static void run(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		test_begin(cases[i].name, RULE);
		run_case(&cases[i]);
		test_end();
	}
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite fault_suite = { count, run };
