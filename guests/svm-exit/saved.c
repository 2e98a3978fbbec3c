/*
 * What #VMEXIT stores of the inner guest's state, and what the guest sees of the state that VMRUN
 * loads. APM 2 "#VMEXIT" (15.6), "VMRUN Instruction: Saving and Loading" (15.5.1).
 *
 * QUIRK(bochs-2.7): #VMEXIT stores attributes of 0 for a null segment, TCG keeps more; the manual
 * gives a meaning to bit 7 (P) only, so only that is compared.
 * QUIRK(bochs-2.7): VMRUN does not load CR2.
 * QUIRK(qemu-7.2): VMRUN does not load the interrupt shadow. The guest's PAT is neither loaded nor
 * stored; there is one PAT.
 */
#include "guests/svm-exit/exit_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define SOME_BASE      0x12345678U
#define SOME_LIMIT     0x4321U
#define SOME_VALUE     0x3456789abcULL
#define ACCESS_DATA    0x93
#define ACCESS_LDT     0x82
#define SEL_DATA_OTHER (SEL_SPARE)
#define SEL_LDT        (SEL_SPARE + 8)
#define PAT_OTHER      0x0007010600070106ULL
#define DR6_RESET      0xffff0ff0ULL

CODE(s_segments, 64,
     "mov %eax, %ds\n\tmov %eax, %fs\n\txor %ebx, %ebx\n\tmov %ebx, %es\n\tmov %ebx, %gs\n\t"
     "lldt %cx" SVM_INNER_DONE);
CODE(s_tables, 64, "lgdt (%rdi)\n\tlidt (%rsi)" SVM_INNER_DONE);
CODE(s_wrmsr, 64, "mov %esi, %eax\n\tmov %rsi, %rdx\n\tshr $32, %rdx\n\twrmsr" SVM_INNER_DONE);
CODE(s_rdmsr, 64, "rdmsr" SVM_INNER_DONE);
CODE(s_crs, 64,
     "mov %rax, %cr0\n\tmov %rbx, %cr3\n\tmov %rcx, %cr4\n\tmov %rdx, %cr2" SVM_INNER_DONE);
CODE(s_flags, 64, "push %rax\n\tpopfq\n\tlea -0x40(%rsp), %rsp" SVM_INNER_DONE);
CODE(s_to_drs, 64, "mov %rax, %dr7\n\tmov %rbx, %dr6" SVM_INNER_DONE);
CODE(s_from_drs, 64, "mov %dr7, %rbx\n\tmov %dr6, %rcx" SVM_INNER_DONE);
CODE(s_registers, 64,
     "inc %rax\n\tinc %rbx\n\tinc %rcx\n\tinc %rdx\n\tinc %rsi\n\tinc %rdi\n\tinc %rbp\n\t"
     "inc %r8\n\tinc %r9\n\tinc %r10\n\tinc %r11\n\tinc %r12\n\tinc %r13\n\tinc %r14\n\t"
     "inc %r15" SVM_INNER_DONE);
CODE(s_swapgs, 64, "swapgs" SVM_INNER_DONE);
CODE(s_from_cr2, 64, "mov %cr2, %rbx" SVM_INNER_DONE);
CODE(s_nothing, 64, "vmmcall");
CODE(s_sti, 64, "nop\n\tsti" SVM_INNER_DONE);
CODE(s_sti_nop, 64, "sti\n\tnop" SVM_INNER_DONE);
CODE(s_moss, 64, "mov %eax, %ss" SVM_INNER_DONE);

