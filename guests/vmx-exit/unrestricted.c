/*
 * Unrestricted guest: the inner guest in real mode and without paging, and on its way from real to
 * 64-bit mode without an exit. SDM 3C "Unrestricted Guests" (25.6.2, table 25-7).
 */
#include "guests/vmx-exit/exit_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define REAL_CODE  0x50000U /* low memory that nobody uses */
#define REAL_IDT   0x51000U
#define CODE_SIZE  256
#define REAL_AR    0x93
#define REAL_LIMIT 0xffff
#define VECTOR     0x60
#define STACK_TOP  0x8000

/* INT 60h leads to `real_handler`, which returns behind it. */
CODE(real_int, 16,
     "mov $0x1234, %ax\n\tmov %ax, %ds\n\tint $0x60\n\tmov $0x77, %bl\n\thlt\n"
     "real_handler:\tmov $0x5678, %cx\n\tiret");
CODE(real_memory, 16, "mov %ax, %es\n\tmovb $0x5a, %es:(%di)\n\thlt");
CODE(real_hlt, 16, "nop\n\thlt");
CODE(unpaged, 32, "mov %cr0, %ebx\n\tmovb $0x5a, (%edi)\n\thlt");
/* EAX = CR0 with PE, EBX = CR3, EDI = pointer to a GDTR image, ESI = CR4 with PAE. */
CODE(to_long, 16, "lgdtl %ds:(%di)\n\tmov %eax, %cr0\n\tljmpl $0x18, $to_long_32");
CODE(to_long_32, 32,
     "mov %esi, %cr4\n\tmov %ebx, %cr3\n\tmov %eax, %ebp\n\tmov $0xc0000080, %ecx\n\trdmsr\n\t"
     "or $0x100, %eax\n\twrmsr\n\tmov %ebp, %eax\n\tbts $31, %eax\n\tmov %eax, %cr0\n\t"
     "ljmp $0x8, $to_long_64");
CODE(to_long_64, 64, "mov $1, %rdx\n\tshl $40, %rdx\n\tvmcall");

extern const char real_handler[];

static u8 byte_target[16];

static const struct vmx_controls controls = { .proc = PROC_HLT,
					      .proc2 = PROC2_EPT | PROC2_UNRESTRICTED_GUEST };

static void leave_ia32e(void)
{
	inner_clear_bits(VMCS_ENTRY_CONTROLS, ENTRY_GUEST_64);
	inner_clear_bits(VMCS_GUEST_EFER, EFER_LMA | EFER_LME);
}

static void start_real(const char *code)
{
	inner_reset(code, &controls);
	leave_ia32e();
	memcpy((void *)(u64)REAL_CODE, code, CODE_SIZE);
	for (u32 i = 0; i <= VMCS_GUEST_GS_SELECTOR - VMCS_GUEST_ES_SELECTOR; i += 2) {
		vmx_set(VMCS_GUEST_ES_SELECTOR + i, REAL_CODE >> 4);
		vmx_set(VMCS_GUEST_ES_BASE + i, REAL_CODE);
		vmx_set(VMCS_GUEST_ES_LIMIT + i, REAL_LIMIT);
		vmx_set(VMCS_GUEST_ES_AR + i, REAL_AR);
	}
	inner_clear_bits(VMCS_GUEST_CR0, CR0_PE | CR0_PG);
	vmx_set(VMCS_GUEST_CR4, CR4_VMXE);
	vmx_set(VMCS_GUEST_RIP, 0);
	vmx_set(VMCS_GUEST_RSP, STACK_TOP);
	vmx_set(VMCS_GUEST_IDTR_BASE, REAL_IDT);
	vmx_set(VMCS_GUEST_IDTR_LIMIT, 0x3ff);
}

static bool runs_to_hlt(void)
{
	struct inner_exit exit;

	inner_run(&exit);
	return inner_exited(&exit, VMX_EXIT_HLT);
}

static void real_mode(void)
{
	u32 *vectors = (u32 *)(u64)REAL_IDT;

	start_real(real_int);
	vectors[VECTOR] = (REAL_CODE >> 4) << 16 | (u32)(real_handler - real_int);
	if (!runs_to_hlt())
		return;
	test_equal("DS selector", vmx_get(VMCS_GUEST_DS_SELECTOR), 0x1234);
	test_equal("DS base", vmx_get(VMCS_GUEST_DS_BASE), 0x12340);
	test_equal("BL, set behind INT", (u8)inner_regs.rbx, 0x77);
	test_equal("CX, set by the handler", (u16)inner_regs.rcx, 0x5678);
	test_equal("CS base", vmx_get(VMCS_GUEST_CS_BASE), REAL_CODE);
	test_equal("SP", vmx_get(VMCS_GUEST_RSP), STACK_TOP);
	test_equal("CR0.PE and CR0.PG", vmx_get(VMCS_GUEST_CR0) & (CR0_PE | CR0_PG), 0);
}

