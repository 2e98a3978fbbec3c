/*
 * What #VMEXIT loads of ours, whatever the guest did to its own. APM 2 "#VMEXIT" (15.6).
 */
#include "guests/svm-exit/exit_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define SOME_VALUE 0x3456789abcULL

CODE(h_nothing, 64, "vmmcall");
CODE(h_tables, 64, "lgdt (%rdi)\n\tlidt (%rdi)" SVM_INNER_DONE);
CODE(h_crs, 64, "mov %rax, %cr0\n\tmov %rcx, %cr4\n\tmov %rdx, %cr2" SVM_INNER_DONE);
CODE(h_segments, 64, "mov %eax, %ds\n\tmov %eax, %es\n\tmov %eax, %ss" SVM_INNER_DONE);
CODE(h_flags, 64, "std\n\tstc" SVM_INNER_DONE);
CODE(h_wrmsr, 64, "wrmsr" SVM_INNER_DONE);
CODE(h_to_dr7, 64, "mov %rax, %dr7" SVM_INNER_DONE);

static void tables(void)
{
	static const struct table_pointer other = { 0x1234, SOME_VALUE };
	struct table_pointer gdt, idt, gdt_after, idt_after;

	svm_inner_reset(h_tables);
	svm_inner_regs.rdi = (u64)&other;
	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	svm_inner_run_to_end();
	__asm__ volatile("sgdt %0" : "=m"(gdt_after));
	__asm__ volatile("sidt %0" : "=m"(idt_after));
	test_equal("GDTR base", gdt_after.base, gdt.base);
	test_equal("GDTR limit", gdt_after.limit, gdt.limit);
	test_equal("IDTR base", idt_after.base, idt.base);
	test_equal("IDTR limit", idt_after.limit, idt.limit);
}

static void control_registers(void)
{
	u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();

	svm_inner_reset(h_crs);
	svm_inner_regs.rax = (cr0 ^ CR0_WP) | CR0_TS;
	svm_inner_regs.rcx = cr4 | CR4_TSD;
	svm_inner_run_to_end();
	test_equal("CR0", read_cr0(), cr0);
	test_equal("CR3", read_cr3(), cr3);
	test_equal("CR4", read_cr4(), cr4);
}

static void segments(void)
{
	u16 ds, es, ss;

	svm_inner_reset(h_segments);
	svm_inner_regs.rax = 0;
	svm_inner_run_to_end();
	__asm__ volatile("mov %%ds, %0" : "=r"(ds));
	__asm__ volatile("mov %%es, %0" : "=r"(es));
	__asm__ volatile("mov %%ss, %0" : "=r"(ss));
	test_equal("DS", ds, SEL_DATA);
	test_equal("ES", es, SEL_DATA);
	test_equal("SS", ss, SEL_DATA);
}

static void flags(void)
{
	u64 after;

	svm_inner_reset(h_flags);
	svm_inner_run_to_end();
	__asm__ volatile("pushfq\n\tpop %0" : "=r"(after));
	test_equal("guest RFLAGS.DF", svm_inner_vmcb.s.rflags & RFLAGS_DF, RFLAGS_DF);
	test_equal("our RFLAGS.DF and IF", after & (RFLAGS_DF | RFLAGS_IF), 0);
}

static void efer(void)
{
	u64 ours = rdmsr(MSR_EFER);

	svm_inner_reset(h_wrmsr);
	svm_inner_regs.rcx = MSR_EFER;
	svm_inner_regs.rax = ours ^ EFER_SCE;
	svm_inner_run_to_end();
	test_equal("guest EFER", svm_inner_vmcb.s.efer, ours ^ EFER_SCE);
	test_equal("our EFER", rdmsr(MSR_EFER), ours);
}

static void breakpoints(void)
{
	svm_inner_reset(h_to_dr7);
	svm_inner_regs.rax = 0x455;
	svm_inner_run_to_end();
	test_equal("our DR7", read_dr7(), 0x400);
}

static void many_entries(void)
{
	svm_inner_reset(h_nothing);
	for (u32 i = 0; i < 10; i++) {
		svm_inner_vmcb.s.rip = (u64)h_nothing;
		svm_inner_vmcb.c.clean = i ? CLEAN_ALL : 0;
		svm_inner_run_to_end();
	}
}

/* Two VMCBs in turn, each with its own state, neither clean for the other. */
static void two_vmcbs(void)
{
	struct svm_inner_exit exit;
	union svm_regs regs = { .rbx = 1 };

	svm_inner_reset(h_nothing);
	svm_inner_other_vmcb = svm_inner_vmcb;
	svm_inner_other_vmcb.c.asid = 2;
	svm_inner_other_vmcb.s.rflags |= RFLAGS_DF;
	for (u32 i = 0; i < 4; i++) {
		svm_inner_run(&exit);
		svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
		svm_enter(&regs, &svm_inner_other_vmcb, SVM_ENTRY_FULL);
		test_equal("exit of the other", svm_inner_other_vmcb.c.exit_code, SVM_EXIT_VMMCALL);
		test_equal("RFLAGS.DF", svm_inner_vmcb.s.rflags & RFLAGS_DF, 0);
		test_equal("RFLAGS.DF of the other", svm_inner_other_vmcb.s.rflags & RFLAGS_DF,
			   RFLAGS_DF);
		svm_inner_vmcb.c.clean = CLEAN_ALL;
		svm_inner_other_vmcb.c.clean = CLEAN_ALL;
	}
}

#define RULE                                                                                       \
	"#VMEXIT reloads the host state: GDTR, IDTR, ES, CS, SS, DS, EFER, CR4, CR3, CR0 with PE " \
	"forced to 1, RFLAGS, RIP, RSP, RAX; DR7 to disable all breakpoints"

static const struct test tests[] = {
	{ "our GDTR and IDTR are loaded", RULE, tables },
	{ "our CR0, CR3 and CR4 are loaded", RULE, control_registers },
	{ "our segment registers are loaded", RULE, segments },
	{ "our RFLAGS are loaded", RULE, flags },
	{ "our EFER is loaded", RULE, efer },
	{ "our breakpoints are off", RULE, breakpoints },
	{ "a VMCB is entered again and again", "Clean bits let the processor skip loading",
	  many_entries },
	{ "two VMCBs are entered in turn", "Clean bits are those of the VMCB that was run last",
	  two_vmcbs },
};

SUITE_OF_TESTS(host_suite, tests);
