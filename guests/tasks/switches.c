/*
 * Switches between 32-bit tasks of CPL 0: by every way, and what they save, load and mark.
 */
#include "guests/lib/exceptions.h"
#include "guests/tasks/task.h"
#include "l1-hypervisor/leaf/x86.h"

#define OLD_EFLAGS 0x8d7U /* OF, SF, ZF, AF, PF, CF */
#define EFLAGS_NT  0x4000U
#define DR7_LOCAL  0x155U
#define DR7_GLOBAL 0x2aaU
#define DR6_BT     0x8000U

CODE(t_jmp, 32, "ljmp $" SEL_NEW_TEXT ", $0\n\tud2");
CODE(t_jmp_gate, 32, "ljmp $" SEL_GATE_TEXT ", $0\n\tud2");
CODE(t_call, 32, "lcall $" SEL_NEW_TEXT ", $0\n\tmov $0x1234, %eax" END_EXCURSION);
CODE(t_int, 32, "int $" TASK_VECTOR_TEXT "\n\tmov $0x1234, %eax" END_EXCURSION);
CODE(t_iret, 32, "iretl\n\tud2");
CODE(t_ud, 32, "ud2");
CODE(t_gp, 32, "mov $0x7b, %edx\n\tmov %edx, %ds");
CODE(t_dr7, 32, "mov %eax, %dr7\n\tljmp $" SEL_NEW_TEXT ", $0");
CODE(t_back_by_iret, 32, "iretl\n\tud2");
CODE(t_back_by_jmp, 32, "ljmp $0x58, $0\n\tud2");
CODE(t_twice, 32, "lcall $" SEL_NEW_TEXT ", $0\n\tlcall $" SEL_NEW_TEXT ", $0" END_EXCURSION);
CODE(t_counts, 32, "1: inc %ebx\n\tiretl\n\tjmp 1b");

static void expect_new_registers(const struct task_frame *f)
{
	test_equal("EAX", f->eax, TASK_REGISTER(NEW_TASK, 0));
	test_equal("ECX", f->ecx, TASK_REGISTER(NEW_TASK, 1));
	test_equal("EDX", f->edx, TASK_REGISTER(NEW_TASK, 2));
	test_equal("EBX", f->ebx, TASK_REGISTER(NEW_TASK, 3));
	test_equal("EBP", f->ebp, TASK_REGISTER(NEW_TASK, 5));
	test_equal("ESI", f->esi, TASK_REGISTER(NEW_TASK, 6));
	test_equal("EDI", f->edi, TASK_REGISTER(NEW_TASK, 7));
}

/* The new task ended as it begins, with these flags. */
static void expect_new_task(const struct task_frame *f, u32 eflags)
{
	test_equal("the vector of the end", f->vector, EXCURSION_END);
	test_equal("EIP, from the new task's code", f->eip - (u32)(u64)task_begins, 3);
	test_equal("CS", f->cs, SEL_CODE32);
	test_equal("EFLAGS", f->eflags, eflags);
	test_equal("TR", task_seen.tr, SEL_NEW);
	test_equal("CR0.TS", task_seen.cr0 & CR0_TS, CR0_TS);
	expect_new_registers(f);
}

static void expect_saved(const char *code, u32 length, u32 eflags)
{
	test_equal("the EIP saved, from the code", old_task.eip - (u32)(u64)code, length);
	test_equal("the EFLAGS saved", old_task.eflags, eflags);
	test_equal("the EAX saved", old_task.eax, TASK_REGISTER(OLD_TASK, 0));
	test_equal("the EBX saved", old_task.ebx, TASK_REGISTER(OLD_TASK, 3));
	test_equal("the EDI saved", old_task.edi, TASK_REGISTER(OLD_TASK, 7));
	test_equal("the CS saved", old_task.cs, SEL_CODE32);
	test_equal("the SS saved", old_task.ss, SEL_DATA);
	test_equal("the GS saved", old_task.gs, SEL_DATA);
	test_equal("CR3 in the old TSS, which is not saved", old_task.cr3, new_task.cr3);
}