static void real_mode_memory(void)
{
	u8 *target = (u8 *)(u64)(REAL_IDT + 0x800);

	start_real(real_memory);
	inner_regs.rax = (REAL_IDT + 0x700) >> 4;
	inner_regs.rdi = 0x100;
	*target = 0;
	if (runs_to_hlt())
		test_equal("byte that the guest wrote", *target, 0x5a);
}

static void real_mode_injection(void)
{
	u32 *vectors = (u32 *)(u64)REAL_IDT;

	start_real(real_int);
	vectors[VECTOR] = (REAL_CODE >> 4) << 16 | (u32)(real_handler - real_int);
	vmx_set(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_SOFTWARE_INTERRUPT | VECTOR);
	vmx_set(VMCS_ENTRY_INSN_LENGTH, 7); /* the two MOVs and INT */
	if (!runs_to_hlt())
		return;
	test_equal("CX, set by the handler", (u16)inner_regs.rcx, 0x5678);
	test_equal("DS selector, which nobody loaded", vmx_get(VMCS_GUEST_DS_SELECTOR),
		   REAL_CODE >> 4);
}

static void without_paging(void)
{
	inner_reset(unpaged, &controls);
	leave_ia32e();
	vmx_set(VMCS_GUEST_CS_AR, 0xc09b);
	inner_clear_bits(VMCS_GUEST_CR0, CR0_PG);
	vmx_set(VMCS_GUEST_CR3, 0);
	byte_target[0] = 0;
	inner_regs.rdi = (u64)byte_target;
	if (!runs_to_hlt())
		return;
	test_equal("byte that the guest wrote", byte_target[0], 0x5a);
	test_equal("CR0.PG and CR0.PE as the guest read them", inner_regs.rbx & (CR0_PG | CR0_PE),
		   CR0_PE);
}

static void from_real_to_long(void)
{
	struct table_pointer *gdt = (struct table_pointer *)(u64)(REAL_CODE + 0x800);

	start_real(to_long);
	*gdt = guest_gdt_pointer;
	inner_regs.rdi = 0x800;
	inner_regs.rax = vmx_get(VMCS_GUEST_CR0) | CR0_PE;
	inner_regs.rbx = read_cr3();
	inner_regs.rsi = read_cr4();
	inner_run_to_end();
	test_equal("RDX", inner_regs.rdx, BIT(40));
	test_equal("CS access rights", vmx_get(VMCS_GUEST_CS_AR), 0xa09b);
	test_equal("EFER.LMA and EFER.LME", vmx_get(VMCS_GUEST_EFER) & (EFER_LMA | EFER_LME),
		   EFER_LMA | EFER_LME);
	test_equal("\"IA-32e mode guest\" VM-entry control",
		   vmx_get(VMCS_ENTRY_CONTROLS) & ENTRY_GUEST_64, ENTRY_GUEST_64);
	test_equal("CR3, from ours", vmx_get(VMCS_GUEST_CR3) - read_cr3(), 0);
}

static void hlt_saves_rip(void)
{
	struct inner_exit exit;

	start_real(real_hlt);
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_HLT);
	test_equal("RIP", vmx_get(VMCS_GUEST_RIP), 1);
	test_equal("instruction length", exit.insn_length, 1);
}

static const struct test tests[] = {
	{ "a guest in real mode takes an interrupt by its vector table",
	  "An unrestricted guest may run in real-address mode", real_mode },
	{ "a guest in real mode writes memory", "segment * 16 + offset is guest-physical",
	  real_mode_memory },
	{ "an interrupt is injected into real mode", "Event injection into real-address mode",
	  real_mode_injection },
	{ "HLT in real mode exits", "HLT exiting", hlt_saves_rip },
	{ "a guest without paging", "An unrestricted guest may run with CR0.PG = 0",
	  without_paging },
	{ "a guest goes from real mode to 64-bit mode without an exit",
	  "VM exits store EFER.LMA into the \"IA-32e mode guest\" VM-entry control",
	  from_real_to_long },
};

static u32 count(void)
{
	return inner_with_ept() ? ARRAY_SIZE(tests) : 0;
}

static void run(void)
{
	if (inner_with_ept())
		tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite unrestricted_suite = { count, run };
