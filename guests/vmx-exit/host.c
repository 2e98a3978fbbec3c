/*
 * What an exit loads of the host's state, SDM 3C "Loading Host State" (28.5).
 */
#include "guests/vmx-exit/exit_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define SOME_VALUE 0x3456789abcULL
#define DR7_RESET  0x400
#define TABLE_MAX  0xffff
#define PAT_RESET  0x0007040600070406ULL
#define PAT_OTHER  0x0007010600070106ULL

CODE(h_nothing, 64, "vmcall");
CODE(h_flags, 64, "push %rax\n\tpopfq" INNER_DONE);

static u64 flags_after;

static void exit_once(void)
{
	struct inner_exit exit;

	inner_run(&exit);
	__asm__ volatile("pushfq\n\tpop %0" : "=r"(flags_after) : : "memory");
	inner_exited(&exit, VMX_EXIT_VMCALL);
}

#define SELECTOR(reg)                                                 \
	({                                                            \
		u16 value;                                            \
		__asm__ volatile("mov %%" #reg ", %0" : "=r"(value)); \
		value;                                                \
	})

static void segments(void)
{
	u16 task, local;

	inner_reset(h_nothing, NULL);
	vmx_set(VMCS_HOST_DS_SELECTOR, 0);
	vmx_set(VMCS_HOST_FS_SELECTOR, SEL_DATA16);
	exit_once();
	__asm__ volatile("str %0" : "=r"(task));
	__asm__ volatile("sldt %0" : "=r"(local));
	test_equal("CS", SELECTOR(cs), SEL_CODE64);
	test_equal("SS", SELECTOR(ss), SEL_DATA);
	test_equal("DS", SELECTOR(ds), 0);
	test_equal("ES", SELECTOR(es), SEL_DATA);
	test_equal("FS", SELECTOR(fs), SEL_DATA16);
	test_equal("GS", SELECTOR(gs), SEL_DATA);
	test_equal("TR", task, SEL_TSS);
	test_equal("LDTR", local, 0);
	__asm__ volatile("mov %0, %%ds" : : "r"(SEL_DATA));
	__asm__ volatile("mov %0, %%fs" : : "r"(SEL_DATA));
}

static void bases(void)
{
	u64 fs = rdmsr(MSR_FS_BASE), gs = rdmsr(MSR_GS_BASE);

	inner_reset(h_nothing, NULL);
	vmx_set(VMCS_HOST_FS_BASE, SOME_VALUE);
	vmx_set(VMCS_HOST_GS_BASE, SOME_VALUE + 1);
	exit_once();
	test_equal("FS base", rdmsr(MSR_FS_BASE), SOME_VALUE);
	test_equal("GS base", rdmsr(MSR_GS_BASE), SOME_VALUE + 1);
	wrmsr(MSR_FS_BASE, fs);
	wrmsr(MSR_GS_BASE, gs);
}

static void tables(void)
{
	struct table_pointer gdt, idt;

	inner_reset(h_nothing, NULL);
	vmx_set(VMCS_GUEST_GDTR_BASE, SOME_VALUE);
	vmx_set(VMCS_GUEST_IDTR_BASE, SOME_VALUE);
	exit_once();
	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	test_equal("GDTR base, from its field", gdt.base - vmx_get(VMCS_HOST_GDTR_BASE), 0);
	test_equal("GDTR limit", gdt.limit, TABLE_MAX);
	test_equal("IDTR base, from its field", idt.base - vmx_get(VMCS_HOST_IDTR_BASE), 0);
	test_equal("IDTR limit", idt.limit, TABLE_MAX);
}

static void sysenter(void)
{
	inner_reset(h_nothing, NULL);
	vmx_set(VMCS_HOST_SYSENTER_CS, 0x1230);
	vmx_set(VMCS_HOST_SYSENTER_ESP, SOME_VALUE);
	vmx_set(VMCS_HOST_SYSENTER_EIP, SOME_VALUE + 1);
	exit_once();
	test_equal("SYSENTER_CS", rdmsr(MSR_SYSENTER_CS), 0x1230);
	test_equal("SYSENTER_ESP", rdmsr(MSR_SYSENTER_ESP), SOME_VALUE);
	test_equal("SYSENTER_EIP", rdmsr(MSR_SYSENTER_EIP), SOME_VALUE + 1);
	wrmsr(MSR_SYSENTER_CS, 0);
	wrmsr(MSR_SYSENTER_ESP, 0);
	wrmsr(MSR_SYSENTER_EIP, 0);
}

static void control_registers(void)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4();

	inner_reset(h_nothing, NULL);
	vmx_set(VMCS_HOST_CR0, cr0 | CR0_TS);
	vmx_set(VMCS_HOST_CR4, cr4 | CR4_TSD);
	inner_set_bits(VMCS_GUEST_CR4, CR4_DE);
	exit_once();
	test_equal("CR0", read_cr0(), cr0 | CR0_TS);
	test_equal("CR4", read_cr4(), cr4 | CR4_TSD);
	write_cr0(cr0);
	write_cr4(cr4);
}

