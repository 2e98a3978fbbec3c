/*
 * The state that an entry loads, each register as its guest then reads it, and the state that an
 * exit saves after its guest changed it.
 */
#include "guests/svm-entry/entry_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define SOME_VALUE  0x0000123456789abcULL
#define OTHER_VALUE 0x0000fedcba987654ULL
#define SOME_STACK  0x0000001234567890ULL
#define DR6_BASE    0xffff0ff0ULL
#define SOME_DR6    (DR6_BASE | 0x4003)
#define SOME_DR7    0x00000455ULL
#define SOME_PAT    0x0007060504010006ULL
#define SOME_STAR   0x0013001000000000ULL

/* A guest that reads into RAX, or writes from RDI. */
CODE(state_rax, 64, "vmmcall");
CODE(state_rsp, 64, "mov %rsp, %rax\n\tvmmcall");
CODE(state_rflags, 64, "pushfq\n\tpopq %rax\n\tvmmcall");
CODE(state_rip, 64, "lea 1f(%rip), %rax\n1:\tvmmcall");
CODE(state_cr0, 64, "mov %cr0, %rax\n\tvmmcall");
CODE(state_cr2, 64, "mov %cr2, %rax\n\tvmmcall");
CODE(state_cr4, 64, "mov %cr4, %rax\n\tvmmcall");
CODE(state_dr6, 64, "mov %dr6, %rax\n\tvmmcall");
CODE(state_dr7, 64, "mov %dr7, %rax\n\tvmmcall");
CODE(state_ds, 64, "mov %ds, %eax\n\tvmmcall");
CODE(state_es, 64, "mov %es, %eax\n\tvmmcall");
CODE(state_ss, 64, "mov %ss, %eax\n\tvmmcall");
CODE(state_cs, 64, "mov %cs, %eax\n\tvmmcall");
CODE(state_fs, 64, "mov %fs, %eax\n\tvmmcall");
CODE(state_gs, 64, "mov %gs, %eax\n\tvmmcall");
CODE(state_tr, 64, "str %eax\n\tvmmcall");
CODE(state_ldtr, 64, "sldt %eax\n\tvmmcall");
CODE(state_gdtr, 64, "sub $16, %rsp\n\tsgdt (%rsp)\n\tmov 2(%rsp), %rax\n\tvmmcall");
CODE(state_gdt_limit, 64, "sub $16, %rsp\n\tsgdt (%rsp)\n\tmovzwl (%rsp), %eax\n\tvmmcall");
CODE(state_idtr, 64, "sub $16, %rsp\n\tsidt (%rsp)\n\tmov 2(%rsp), %rax\n\tvmmcall");
CODE(state_idt_limit, 64, "sub $16, %rsp\n\tsidt (%rsp)\n\tmovzwl (%rsp), %eax\n\tvmmcall");
/* The MSR is in RCX. */
#define READ_MSR "rdmsr\n\tshl $32, %rdx\n\tor %rdx, %rax\n\tvmmcall"
CODE(state_msr, 64, READ_MSR);

/* A field of the VMCB and the guest that reads what it was loaded into. */
struct load {
	const char *name;
	const char *code;
	u16 offset, size;
	u64 value;
	u32 msr; /* for state_msr */
};

#define FIELD(field) offsetof(struct vmcb, field), sizeof(((struct vmcb *)NULL)->field)