static void segments(void)
{
	segment_set(SEL_DATA_OTHER, segment_descriptor(SOME_BASE, SOME_LIMIT, ACCESS_DATA));
	segment_set(SEL_LDT, segment_descriptor(SOME_BASE, SOME_LIMIT, ACCESS_LDT));
	segment_set(SEL_LDT + 8, 0);
	svm_inner_reset(s_segments);
	svm_inner_regs.rax = SEL_DATA_OTHER;
	svm_inner_regs.rcx = SEL_LDT;
	svm_inner_run_to_end();

	const struct vmcb_save *s = &svm_inner_vmcb.s;

	test_equal("DS selector", s->ds.selector, SEL_DATA_OTHER);
	test_equal("DS base", s->ds.base, SOME_BASE);
	test_equal("DS limit", s->ds.limit, SOME_LIMIT);
	test_equal("DS attributes", s->ds.attributes, ACCESS_DATA);
	test_equal("ES selector", s->es.selector, 0);
	test_equal("ES present", s->es.attributes & SEG_P, 0);
	test_equal("CS selector", s->cs.selector, SEL_CODE64);
	test_equal("CS.L", s->cs.attributes & SEG_L, SEG_L);
	test_equal("SS selector", s->ss.selector, SEL_DATA);
	test_equal("CPL", s->cpl, 0);
	/* These are stored by the VMSAVE after the exit. */
	test_equal("FS selector", s->fs.selector, SEL_DATA_OTHER);
	test_equal("FS base", s->fs.base, SOME_BASE);
	test_equal("GS present", s->gs.attributes & SEG_P, 0);
	test_equal("LDTR selector", s->ldtr.selector, SEL_LDT);
	test_equal("LDTR base", s->ldtr.base, SOME_BASE);
	test_equal("LDTR limit", s->ldtr.limit, SOME_LIMIT);
	test_equal("LDTR attributes", s->ldtr.attributes, ACCESS_LDT);
	test_equal("TR selector", s->tr.selector, SEL_TSS);
}

static void tables(void)
{
	static const struct table_pointer gdt = { SOME_LIMIT, SOME_VALUE };
	static const struct table_pointer idt = { SOME_LIMIT + 1, SOME_VALUE + 1 };

	svm_inner_reset(s_tables);
	svm_inner_regs.rdi = (u64)&gdt;
	svm_inner_regs.rsi = (u64)&idt;
	svm_inner_run_to_end();
	test_equal("GDTR base", svm_inner_vmcb.s.gdtr.base, gdt.base);
	test_equal("GDTR limit", svm_inner_vmcb.s.gdtr.limit, gdt.limit);
	test_equal("IDTR base", svm_inner_vmcb.s.idtr.base, idt.base);
	test_equal("IDTR limit", svm_inner_vmcb.s.idtr.limit, idt.limit);
}

static void guest_writes(u32 msr, u64 value)
{
	svm_inner_reset(s_wrmsr);
	svm_inner_regs.rcx = msr;
	svm_inner_regs.rsi = value;
	svm_inner_run_to_end();
}

static void syscall_msrs(void)
{
	guest_writes(MSR_SYSENTER_CS, SOME_LIMIT);
	test_equal("SYSENTER_CS", svm_inner_vmcb.s.sysenter_cs, SOME_LIMIT);
	guest_writes(MSR_SYSENTER_ESP, SOME_VALUE);
	test_equal("SYSENTER_ESP", svm_inner_vmcb.s.sysenter_esp, SOME_VALUE);
	guest_writes(MSR_SYSENTER_EIP, SOME_VALUE + 1);
	test_equal("SYSENTER_EIP", svm_inner_vmcb.s.sysenter_eip, SOME_VALUE + 1);
	guest_writes(MSR_STAR, SOME_VALUE + 2);
	test_equal("STAR", svm_inner_vmcb.s.star, SOME_VALUE + 2);
	guest_writes(MSR_CSTAR, SOME_VALUE + 3);
	test_equal("CSTAR", svm_inner_vmcb.s.cstar, SOME_VALUE + 3);
	guest_writes(MSR_SFMASK, SOME_LIMIT);
	test_equal("SFMASK", svm_inner_vmcb.s.sfmask, SOME_LIMIT);
}

static void bases(void)
{
	guest_writes(MSR_FS_BASE, SOME_VALUE);
	test_equal("FS base", svm_inner_vmcb.s.fs.base, SOME_VALUE);
	guest_writes(MSR_GS_BASE, SOME_VALUE);
	test_equal("GS base", svm_inner_vmcb.s.gs.base, SOME_VALUE);
}