/* ET, CD, NW and reserved bits of CR0 are not loaded by an exit. */
static void some_cr0_bits_are_kept(void)
{
	u64 cr0 = read_cr0();

	inner_reset(h_nothing, NULL);
	inner_set_bits(VMCS_HOST_CR0, CR0_NW | CR0_CD);
	exit_once();
	test_equal("CR0", read_cr0(), cr0);
}

static void debug_and_flags(void)
{
	inner_reset(h_flags, NULL);
	inner_regs.rax = RFLAGS_FIXED | RFLAGS_DF | BIT(18) | BIT(21);
	write_dr7(0x455);
	exit_once();
	test_equal("DR7", read_dr7(), DR7_RESET);
	test_equal("RFLAGS, less the arithmetic flags", flags_after & ~RFLAGS_ARITHMETIC,
		   RFLAGS_FIXED);
}

static void efer(void)
{
	u64 ours = rdmsr(MSR_EFER);

	inner_reset(h_nothing, NULL);
	vmx_set(VMCS_HOST_EFER, ours | EFER_SCE);
	exit_once();
	test_equal("EFER", rdmsr(MSR_EFER), ours | EFER_SCE);
	wrmsr(MSR_EFER, ours);
}

/* Without the control an exit changes LMA and LME only. */
static void efer_not_loaded(void)
{
	u64 ours = rdmsr(MSR_EFER);

	inner_reset(h_nothing, NULL);
	inner_clear_bits(VMCS_EXIT_CONTROLS, EXIT_LOAD_EFER);
	vmx_set(VMCS_GUEST_EFER, ours | EFER_SCE);
	exit_once();
	test_equal("EFER", rdmsr(MSR_EFER), ours | EFER_SCE);
	wrmsr(MSR_EFER, ours);
}

static void pat(void)
{
	inner_reset(h_nothing, &(struct vmx_controls){ .exit = EXIT_LOAD_PAT });
	vmx_set(VMCS_HOST_PAT, PAT_OTHER);
	exit_once();
	test_equal("PAT", rdmsr(MSR_PAT), PAT_OTHER);
	wrmsr(MSR_PAT, PAT_RESET);
}

static void nothing_is_blocked(void)
{
	inner_reset(h_nothing, NULL);
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmx_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	exit_once();
	test_equal("RFLAGS.IF", flags_after & RFLAGS_IF, 0);
}

static const struct test tests[] = {
	{ "an exit loads segment registers",
	  "The selectors are loaded from their fields; CS, SS, DS, ES, FS, GS are flat, LDTR is "
	  "null",
	  segments },
	{ "an exit loads FS and GS bases", "The bases of FS and GS are loaded from their fields",
	  bases },
	{ "an exit loads GDTR and IDTR with limits of FFFFH",
	  "The GDTR and IDTR limits are each set to FFFFH", tables },
	{ "an exit loads the SYSENTER MSRs", "The MSRs are loaded from their fields", sysenter },
	{ "an exit loads CR0 and CR4", "CR0, CR3 and CR4 are loaded from their fields",
	  control_registers },
	{ "an exit keeps CR0.CD, NW and ET",
	  "The following bits are not modified: ET, CD, NW, and the reserved ones",
	  some_cr0_bits_are_kept },
	{ "an exit resets DR7 and RFLAGS", "DR7 is set to 400H; RFLAGS is cleared, except bit 1",
	  debug_and_flags },
	{ "an exit loads EFER by its control", "\"load IA32_EFER\" VM-exit control", efer },
	{ "an exit loads no EFER without its control", "LMA and LME are set each way",
	  efer_not_loaded },
	{ "an exit loads PAT by its control", "\"load IA32_PAT\" VM-exit control", pat },
	{ "an exit clears RFLAGS.IF", "RFLAGS is cleared, except bit 1", nothing_is_blocked },
};

SUITE_OF_TESTS(host_suite, tests);