static void clear_saved(void)
{
	u32 cr3 = old_task.cr3;

	old_task = (struct tss32){ .cr3 = cr3, .gs = 0xffff0000, .cs = 0xabcd0000 };
}

static void expect_jump(const char *code)
{
	const struct task_frame *f;

	task_reset();
	clear_saved();
	old_task.gs = old_task.cs = 0;
	f = task_run(code, OLD_EFLAGS);
	expect_new_task(f, NEW_EFLAGS);
	expect_saved(code, 7, OLD_EFLAGS);
	expect_busy(false, true);
	test_equal("the link of the new task", new_task.link, 0);
}

static void by_jmp(void)
{
	expect_jump(t_jmp);
}

static void by_task_gate(void)
{
	expect_jump(t_jmp_gate);
}

static void expect_nested(const char *code, u32 saved_at, u32 saved_eflags)
{
	const struct task_frame *f;

	task_reset();
	f = task_run(code, OLD_EFLAGS);
	expect_new_task(f, NEW_EFLAGS | EFLAGS_NT);
	expect_saved(code, saved_at, saved_eflags);
	expect_busy(true, true);
	test_equal("the link of the new task", new_task.link, SEL_OLD);
}

static void by_call(void)
{
	expect_nested(t_call, 7, OLD_EFLAGS);
}

static void by_interrupt(void)
{
	expect_nested(t_int, 2, OLD_EFLAGS);
}

static void upper_words(void)
{
	task_reset();
	clear_saved();
	(void)task_run(t_jmp, OLD_EFLAGS);
	test_equal("the CS saved, with what stood above it", old_task.cs, 0xabcd0000 | SEL_CODE32);
}

static void by_iret(void)
{
	const struct task_frame *f;

	task_reset();
	old_task.link = SEL_NEW;
	segment_set(SEL_NEW,
		    segment_descriptor((u32)(u64)&new_task, sizeof(new_task) - 1, TSS_BUSY));
	f = task_run(t_iret, OLD_EFLAGS | EFLAGS_NT);
	expect_new_task(f, NEW_EFLAGS);
	expect_saved(t_iret, 1, OLD_EFLAGS);
	expect_busy(false, true);
}

static void by_exception(void)
{
	const struct task_frame *f;

	task_reset();
	task_gate(EXC_UD);
	f = task_run(t_ud, OLD_EFLAGS);
	expect_new_task(f, NEW_EFLAGS | EFLAGS_NT);
	expect_saved(t_ud, 0, OLD_EFLAGS | (u32)RFLAGS_RF);
	test_equal("the link of the new task", new_task.link, SEL_OLD);
	task_reset();
}

static void error_code(void)
{
	const struct task_frame *f;

	task_reset();
	task_gate(EXC_GP);
	f = task_run(t_gp, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXCURSION_END);
	/* The frame of INT lies below what the switch pushed. */
	test_equal("the error code", (&f->eflags)[1], 0x78);
	test_equal("what is above it", (u32)(u64)&f->eflags + 8, new_task.esp);
	task_reset();
}

static void there_and_back(void)
{
	const struct task_frame *f;

	task_reset();
	new_task.eip = (u32)(u64)t_back_by_iret;
	f = task_run(t_call, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXCURSION_END);
	test_equal("EAX", f->eax, 0x1234);
	test_equal("EBX", f->ebx, TASK_REGISTER(OLD_TASK, 3));
	test_equal("EFLAGS", f->eflags, OLD_EFLAGS);
	test_equal("TR", task_seen.tr, SEL_OLD);
	expect_busy(true, false);
	test_equal("the EFLAGS saved in the new task", new_task.eflags, NEW_EFLAGS);
	test_equal("the EIP saved in the new task", new_task.eip - (u32)(u64)t_back_by_iret, 1);
}

static void back_by_jmp(void)
{
	const struct task_frame *f;

	task_reset();
	new_task.eip = (u32)(u64)t_back_by_jmp;
	f = task_run(t_call, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXC_GP);
	test_equal("the error code", f->error_code, SEL_OLD);
	test_equal("TR", task_seen.tr, SEL_NEW);
	expect_busy(true, true);
}