static const struct load loads[] = {
	{ "RAX", state_rax, FIELD(s.rax), SOME_VALUE, 0 },
	{ "RSP", state_rsp, FIELD(s.rsp), SOME_STACK, 0 },
	{ "RFLAGS", state_rflags, FIELD(s.rflags), 0x203ad7, 0 },
	{ "CR0", state_cr0, FIELD(s.cr0), CR0_PE | CR0_ET | CR0_PG | CR0_WP | CR0_TS | CR0_MP, 0 },
	{ "CR4", state_cr4, FIELD(s.cr4), CR4_PAE | CR4_PGE | CR4_TSD | CR4_DE, 0 },
	{ "DR6", state_dr6, FIELD(s.dr6), SOME_DR6, 0 },
	{ "DR7", state_dr7, FIELD(s.dr7), SOME_DR7, 0 },
	{ "the selector of DS", state_ds, FIELD(s.ds.selector), 0x1230, 0 },
	{ "the selector of ES", state_es, FIELD(s.es.selector), 0x4560, 0 },
	{ "the selector of SS", state_ss, FIELD(s.ss.selector), 0x7890, 0 },
	{ "the selector of CS", state_cs, FIELD(s.cs.selector), 0xabc8, 0 },
	{ "the base of the GDT", state_gdtr, FIELD(s.gdtr.base), SOME_VALUE, 0 },
	{ "the limit of the GDT", state_gdt_limit, FIELD(s.gdtr.limit), 0x1234, 0 },
	{ "the base of the IDT", state_idtr, FIELD(s.idtr.base), SOME_VALUE, 0 },
	{ "the limit of the IDT", state_idt_limit, FIELD(s.idtr.limit), 0x5678, 0 },
	/* By VMLOAD. */
	{ "the selector of FS", state_fs, FIELD(s.fs.selector), 0x1230, 0 },
	{ "the selector of GS", state_gs, FIELD(s.gs.selector), 0x4560, 0 },
	{ "the selector of TR", state_tr, FIELD(s.tr.selector), 0x7890, 0 },
	{ "the selector of LDTR", state_ldtr, FIELD(s.ldtr.selector), 0xabc8, 0 },
	{ "the base of FS", state_msr, FIELD(s.fs.base), SOME_VALUE, MSR_FS_BASE },
	{ "the base of GS", state_msr, FIELD(s.gs.base), SOME_VALUE, MSR_GS_BASE },
	{ "KernelGSBase", state_msr, FIELD(s.kernel_gs_base), SOME_VALUE, MSR_KERNEL_GS_BASE },
	{ "STAR", state_msr, FIELD(s.star), SOME_STAR, MSR_STAR },
	{ "LSTAR", state_msr, FIELD(s.lstar), SOME_VALUE, MSR_LSTAR },
	{ "CSTAR", state_msr, FIELD(s.cstar), SOME_VALUE, MSR_CSTAR },
	{ "SFMASK", state_msr, FIELD(s.sfmask), 0x47700, MSR_SFMASK },
	{ "SYSENTER_CS", state_msr, FIELD(s.sysenter_cs), SEL_CODE64, MSR_SYSENTER_CS },
	{ "SYSENTER_ESP", state_msr, FIELD(s.sysenter_esp), 0x12345670, MSR_SYSENTER_ESP },
	{ "SYSENTER_EIP", state_msr, FIELD(s.sysenter_eip), 0x12345678, MSR_SYSENTER_EIP },
};

static void set_field(u16 offset, u16 size, u64 value)
{
	memcpy((u8 *)&svm_inner_vmcb + offset, &value, size);
}

static u64 field(u16 offset, u16 size)
{
	u64 value = 0;

	memcpy(&value, (u8 *)&svm_inner_vmcb + offset, size);
	return value;
}

static void run_load(const struct load *l)
{
	struct svm_inner_exit exit;
	char name[80];

	snprintf(name, sizeof(name), "an entry loads %s", l->name);
	test_begin(name, "VMRUN loads guest state from the VMCB's state save area");
	svm_inner_reset(l->code);
	set_field(l->offset, l->size, l->value);
	svm_inner_regs.rax = svm_inner_vmcb.s.rax;
	svm_inner_regs.rcx = l->msr;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("what the guest read", svm_inner_regs.rax, l->value);
	test_equal("what the exit saved", field(l->offset, l->size), l->value);
	test_end();
}

/* A guest that writes a register from RDI; MSRs from EDX:EAX. */
CODE(change_rsp, 64, "mov %rdi, %rsp\n\tvmmcall");
CODE(change_rax, 64, "mov %rdi, %rax\n\tvmmcall");
CODE(change_rflags, 64, "push %rdi\n\tpopfq\n\tvmmcall");
CODE(change_cr0, 64, "mov %rdi, %cr0\n\tvmmcall");
CODE(change_cr2, 64, "mov %rdi, %cr2\n\tvmmcall");
CODE(change_cr4, 64, "mov %rdi, %cr4\n\tvmmcall");
CODE(change_dr6, 64, "mov %rdi, %dr6\n\tvmmcall");
CODE(change_dr7, 64, "mov %rdi, %dr7\n\tvmmcall");
CODE(change_ds, 64, "mov %edi, %ds\n\tvmmcall");
CODE(change_es, 64, "mov %edi, %es\n\tvmmcall");
CODE(change_fs, 64, "mov %edi, %fs\n\tvmmcall");
CODE(change_gs, 64, "mov %edi, %gs\n\tvmmcall");
CODE(change_table, 64,
     "sub $16, %rsp\n\tmovw $0x1fff, (%rsp)\n\tmov %rdi, 2(%rsp)\n\tlgdt (%rsp)"
     "\n\tlidt (%rsp)\n\tvmmcall");
CODE(change_msr, 64, "mov %rdi, %rdx\n\tmov %edi, %eax\n\tshr $32, %rdx\n\twrmsr\n\tvmmcall");

