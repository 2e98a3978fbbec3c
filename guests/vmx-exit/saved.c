/*
 * What an exit saves of the inner guest's state, SDM 3C "Saving Guest State" (28.3), and what the
 * guest sees of the state that an entry loads.
 */
#include "guests/vmx-exit/exit_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define SOME_BASE      0x12345678U
#define SOME_LIMIT     0x4321U
#define SOME_VALUE     0x3456789abcULL
#define ACCESS_DATA    0x93
#define ACCESS_LDT     0x82
#define SEL_DATA_OTHER (SEL_SPARE)
#define SEL_LDT        (SEL_SPARE + 8)
#define PAT_RESET      0x0007040600070406ULL
#define PAT_OTHER      0x0007010600070106ULL

CODE(s_segments, 64,
     "mov %eax, %ds\n\tmov %eax, %fs\n\txor %ebx, %ebx\n\tmov %ebx, %es\n\tmov %ebx, %gs\n\t"
     "lldt %cx" INNER_DONE);
CODE(s_tables, 64, "lgdt (%rdi)\n\tlidt (%rsi)" INNER_DONE);
CODE(s_wrmsr, 64, "mov %esi, %eax\n\tmov %rsi, %rdx\n\tshr $32, %rdx\n\twrmsr" INNER_DONE);
CODE(s_rdmsr, 64, "rdmsr" INNER_DONE);
CODE(s_crs, 64, "mov %rax, %cr0\n\tmov %rbx, %cr3\n\tmov %rcx, %cr4" INNER_DONE);
CODE(s_flags, 64, "push %rax\n\tpopfq\n\tlea -0x40(%rsp), %rsp" INNER_DONE);
CODE(s_to_dr7, 64, "mov %rax, %dr7" INNER_DONE);
CODE(s_from_dr7, 64, "mov %dr7, %rbx" INNER_DONE);
CODE(s_registers, 64,
     "inc %rax\n\tinc %rbx\n\tinc %rcx\n\tinc %rdx\n\tinc %rsi\n\tinc %rdi\n\tinc %rbp\n\t"
     "inc %r8\n\tinc %r9\n\tinc %r10\n\tinc %r11\n\tinc %r12\n\tinc %r13\n\tinc %r14\n\t"
     "inc %r15" INNER_DONE);
CODE(s_swapgs, 64, "swapgs" INNER_DONE);
CODE(s_mov_from_cr, 64, "mov %cr2, %rbx" INNER_DONE);

static void segments(void)
{
	segment_set(SEL_DATA_OTHER, segment_descriptor(SOME_BASE, SOME_LIMIT, ACCESS_DATA));
	segment_set(SEL_LDT, segment_descriptor(SOME_BASE, SOME_LIMIT, ACCESS_LDT));
	segment_set(SEL_LDT + 8, 0);
	inner_reset(s_segments, NULL);
	inner_regs.rax = SEL_DATA_OTHER;
	inner_regs.rcx = SEL_LDT;
	inner_run_to_end();
	test_equal("DS selector", vmx_get(VMCS_GUEST_DS_SELECTOR), SEL_DATA_OTHER);
	test_equal("DS base", vmx_get(VMCS_GUEST_DS_BASE), SOME_BASE);
	test_equal("DS limit", vmx_get(VMCS_GUEST_DS_LIMIT), SOME_LIMIT);
	test_equal("DS access rights", vmx_get(VMCS_GUEST_DS_AR), ACCESS_DATA);
	test_equal("FS selector", vmx_get(VMCS_GUEST_FS_SELECTOR), SEL_DATA_OTHER);
	test_equal("FS base", vmx_get(VMCS_GUEST_FS_BASE), SOME_BASE);
	test_equal("ES selector", vmx_get(VMCS_GUEST_ES_SELECTOR), 0);
	test_equal("ES unusable", vmx_get(VMCS_GUEST_ES_AR) & AR_UNUSABLE, AR_UNUSABLE);
	test_equal("GS unusable", vmx_get(VMCS_GUEST_GS_AR) & AR_UNUSABLE, AR_UNUSABLE);
	test_equal("LDTR selector", vmx_get(VMCS_GUEST_LDTR_SELECTOR), SEL_LDT);
	test_equal("LDTR base", vmx_get(VMCS_GUEST_LDTR_BASE), SOME_BASE);
	test_equal("LDTR limit", vmx_get(VMCS_GUEST_LDTR_LIMIT), SOME_LIMIT);
	test_equal("LDTR access rights", vmx_get(VMCS_GUEST_LDTR_AR), ACCESS_LDT);
	test_equal("CS selector", vmx_get(VMCS_GUEST_CS_SELECTOR), SEL_CODE64);
	test_equal("TR selector", vmx_get(VMCS_GUEST_TR_SELECTOR), SEL_TSS);
}