static void goes_on(void)
{
	const struct task_frame *f;

	task_reset();
	new_task.eip = (u32)(u64)t_counts;
	f = task_run(t_twice, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXCURSION_END);
	test_equal("EBX of the new task", new_task.ebx, TASK_REGISTER(NEW_TASK, 3) + 2);
}

static void cr3_and_ldtr(void)
{
	task_reset();
	segment_set(SEL_LDT, segment_descriptor((u32)(u64)guest_gdt, 0xff, 0x82));
	new_task.cr3 = task_other_cr3();
	new_task.ldt = SEL_LDT;
	new_task.ds = SEL_DATA | 4;
	test_equal("the vector of the end", task_run(t_jmp, OLD_EFLAGS)->vector, EXCURSION_END);
	test_equal("CR3", task_seen.cr3, task_other_cr3());
	test_equal("LDTR", task_seen.ldtr, SEL_LDT);
}

static void accessed(void)
{
	u64 odd = segment_descriptor(0, 0xfffff, 0xc092);

	task_reset();
	segment_set(SEL_ODD, odd);
	new_task.fs = SEL_ODD;
	test_equal("FS", task_run(t_jmp, OLD_EFLAGS)->fs, SEL_ODD);
	test_equal("its descriptor", guest_gdt[SEL_ODD / 8], odd | BIT(40));
}

static void null_selectors(void)
{
	const struct task_frame *f;

	task_reset();
	new_task.ds = new_task.es = new_task.fs = new_task.gs = 0;
	f = task_run(t_jmp, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXCURSION_END);
	test_equal("DS", f->ds, 0);
	test_equal("GS", f->gs, 0);
}

static void breakpoints(void)
{
	task_reset();
	task_registers[POPA_EAX] = DR7_LOCAL | DR7_GLOBAL | 0x400;
	(void)task_run(t_dr7, OLD_EFLAGS);
	test_equal("DR7", task_seen.dr7 & (DR7_LOCAL | DR7_GLOBAL), DR7_GLOBAL);
}

static void trap(void)
{
	const struct task_frame *f;

	task_reset();
	new_task.trap = 1;
	f = task_run(t_jmp, OLD_EFLAGS);
	test_equal("the vector of the end", f->vector, EXC_DB);
	test_equal("EIP, from the new task's code", f->eip - new_task.eip, 0);
	test_equal("EFLAGS", f->eflags, NEW_EFLAGS);
	test_equal("DR6.BT", task_seen.dr6 & DR6_BT, DR6_BT);
}

#define SWITCHES "the processor saves the state of the current task and loads that of the new one"
#define BUSY     "JMP or IRET clears the busy flag of the old TSS, CALL and events leave it set"
#define LOADS    "the TSS state is loaded: LDTR, CR3, EFLAGS, EIP, registers, segment selectors"

static const struct test tests[] = {
	{ "a switch by JMP", SWITCHES, by_jmp },
	{ "a switch by JMP to a task gate", SWITCHES, by_task_gate },
	{ "a switch by CALL", "NT is set, the link is the old TSS", by_call },
	{ "a switch by INT n", "NT is set, the link is the old TSS", by_interrupt },
	{ "a switch by IRET", "NT is cleared in the saved EFLAGS", by_iret },
	{ "a switch by an exception", "a fault's saved EIP is the instruction's", by_exception },
	{ "an error code is pushed on the new task's stack", "Exception Error Code", error_code },
	{ "the upper words of saved selectors stay", SWITCHES, upper_words },
	{ "CALL and IRET lead to a task and back", BUSY, there_and_back },
	{ "a busy task is not jumped to", "the new task must be available", back_by_jmp },
	{ "a task goes on where it left off", SWITCHES, goes_on },
	{ "CR3 and LDTR are loaded", LOADS, cr3_and_ldtr },
	{ "segments that are loaded are accessed", LOADS, accessed },
	{ "data segments may be null", LOADS, null_selectors },
	{ "local breakpoints end with a task", "the L0 to L3 and LE flags are cleared",
	  breakpoints },
	{ "the T flag traps when the task begins", "a debug exception is generated", trap },
};

SUITE_OF_TESTS(switch_suite, tests);