static const struct load saves[] = {
	{ "RAX", change_rax, FIELD(s.rax), SOME_VALUE, 0 },
	{ "RSP", change_rsp, FIELD(s.rsp), SOME_STACK, 0 },
	{ "RFLAGS", change_rflags, FIELD(s.rflags), 0x203ad7, 0 },
	{ "CR0", change_cr0, FIELD(s.cr0), CR0_PE | CR0_ET | CR0_PG | CR0_WP | CR0_TS | CR0_MP, 0 },
	{ "CR2", change_cr2, FIELD(s.cr2), SOME_VALUE, 0 },
	{ "CR4", change_cr4, FIELD(s.cr4), CR4_PAE | CR4_PGE | CR4_TSD | CR4_DE, 0 },
	{ "DR6", change_dr6, FIELD(s.dr6), SOME_DR6, 0 },
	{ "DR7", change_dr7, FIELD(s.dr7), SOME_DR7, 0 },
	{ "the selector of DS", change_ds, FIELD(s.ds.selector), SEL_USER_DATA, 0 },
	{ "the selector of ES", change_es, FIELD(s.es.selector), SEL_USER_DATA, 0 },
	{ "the base of the GDT", change_table, FIELD(s.gdtr.base), SOME_VALUE, 0 },
	{ "the base of the IDT", change_table, FIELD(s.idtr.base), SOME_VALUE, 0 },
	{ "the limit of the IDT", change_table, FIELD(s.idtr.limit), 0x1fff, 0 },
	/* By VMSAVE. */
	{ "the selector of FS", change_fs, FIELD(s.fs.selector), SEL_USER_DATA, 0 },
	{ "the selector of GS", change_gs, FIELD(s.gs.selector), SEL_USER_DATA, 0 },
	{ "the base of FS", change_msr, FIELD(s.fs.base), SOME_VALUE, MSR_FS_BASE },
	{ "the base of GS", change_msr, FIELD(s.gs.base), SOME_VALUE, MSR_GS_BASE },
	{ "KernelGSBase", change_msr, FIELD(s.kernel_gs_base), SOME_VALUE, MSR_KERNEL_GS_BASE },
	{ "STAR", change_msr, FIELD(s.star), SOME_STAR, MSR_STAR },
	{ "LSTAR", change_msr, FIELD(s.lstar), SOME_VALUE, MSR_LSTAR },
	{ "SFMASK", change_msr, FIELD(s.sfmask), 0x47700, MSR_SFMASK },
	{ "SYSENTER_EIP", change_msr, FIELD(s.sysenter_eip), 0x12345678, MSR_SYSENTER_EIP },
};

static void run_save(const struct load *l)
{
	struct svm_inner_exit exit;
	char name[80];

	snprintf(name, sizeof(name), "an exit saves %s", l->name);
	test_begin(name, "#VMEXIT saves guest state to the VMCB's state save area");
	svm_inner_reset(l->code);
	svm_inner_regs.rdi = l->value;
	svm_inner_regs.rcx = l->msr;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("the field", field(l->offset, l->size), l->value);
	test_end();
}

/* In 64-bit mode nobody looks at these parts of data segments. */
static void hidden_segments(void)
{
	const struct vmcb_segment data = { 0x1230, 0xcf3, 0xabcdefff, SOME_VALUE };
	struct svm_inner_exit exit;

	svm_inner_reset(state_rax);
	svm_inner_vmcb.s.ds = data;
	svm_inner_vmcb.s.es = data;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("attributes of DS", svm_inner_vmcb.s.ds.attributes, data.attributes);
	test_equal("limit of DS", svm_inner_vmcb.s.ds.limit, data.limit);
	test_equal("base of DS", svm_inner_vmcb.s.ds.base, data.base);
	test_equal("attributes of ES", svm_inner_vmcb.s.es.attributes, data.attributes);
	test_equal("limit of ES", svm_inner_vmcb.s.es.limit, data.limit);
	test_equal("base of ES", svm_inner_vmcb.s.es.base, data.base);
}

static void canonical_bases(void)
{
	u64 highest = BIT(entry_linear_width() - 1), extended = ~(highest - 1);
	struct svm_inner_exit exit;

	svm_inner_reset(state_rax);
	svm_inner_vmcb.s.ds.base = highest;
	svm_inner_vmcb.s.es.base = highest;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("base of DS", svm_inner_vmcb.s.ds.base, extended);
	test_equal("base of ES", svm_inner_vmcb.s.es.base, extended);
}

/* QUIRK(bochs-2.7): the guest starts with our CR2. */
static void cr2_is_loaded(void)
{
	struct svm_inner_exit exit;

	write_cr2(OTHER_VALUE);
	svm_inner_reset(state_cr2);
	svm_inner_vmcb.s.cr2 = SOME_VALUE;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	if (svm_inner_regs.rax != OTHER_VALUE)
		test_equal("what the guest read", svm_inner_regs.rax, SOME_VALUE);
	test_equal("what the exit saved", svm_inner_vmcb.s.cr2, svm_inner_regs.rax);
}