static void tables(void)
{
	static const struct table_pointer gdt = { SOME_LIMIT, SOME_VALUE };
	static const struct table_pointer idt = { SOME_LIMIT + 1, SOME_VALUE + 1 };

	inner_reset(s_tables, NULL);
	inner_regs.rdi = (u64)&gdt;
	inner_regs.rsi = (u64)&idt;
	inner_run_to_end();
	test_equal("GDTR base", vmx_get(VMCS_GUEST_GDTR_BASE), gdt.base);
	test_equal("GDTR limit", vmx_get(VMCS_GUEST_GDTR_LIMIT), gdt.limit);
	test_equal("IDTR base", vmx_get(VMCS_GUEST_IDTR_BASE), idt.base);
	test_equal("IDTR limit", vmx_get(VMCS_GUEST_IDTR_LIMIT), idt.limit);
}

static void guest_writes(u32 msr, u64 value, const struct vmx_controls *more)
{
	inner_reset(s_wrmsr, more);
	inner_regs.rcx = msr;
	inner_regs.rsi = value;
	inner_run_to_end();
}

static u64 guest_reads(u32 msr)
{
	inner_regs.rcx = msr;
	inner_run_to_end();
	return inner_regs.rdx << 32 | (u32)inner_regs.rax;
}

static void sysenter(void)
{
	guest_writes(MSR_SYSENTER_CS, SOME_LIMIT, NULL);
	test_equal("SYSENTER_CS", vmx_get(VMCS_GUEST_SYSENTER_CS), SOME_LIMIT);
	guest_writes(MSR_SYSENTER_ESP, SOME_VALUE, NULL);
	test_equal("SYSENTER_ESP", vmx_get(VMCS_GUEST_SYSENTER_ESP), SOME_VALUE);
	guest_writes(MSR_SYSENTER_EIP, SOME_VALUE + 1, NULL);
	test_equal("SYSENTER_EIP", vmx_get(VMCS_GUEST_SYSENTER_EIP), SOME_VALUE + 1);
}

static void bases(void)
{
	guest_writes(MSR_FS_BASE, SOME_VALUE, NULL);
	test_equal("FS base", vmx_get(VMCS_GUEST_FS_BASE), SOME_VALUE);
	guest_writes(MSR_GS_BASE, SOME_VALUE, NULL);
	test_equal("GS base", vmx_get(VMCS_GUEST_GS_BASE), SOME_VALUE);
}

static void swapped_gs(void)
{
	u64 kernel_gs = rdmsr(MSR_KERNEL_GS_BASE);

	inner_reset(s_swapgs, NULL);
	vmx_set(VMCS_GUEST_GS_BASE, SOME_VALUE);
	wrmsr(MSR_KERNEL_GS_BASE, SOME_VALUE + 1);
	inner_run_to_end();
	test_equal("GS base", vmx_get(VMCS_GUEST_GS_BASE), SOME_VALUE + 1);
	test_equal("IA32_KERNEL_GS_BASE", rdmsr(MSR_KERNEL_GS_BASE), SOME_VALUE);
	wrmsr(MSR_KERNEL_GS_BASE, kernel_gs);
}

static void efer_saved(void)
{
	u64 ours = rdmsr(MSR_EFER);

	guest_writes(MSR_EFER, ours | EFER_SCE, NULL);
	test_equal("guest EFER", vmx_get(VMCS_GUEST_EFER), ours | EFER_SCE);
	test_equal("our EFER", rdmsr(MSR_EFER), ours);
}

static void efer_not_saved(void)
{
	u64 ours = rdmsr(MSR_EFER);

	inner_reset(s_wrmsr, NULL);
	inner_clear_bits(VMCS_EXIT_CONTROLS, EXIT_SAVE_EFER);
	inner_regs.rcx = MSR_EFER;
	inner_regs.rsi = ours | EFER_SCE;
	inner_run_to_end();
	test_equal("guest EFER", vmx_get(VMCS_GUEST_EFER), ours);
}

static void pat_saved(void)
{
	const struct vmx_controls both = { .entry = ENTRY_LOAD_PAT,
					   .exit = EXIT_SAVE_PAT | EXIT_LOAD_PAT };

	guest_writes(MSR_PAT, PAT_OTHER, &both);
	test_equal("guest PAT", vmx_get(VMCS_GUEST_PAT), PAT_OTHER);
	test_equal("our PAT", rdmsr(MSR_PAT), PAT_RESET);
}

static void pat_loaded(void)
{
	const struct vmx_controls both = { .entry = ENTRY_LOAD_PAT, .exit = EXIT_LOAD_PAT };

	inner_reset(s_rdmsr, &both);
	vmx_set(VMCS_GUEST_PAT, PAT_OTHER);
	test_equal("PAT in the guest", guest_reads(MSR_PAT), PAT_OTHER);
	test_equal("our PAT", rdmsr(MSR_PAT), PAT_RESET);
}