static void swapped_gs(void)
{
	svm_inner_reset(s_swapgs);
	svm_inner_vmcb.s.gs.base = SOME_VALUE;
	svm_inner_vmcb.s.kernel_gs_base = SOME_VALUE + 1;
	svm_inner_run_to_end();
	test_equal("GS base", svm_inner_vmcb.s.gs.base, SOME_VALUE + 1);
	test_equal("KernelGSBase", svm_inner_vmcb.s.kernel_gs_base, SOME_VALUE);
}

/* Without VMLOAD the guest has our FS, and the exit leaves the VMCB's alone. */
static void not_stored(void)
{
	struct svm_inner_exit exit;
	u64 ours = rdmsr(MSR_LSTAR);

	svm_inner_reset(s_nothing);
	svm_inner_vmcb.s.fs.base = SOME_VALUE;
	svm_inner_vmcb.s.lstar = SOME_VALUE + 1;
	svm_inner_vmcb.s.sysenter_cs = SOME_LIMIT;
	svm_inner_vmcb.s.tr.selector = SEL_SPARE;
	svm_inner_enter(&exit, SVM_ENTRY_GIF);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("FS base of the VMCB", svm_inner_vmcb.s.fs.base, SOME_VALUE);
	test_equal("LSTAR of the VMCB", svm_inner_vmcb.s.lstar, SOME_VALUE + 1);
	test_equal("SYSENTER_CS of the VMCB", svm_inner_vmcb.s.sysenter_cs, SOME_LIMIT);
	test_equal("TR of the VMCB", svm_inner_vmcb.s.tr.selector, SEL_SPARE);
	test_equal("our LSTAR", rdmsr(MSR_LSTAR), ours);
}

static void not_loaded(void)
{
	struct svm_inner_exit exit;
	u64 ours = rdmsr(MSR_LSTAR);

	svm_inner_reset(s_rdmsr);
	svm_inner_regs.rcx = MSR_LSTAR;
	svm_inner_vmcb.s.lstar = SOME_VALUE;
	wrmsr(MSR_LSTAR, SOME_VALUE + 1);
	svm_inner_enter(&exit, SVM_ENTRY_GIF);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("LSTAR in the guest", svm_inner_regs.rdx << 32 | (u32)svm_inner_regs.rax,
		   SOME_VALUE + 1);
	wrmsr(MSR_LSTAR, ours);
}

static void control_registers(void)
{
	u64 cr0 = (read_cr0() ^ CR0_WP) | CR0_TS, cr4 = read_cr4() | CR4_TSD;

	svm_inner_reset(s_crs);
	svm_inner_regs.rax = cr0;
	svm_inner_regs.rbx = read_cr3();
	svm_inner_regs.rcx = cr4;
	svm_inner_regs.rdx = SOME_VALUE;
	svm_inner_run_to_end();
	test_equal("CR0", svm_inner_vmcb.s.cr0, cr0);
	test_equal("CR2", svm_inner_vmcb.s.cr2, SOME_VALUE);
	test_equal("CR3", svm_inner_vmcb.s.cr3, read_cr3());
	test_equal("CR4", svm_inner_vmcb.s.cr4, cr4);
	test_equal("EFER", svm_inner_vmcb.s.efer, rdmsr(MSR_EFER));
}

static void flags_and_stack(void)
{
	u64 flags = RFLAGS_FIXED | RFLAGS_ARITHMETIC | RFLAGS_DF | BIT(18) | BIT(21);
	u64 stack;

	svm_inner_reset(s_flags);
	stack = svm_inner_vmcb.s.rsp;
	svm_inner_regs.rax = flags;
	svm_inner_run_to_end();
	test_equal("RFLAGS", svm_inner_vmcb.s.rflags, flags);
	test_equal("RSP, from where it was", stack - svm_inner_vmcb.s.rsp, 0x40);
	test_equal("RAX", svm_inner_vmcb.s.rax, flags);
}

static void general_registers(void)
{
	svm_inner_reset(s_registers);
	for (u32 i = 0; i < ARRAY_SIZE(svm_inner_regs.gpr); i++) {
		if (i != R_SP)
			svm_inner_regs.gpr[i] = SOME_VALUE * (i + 1);
	}
	svm_inner_run_to_end();
	for (u32 i = 0; i < ARRAY_SIZE(svm_inner_regs.gpr); i++) {
		if (i != R_SP)
			test_equal("general register", svm_inner_regs.gpr[i],
				   SOME_VALUE * (i + 1) + 1);
	}
}

