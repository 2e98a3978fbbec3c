/*
 * The host behind #VMEXIT: what it gets back of its own, and what stays the guest's.
 */
#include "guests/svm-entry/entry_case.h"
#include "guests/lib/nestbed.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define SOME_VALUE 0x0000123456789abcULL
#define DR7_RESET  0x400U
#define DR7_OTHER  0x455U
#define OTHER_CR4  (CR4_PAE | CR4_PGE | CR4_TSD)

CODE(host_code, 64, "vmmcall");
CODE(host_dr0, 64, "mov %rdi, %dr0\n\tmov %rdi, %dr3\n\tvmmcall");

static void enter(enum svm_entry entry)
{
	struct svm_inner_exit exit;

	svm_inner_enter(&exit, entry);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
}

static void control_registers(void)
{
	u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER);

	svm_inner_reset(host_code);
	svm_inner_vmcb.s.cr0 |= CR0_TS | CR0_MP;
	svm_inner_vmcb.s.cr0 &= ~CR0_WP;
	svm_inner_vmcb.s.cr4 = OTHER_CR4;
	svm_inner_vmcb.s.efer |= EFER_SCE;
	enter(SVM_ENTRY_FULL);
	test_equal("CR0", read_cr0(), cr0);
	test_equal("CR3", read_cr3(), cr3);
	test_equal("CR4", read_cr4(), cr4);
	test_equal("EFER", rdmsr(MSR_EFER), efer);
}

static void tables(void)
{
	struct table_pointer gdt, idt, gdt_after, idt_after;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	svm_inner_reset(host_code);
	svm_inner_vmcb.s.gdtr.base = svm_inner_vmcb.s.idtr.base = SOME_VALUE;
	svm_inner_vmcb.s.gdtr.limit = svm_inner_vmcb.s.idtr.limit = 0x17;
	enter(SVM_ENTRY_FULL);
	__asm__ volatile("sgdt %0" : "=m"(gdt_after));
	__asm__ volatile("sidt %0" : "=m"(idt_after));
	test_equal("base of the GDT", gdt_after.base, gdt.base);
	test_equal("limit of the GDT", gdt_after.limit, gdt.limit);
	test_equal("base of the IDT", idt_after.base, idt.base);
	test_equal("limit of the IDT", idt_after.limit, idt.limit);
}

static u16 selector_of_ds(void)
{
	u16 selector;

	__asm__ volatile("mov %%ds, %0" : "=r"(selector));
	return selector;
}

static u16 selector_of_ss(void)
{
	u16 selector;

	__asm__ volatile("mov %%ss, %0" : "=r"(selector));
	return selector;
}

static void segments(void)
{
	u16 ds = selector_of_ds(), ss = selector_of_ss();

	svm_inner_reset(host_code);
	svm_inner_vmcb.s.ds = svm_inner_vmcb.s.es = svm_segment(0x1230, 0xc0f3, ~0U, 0);
	svm_inner_make_user();
	enter(SVM_ENTRY_FULL);
	test_equal("DS", selector_of_ds(), ds);
	test_equal("SS", selector_of_ss(), ss);
	/* A privileged instruction says that the CPL is 0. */
	write_cr2(SOME_VALUE);
	test_equal("CR2", read_cr2(), SOME_VALUE);
}

static void flags(void)
{
	u64 rax = (u64)&svm_inner_vmcb, after;

	svm_inner_reset(host_code);
	svm_inner_vmcb.s.rflags |= RFLAGS_DF;
	__asm__ volatile("pushfq\n\torq $0x8d5, (%%rsp)\n\tpopfq\n\tvmrun %%rax\n\t"
			 "pushfq\n\tpopq %1"
			 : "+a"(rax), "=&r"(after)
			 :
			 : "cc", "memory");
	svm_stgi();
	test_equal("arithmetic flags", after & RFLAGS_ARITHMETIC, RFLAGS_ARITHMETIC);
	test_equal("RFLAGS.DF and IF", after & (RFLAGS_DF | RFLAGS_IF), 0);
}