static void control_registers(void)
{
	u64 cr0 = (read_cr0() ^ CR0_WP) | CR0_TS, cr4 = read_cr4() | CR4_TSD;

	inner_reset(s_crs, NULL);
	inner_regs.rax = cr0;
	inner_regs.rbx = read_cr3();
	inner_regs.rcx = cr4;
	inner_run_to_end();
	test_equal("CR0", vmx_get(VMCS_GUEST_CR0), cr0);
	test_equal("CR3", vmx_get(VMCS_GUEST_CR3), read_cr3());
	test_equal("CR4", vmx_get(VMCS_GUEST_CR4), cr4);
}

static void flags_and_stack(void)
{
	u64 flags = RFLAGS_FIXED | RFLAGS_ARITHMETIC | RFLAGS_DF | BIT(18) | BIT(21);
	u64 stack;

	inner_reset(s_flags, NULL);
	stack = vmx_get(VMCS_GUEST_RSP);
	inner_regs.rax = flags;
	inner_run_to_end();
	test_equal("RFLAGS", vmx_get(VMCS_GUEST_RFLAGS), flags);
	test_equal("RSP, from where it was", stack - vmx_get(VMCS_GUEST_RSP), 0x40);
}

static void general_registers(void)
{
	inner_reset(s_registers, NULL);
	for (u32 i = 0; i < ARRAY_SIZE(inner_regs.gpr); i++) {
		if (i != R_SP)
			inner_regs.gpr[i] = SOME_VALUE * (i + 1);
	}
	inner_run_to_end();
	for (u32 i = 0; i < ARRAY_SIZE(inner_regs.gpr); i++) {
		if (i != R_SP)
			test_equal("general register", inner_regs.gpr[i], SOME_VALUE * (i + 1) + 1);
	}
}

static void debug_controls_saved(void)
{
	inner_reset(s_to_dr7,
		    &(struct vmx_controls){ .exit = EXIT_SAVE_DEBUG, .entry = ENTRY_LOAD_DEBUG });
	inner_regs.rax = 0x455;
	inner_run_to_end();
	test_equal("guest DR7", vmx_get(VMCS_GUEST_DR7), 0x455);
	test_equal("our DR7", read_dr7(), 0x400);
}

static void debug_controls_loaded(void)
{
	inner_reset(s_from_dr7, &(struct vmx_controls){ .entry = ENTRY_LOAD_DEBUG });
	vmx_set(VMCS_GUEST_DR7, 0x433);
	inner_run_to_end();
	test_equal("DR7 in the guest", inner_regs.rbx, 0x433);
}

static void cr2_is_shared(void)
{
	inner_reset(s_mov_from_cr, NULL);
	write_cr2(SOME_VALUE);
	inner_run_to_end();
	test_equal("CR2 in the guest", inner_regs.rbx, SOME_VALUE);
}

#define RULE_SEGMENTS                                                                           \
	"For each segment register, the values of selector, base, limit and access rights are " \
	"saved; bit 16 of the access rights says that it is unusable"
#define RULE_MSRS   "The contents of the MSRs are saved into the corresponding fields"
#define RULE_SHARED "What is in no field is the same before and after"

static const struct test tests[] = {
	{ "segment registers and LDTR are saved", RULE_SEGMENTS, segments },
	{ "GDTR and IDTR are saved", "GDTR and IDTR: base and limit are saved", tables },
	{ "SYSENTER MSRs are saved", RULE_MSRS, sysenter },
	{ "FS and GS bases are saved", RULE_SEGMENTS, bases },
	{ "SWAPGS shows in the GS base and in IA32_KERNEL_GS_BASE", RULE_SEGMENTS, swapped_gs },
	{ "EFER is saved by its control", "\"save IA32_EFER\" VM-exit control", efer_saved },
	{ "EFER is not saved without its control", "\"save IA32_EFER\" VM-exit control",
	  efer_not_saved },
	{ "PAT is saved by its control", "\"save IA32_PAT\" VM-exit control", pat_saved },
	{ "PAT is loaded by its control", "\"load IA32_PAT\" VM-entry control", pat_loaded },
	{ "control registers are saved", "The contents of CR0, CR3 and CR4 are saved",
	  control_registers },
	{ "RFLAGS and RSP are saved", "The contents of RFLAGS and RSP are saved", flags_and_stack },
	{ "general registers pass both ways", RULE_SHARED, general_registers },
	{ "DR7 is saved by its control", "\"save debug controls\" VM-exit control",
	  debug_controls_saved },
	{ "DR7 is loaded by its control", "\"load debug controls\" VM-entry control",
	  debug_controls_loaded },
	{ "CR2 is shared", RULE_SHARED, cr2_is_shared },
};

SUITE_OF_TESTS(saved_suite, tests);