static void debug_registers_saved(void)
{
	svm_inner_reset(s_to_drs);
	svm_inner_regs.rax = 0x455;
	svm_inner_regs.rbx = DR6_RESET | BIT(14);
	svm_inner_run_to_end();
	test_equal("DR7", svm_inner_vmcb.s.dr7, 0x455);
	test_equal("DR6", svm_inner_vmcb.s.dr6, DR6_RESET | BIT(14));
	test_equal("our DR7", read_dr7(), 0x400);
}

static void debug_registers_loaded(void)
{
	svm_inner_reset(s_from_drs);
	svm_inner_vmcb.s.dr7 = 0x433;
	svm_inner_vmcb.s.dr6 = DR6_RESET | BIT(13);
	svm_inner_run_to_end();
	test_equal("DR7 in the guest", svm_inner_regs.rbx, 0x433);
	test_equal("DR6 in the guest", svm_inner_regs.rcx, DR6_RESET | BIT(13));
}

static void cr2_loaded(void)
{
	svm_inner_reset(s_from_cr2);
	svm_inner_vmcb.s.cr2 = SOME_VALUE;
	write_cr2(SOME_BASE);
	svm_inner_run_to_end();
	test_equal_or_quirk("CR2 in the guest", svm_inner_regs.rbx, SOME_VALUE, SOME_BASE);
}

static void cpl(void)
{
	svm_inner_reset(s_nothing);
	svm_inner_make_user();
	svm_inner_run_to_end();
	test_equal("CPL", svm_inner_vmcb.s.cpl, 3);
	test_equal("CS selector", svm_inner_vmcb.s.cs.selector, SEL_USER_CODE64);
	test_equal("SS selector", svm_inner_vmcb.s.ss.selector, SEL_USER_DATA);
}

static void shadow(const char *code, u64 value, u64 want, u64 quirk)
{
	svm_inner_reset(code);
	svm_inner_regs.rax = SEL_DATA;
	svm_inner_vmcb.c.int_state = value;
	svm_inner_run_to_end();
	test_equal_or_quirk("INTERRUPT_SHADOW", svm_inner_vmcb.c.int_state & INT_STATE_SHADOW, want,
			    quirk);
}

static void shadow_of_sti(void)
{
	shadow(s_sti, 0, INT_STATE_SHADOW, INT_STATE_SHADOW);
}

static void shadow_of_moss(void)
{
	shadow(s_moss, 0, INT_STATE_SHADOW, INT_STATE_SHADOW);
}

static void shadow_is_over(void)
{
	shadow(s_sti_nop, 0, 0, 0);
}

static void shadow_is_loaded(void)
{
	shadow(s_nothing, INT_STATE_SHADOW, INT_STATE_SHADOW, 0);
}

static void asid_and_controls_stay(void)
{
	svm_inner_reset(s_nothing);
	svm_inner_vmcb.c.asid = 3;
	svm_inner_vmcb.c.tsc_offset = SOME_VALUE;
	svm_inner_vmcb.c.pause_count = 7;
	svm_inner_run_to_end();
	test_equal("ASID", svm_inner_vmcb.c.asid, 3);
	test_equal("TSC_OFFSET", svm_inner_vmcb.c.tsc_offset, SOME_VALUE);
	test_equal("pause filter count", svm_inner_vmcb.c.pause_count, 7);
	test_equal("MSRPM_BASE_PA", svm_inner_vmcb.c.msrpm_base, (u64)svm_inner_msrpm);
	test_equal("intercepts of exceptions", svm_inner_vmcb.c.intercept_exceptions, 0);
	test_equal("second intercepts", svm_inner_vmcb.c.intercept2,
		   INTERCEPT2_VMRUN | INTERCEPT2_VMMCALL);
}

#define RULE_STORED                                                                               \
	"#VMEXIT saves to the VMCB: CS, DS, ES, SS; GDTR, IDTR; EFER; CR4, CR3, CR2, CR0; guest " \
	"PAT with nested paging; RFLAGS, RIP, RSP, RAX; DR7, DR6; CPL"