/* QUIRK(qemu-7.2): the host's DR7 comes back instead. */
static void breakpoints(void)
{
	svm_inner_reset(host_code);
	write_dr7(DR7_OTHER);
	enter(SVM_ENTRY_FULL);
	if (nestbed_level() || read_dr7() != DR7_OTHER)
		test_equal("DR7", read_dr7(), DR7_RESET);
	write_dr7(DR7_RESET);
}

static void breakpoint_addresses(void)
{
	u64 dr0, dr3;

	svm_inner_reset(host_dr0);
	svm_inner_regs.rdi = SOME_VALUE;
	enter(SVM_ENTRY_FULL);
	__asm__ volatile("mov %%dr0, %0" : "=r"(dr0));
	__asm__ volatile("mov %%dr3, %0" : "=r"(dr3));
	test_equal("DR0", dr0, SOME_VALUE);
	test_equal("DR3", dr3, SOME_VALUE);
}

CODE(host_msrs, 64, "mov %edi, %eax\n\tmov %edi, %edx\n\twrmsr\n\tvmmcall");

/* What VMLOAD and VMSAVE alone move is whoever's wrote it last. */
static void vls_is_shared(void)
{
	u64 before = rdmsr(MSR_KERNEL_GS_BASE);

	svm_inner_reset(host_msrs);
	svm_inner_regs.rdi = 0x1234;
	svm_inner_regs.rcx = MSR_KERNEL_GS_BASE;
	enter(SVM_ENTRY_GIF);
	test_equal("KernelGSBase", rdmsr(MSR_KERNEL_GS_BASE), 0x123400001234);
	wrmsr(MSR_KERNEL_GS_BASE, before);
	svm_inner_reset(host_msrs);
	svm_inner_regs.rdi = 0x1234;
	svm_inner_regs.rcx = MSR_KERNEL_GS_BASE;
	enter(SVM_ENTRY_FULL);
	test_equal("KernelGSBase", rdmsr(MSR_KERNEL_GS_BASE), before);
	test_equal("KernelGSBase in the VMCB", svm_inner_vmcb.s.kernel_gs_base, 0x123400001234);
}

static void vmcb_is_ours_to_read(void)
{
	svm_inner_reset(host_code);
	svm_inner_vmcb.c.exit_info1 = svm_inner_vmcb.c.exit_int_info = ~0ULL;
	enter(SVM_ENTRY_FULL);
	test_equal("exit code", svm_inner_vmcb.c.exit_code, SVM_EXIT_VMMCALL);
	test_equal("valid bit of EXITINTINFO", svm_inner_vmcb.c.exit_int_info & EVENT_VALID, 0);
	test_equal("ASID", svm_inner_vmcb.c.asid, 1);
	test_equal("intercepts", svm_inner_vmcb.c.intercept2,
		   INTERCEPT2_VMRUN | INTERCEPT2_VMMCALL);
}

static const struct test tests[] = {
	{ "CR0, CR3, CR4 and EFER are the host's",
	  "#VMEXIT reloads the host's CR0, CR3, CR4 and EFER", control_registers },
	{ "GDTR and IDTR are the host's", "#VMEXIT reloads the host's GDTR and IDTR", tables },
	{ "the segments and the CPL are the host's",
	  "#VMEXIT reloads the host's CS, SS, DS and ES, and CPL is 0", segments },
	{ "RFLAGS is the host's", "#VMEXIT reloads the host's RFLAGS", flags },
	{ "no breakpoint is enabled", "#VMEXIT disables all breakpoints in the host's DR7",
	  breakpoints },
	{ "DR0 to DR3 are nobody's", "DR0 to DR3 are neither saved nor loaded",
	  breakpoint_addresses },
	{ "what VMLOAD loads is shared without it",
	  "VMRUN does not load what VMLOAD and VMSAVE handle", vls_is_shared },
	{ "the control area keeps what the exit does not write",
	  "#VMEXIT saves the exit's reason; controls are not written", vmcb_is_ours_to_read },
};

SUITE_OF_TESTS(host_suite, tests);
