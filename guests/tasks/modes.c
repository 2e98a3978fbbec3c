/*
 * Tasks of other kinds: 16-bit task-state segments, CPL 3, virtual-8086 mode.
 */
#include "guests/lib/exceptions.h"
#include "guests/tasks/task.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define OLD_EFLAGS 0x8d7U
#define EFLAGS_V86 0x23002U /* VM, IOPL 3 */
#define V86_CODE   0x6000U  /* low memory that nobody uses */
#define USER_STACK 0x7000U
#define FLAGS16    0x0cd7U
#define STUB16     0x5000U /* 16-bit code of the new task, likewise */
#define NEW_SP     0x7100U

CODE(m_jmp, 32, "ljmp $" SEL_NEW_TEXT ", $0\n\tud2");
CODE(m_call, 32, "lcall $" SEL_NEW_TEXT ", $0\n\tmov $0x1234, %eax" END_EXCURSION);
CODE(m_end16, 16, "int $0x81");
CODE(m_iret16, 16, "iretw");

static void put_code(u32 at, const char *code, u32 length)
{
	memcpy((void *)(u64)at, code, length);
}

static void make_new_16(void)
{
	new_task16 = (struct tss16){ .ip = STUB16,
				     .flags = FLAGS16,
				     .ax = 0xa1,
				     .bx = 0xb1,
				     .di = 0xd1,
				     .sp = NEW_SP,
				     .cs = SEL_CODE16,
				     .ss = SEL_DATA16,
				     .ds = SEL_DATA16,
				     .es = SEL_DATA16 };
	segment_set(SEL_NEW, segment_descriptor((u32)(u64)&new_task16, sizeof(new_task16) - 1,
						TSS16_AVAILABLE));
}

static void to_16_bit(void)
{
	const struct task_frame *f;

	task_reset();
	make_new_16();
	put_code(STUB16, m_end16, 2);
	f = task_run(m_jmp, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXCURSION_END);
	test_equal("EIP", f->eip, STUB16 + 2);
	test_equal("CS", f->cs, SEL_CODE16);
	test_equal("EFLAGS", f->eflags, FLAGS16);
	test_equal("AX", f->eax & 0xffff, 0xa1);
	test_equal("BX", f->ebx & 0xffff, 0xb1);
	test_equal("DI", f->edi & 0xffff, 0xd1);
	test_equal("ES", f->es, SEL_DATA16);
	test_equal("FS", f->fs, 0);
	test_equal("GS", f->gs, 0);
	test_equal("CR3", task_seen.cr3, old_task.cr3);
	test_equal("the EIP saved, from the code", old_task.eip - (u32)(u64)m_jmp, 7);
	expect_busy(false, true);
}

/* The new task saves itself on the way back. */
static void from_16_bit(void)
{
	const struct task_frame *f;

	task_reset();
	make_new_16();
	put_code(STUB16, m_iret16, 1);
	f = task_run(m_call, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXCURSION_END);
	test_equal("EAX", f->eax, 0x1234);
	test_equal("EBX", f->ebx, TASK_REGISTER(OLD_TASK, 3));
	test_equal("EFLAGS", f->eflags, OLD_EFLAGS);
	test_equal("the IP saved", new_task16.ip, STUB16 + 1);
	test_equal("the FLAGS saved", new_task16.flags, FLAGS16);
	test_equal("the link", new_task16.link, SEL_OLD);
	test_equal("the BX saved", new_task16.bx, 0xb1);
	test_equal("the DS saved", new_task16.ds, SEL_DATA16);
	test_equal("LDT, which is not saved", new_task16.ldt, 0);
	expect_busy(true, false);
}

static void to_user(void)
{
	const struct task_frame *f;

	task_reset();
	new_task.cs = SEL_USER_CODE32;
	new_task.ss = new_task.ds = new_task.es = SEL_USER_DATA;
	new_task.fs = new_task.gs = 0;
	new_task.esp = USER_STACK;
	f = task_run(m_call, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXCURSION_END);
	test_equal("CS", f->cs, SEL_USER_CODE32);
	test_equal("SS", f->ss, SEL_USER_DATA);
	test_equal("ESP", f->esp, USER_STACK);
	test_equal("DS", f->ds, SEL_USER_DATA);
	test_equal("where the frame ends", (u32)(u64)(&f->ss + 1), new_task.esp0);
}

static void to_v86(void)
{
	const struct task_frame *f;

	task_reset();
	put_code(V86_CODE, m_end16, 2);
	new_task.eflags = EFLAGS_V86;
	new_task.cs = V86_CODE >> 4;
	new_task.eip = 0;
	new_task.ss = USER_STACK >> 4;
	new_task.esp = 0x100;
	new_task.ds = 0x111;
	new_task.es = 0x222;
	new_task.fs = 0x333;
	new_task.gs = 0x444;
	f = task_run(m_jmp, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXCURSION_END);
	test_equal("EFLAGS", f->eflags, EFLAGS_V86);
	test_equal("CS", f->cs, V86_CODE >> 4);
	test_equal("EIP", f->eip, 2);
	test_equal("SS", f->ss, USER_STACK >> 4);
	test_equal("ESP", f->esp, 0x100);
	test_equal("ES", f->v86_es, 0x222);
	test_equal("DS", f->v86_ds, 0x111);
	test_equal("FS", f->v86_fs, 0x333);
	test_equal("GS", f->v86_gs, 0x444);
}

#define RULE_16 "16-Bit Task-State Segment (TSS)"

static const struct test tests[] = {
	{ "a task with a 16-bit TSS is loaded", RULE_16, to_16_bit },
	{ "a task with a 16-bit TSS is saved", RULE_16, from_16_bit },
	{ "a task of CPL 3", "CPL is the RPL of the new CS", to_user },
	{ "a task in virtual-8086 mode", "Entering Virtual-8086 Mode: by a task switch", to_v86 },
};

SUITE_OF_TESTS(mode_suite, tests);