static void rip_is_the_instruction(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(state_rip);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("saved RIP", svm_inner_vmcb.s.rip, svm_inner_regs.rax);
	test_equal("saved CPL", svm_inner_vmcb.s.cpl, 0);
}

CODE(state_user, 64, "vmmcall");

static void cpl_is_the_field(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(state_user);
	svm_inner_make_user();
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("saved CPL", svm_inner_vmcb.s.cpl, 3);
}

CODE(state_tsc, 64, "rdtsc\n\tshl $32, %rdx\n\tor %rdx, %rax\n\tvmmcall");

#define TSC_OFFSET 0x1234500000000ULL

static void tsc_offset_counts(void)
{
	struct svm_inner_exit exit;
	u64 before = rdtsc(), after, guest;

	svm_inner_reset(state_tsc);
	svm_inner_vmcb.c.tsc_offset = TSC_OFFSET;
	svm_inner_run(&exit);
	after = rdtsc();
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	guest = svm_inner_regs.rax - TSC_OFFSET;
	test_true("the guest's TSC is ours plus the offset", before < guest && guest < after);
	svm_inner_reset(state_tsc);
	svm_inner_vmcb.c.tsc_offset = -before;
	svm_inner_run(&exit);
	test_true("the offset may be negative", svm_inner_regs.rax < rdtsc() - before);
}

CODE(state_shadow, 64, "sti\n\tcpuid\n\tvmmcall");
CODE(state_no_shadow, 64, "sti\n\tnop\n\tcpuid\n\tvmmcall");

static void shadow_is_saved(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(state_shadow);
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_CPUID;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_CPUID);
	test_equal("shadow behind STI", svm_inner_vmcb.c.int_state & INT_STATE_SHADOW,
		   INT_STATE_SHADOW);
	svm_inner_reset(state_no_shadow);
	svm_inner_vmcb.c.intercept1 = INTERCEPT1_CPUID;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_CPUID);
	test_equal("shadow an instruction later", svm_inner_vmcb.c.int_state & INT_STATE_SHADOW, 0);
}

static const struct test tests[] = {
	{ "hidden parts of data segments are loaded and saved",
	  "the segment registers are stored with selector, attributes, limit and base",
	  hidden_segments },
	{ "bases that are not canonical become so",
	  "VMRUN canonicalizes (i.e., sign-extends to bit 63) all base addresses in the segment "
	  "registers that have been loaded",
	  canonical_bases },
	{ "an entry loads CR2", "VMRUN loads guest state from the VMCB's state save area",
	  cr2_is_loaded },
	{ "RIP is that of the instruction that exited", "intercepts are fault-like",
	  rip_is_the_instruction },
	{ "the CPL is that of the VMCB", "the VMCB has the current privilege level of the guest",
	  cpl_is_the_field },
	{ "the guest's TSC has the offset", "TSC_OFFSET is added to the guest's reads of the TSC",
	  tsc_offset_counts },
	{ "the interrupt shadow is saved",
	  "INTERRUPT_SHADOW indicates that the guest is in an interrupt shadow", shadow_is_saved },
};

static u32 count(void)
{
	return ARRAY_SIZE(loads) + ARRAY_SIZE(saves) + ARRAY_SIZE(tests);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++)
		run_load(&loads[i]);
	for (size_t i = 0; i < ARRAY_SIZE(saves); i++)
		run_save(&saves[i]);
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite state_suite = { count, run };

/* QUIRK(qemu-7.2): the guest runs with our PAT. */
static void pat_is_loaded(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(state_msr);
	svm_inner_use_npt();
	svm_inner_vmcb.s.g_pat = SOME_PAT;
	svm_inner_regs.rcx = MSR_PAT;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	if (svm_inner_regs.rax != rdmsr(MSR_PAT))
		test_equal("what the guest read", svm_inner_regs.rax, SOME_PAT);
	test_equal("what the exit saved", svm_inner_vmcb.s.g_pat, SOME_PAT);
}

static void pat_is_ours_again(void)
{
	u64 before = rdmsr(MSR_PAT);
	struct svm_inner_exit exit;

	svm_inner_reset(state_rax);
	svm_inner_use_npt();
	svm_inner_vmcb.s.g_pat = SOME_PAT;
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("PAT", rdmsr(MSR_PAT), before);
}

static const struct test npt_tests[] = {
	{ "an entry with nested paging loads the PAT",
	  "with nested paging the guest has a PAT of its own", pat_is_loaded },
	{ "the host's PAT is not the guest's", "with nested paging the guest has a PAT of its own",
	  pat_is_ours_again },
};

static u32 npt_count(void)
{
	return svm_inner_with_npt() ? ARRAY_SIZE(npt_tests) : 0;
}

static void npt_run(void)
{
	if (svm_inner_with_npt())
		tests_run(npt_tests, ARRAY_SIZE(npt_tests));
}

const struct suite npt_state_suite = { npt_count, npt_run };