#define RULE_VMSAVE                                                                          \
	"VMSAVE: FS, GS, TR, LDTR (including all hidden state), KernelGsBase, STAR, LSTAR, " \
	"CSTAR, "                                                                            \
	"SFMASK, SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP"
#define RULE_LOADED "VMRUN loads the guest state from the VMCB"
#define RULE_SHARED "What is in no field is the same before and after"
#define RULE_SHADOW \
	"INTERRUPT_SHADOW: the guest is in an interrupt shadow; saved by #VMEXIT, loaded by VMRUN"

static const struct test tests[] = {
	{ "segment registers are stored", RULE_STORED, segments },
	{ "GDTR and IDTR are stored", RULE_STORED, tables },
	{ "MSRs for system calls are stored by VMSAVE", RULE_VMSAVE, syscall_msrs },
	{ "FS and GS bases are stored by VMSAVE", RULE_VMSAVE, bases },
	{ "SWAPGS shows in the GS base and in KernelGSBase", RULE_VMSAVE, swapped_gs },
	{ "an exit does not store what VMSAVE stores", RULE_VMSAVE, not_stored },
	{ "VMRUN does not load what VMLOAD loads", RULE_VMSAVE, not_loaded },
	{ "control registers and EFER are stored", RULE_STORED, control_registers },
	{ "RFLAGS, RSP and RAX are stored", RULE_STORED, flags_and_stack },
	{ "general registers pass both ways", RULE_SHARED, general_registers },
	{ "DR6 and DR7 are stored", RULE_STORED, debug_registers_saved },
	{ "DR6 and DR7 are loaded", RULE_LOADED, debug_registers_loaded },
	{ "CR2 is loaded", RULE_LOADED, cr2_loaded },
	{ "CPL is loaded and stored", RULE_STORED, cpl },
	{ "the interrupt shadow of STI is stored", RULE_SHADOW, shadow_of_sti },
	{ "the interrupt shadow of MOV SS is stored", RULE_SHADOW, shadow_of_moss },
	{ "an interrupt shadow lasts one instruction", RULE_SHADOW, shadow_is_over },
	{ "an interrupt shadow is loaded", RULE_SHADOW, shadow_is_loaded },
	{ "an exit leaves the controls alone", "#VMEXIT writes no control but its own information",
	  asid_and_controls_stay },
};

/* The guest's PAT is used with nested paging only. */
static void pat_saved(void)
{
	u64 ours = rdmsr(MSR_PAT);

	svm_inner_reset(s_wrmsr);
	svm_inner_use_npt();
	svm_inner_regs.rcx = MSR_PAT;
	svm_inner_regs.rsi = PAT_OTHER;
	svm_inner_run_to_end();
	test_equal_or_quirk("guest PAT", svm_inner_vmcb.s.g_pat, PAT_OTHER, ours);
	test_equal_or_quirk("our PAT", rdmsr(MSR_PAT), ours, PAT_OTHER);
	wrmsr(MSR_PAT, ours);
}

static void pat_loaded(void)
{
	u64 ours = rdmsr(MSR_PAT);

	svm_inner_reset(s_rdmsr);
	svm_inner_use_npt();
	svm_inner_regs.rcx = MSR_PAT;
	svm_inner_vmcb.s.g_pat = PAT_OTHER;
	svm_inner_run_to_end();
	test_equal_or_quirk("PAT in the guest", svm_inner_regs.rdx << 32 | (u32)svm_inner_regs.rax,
			    PAT_OTHER, ours);
	test_equal("our PAT", rdmsr(MSR_PAT), ours);
}

static const struct test npt_tests[] = {
	{ "PAT is stored with nested paging", RULE_STORED, pat_saved },
	{ "PAT is loaded with nested paging", RULE_LOADED, pat_loaded },
};

static u32 count(void)
{
	return ARRAY_SIZE(tests) + (svm_inner_with_npt() ? ARRAY_SIZE(npt_tests) : 0);
}

static void run(void)
{
	tests_run(tests, ARRAY_SIZE(tests));
	if (svm_inner_with_npt())
		tests_run(npt_tests, ARRAY_SIZE(npt_tests));
}

const struct suite saved_suite = { count, run };
