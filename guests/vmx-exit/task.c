/*
 * Task switches of a 32-bit inner guest: all of them exit. SDM 3C "Exit Qualification for Task
 * Switches" (table 28-2).
 */
#include "guests/vmx-exit/exit_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define SEL_TASK      (SEL_SPARE + 2 * 8)
#define SEL_TASK_TEXT "0x68"
#define TSS_AVAILABLE 0x89
#define TSS_BUSY      0x8b
#define TASK_GATE     0x85ULL
#define VECTOR        0x60
#define RFLAGS_NT     BIT(14)

#define QUAL_TASK(source) (SEL_TASK | (u64)(source) << 30)
enum task_source { BY_CALL, BY_IRET, BY_JMP, BY_GATE };

struct tss32 {
	u32 link, esp0, ss0;
	u32 rest[23];
};

_Static_assert(SEL_TASK == 0x68, "SEL_TASK_TEXT");

CODE(k_call, 32, "lcall $" SEL_TASK_TEXT ", $0" INNER_DONE);
CODE(k_jmp, 32, "ljmp $" SEL_TASK_TEXT ", $0" INNER_DONE);
CODE(k_iret, 32, "iretl" INNER_DONE);
CODE(k_int, 32, "int $0x60" INNER_DONE);
CODE(k_ud, 32, "ud2" INNER_DONE);

extern u64 guest_pds[];

static u64 pdpt[4] __attribute__((aligned(32)));
static struct tss32 old_task, new_task;
static u64 idt[256] __attribute__((aligned(16)));

static void make_32_bit(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(pdpt); i++)
		pdpt[i] = ((u64)guest_pds + i * PAGE_SIZE) | PTE_P;
	inner_clear_bits(VMCS_ENTRY_CONTROLS, ENTRY_GUEST_64);
	inner_clear_bits(VMCS_GUEST_EFER, EFER_LMA | EFER_LME);
	vmx_set(VMCS_GUEST_CR3, (u64)pdpt);
	vmx_set(VMCS_GUEST_CS_SELECTOR, SEL_CODE32);
	vmx_set(VMCS_GUEST_CS_AR, 0xc09b);
	vmx_set(VMCS_GUEST_TR_BASE, (u64)&old_task);
	vmx_set(VMCS_GUEST_IDTR_BASE, (u64)idt);
	vmx_set(VMCS_GUEST_IDTR_LIMIT, sizeof(idt) - 1);
	old_task.link = SEL_TASK;
	idt[VECTOR] = (u64)SEL_TASK << 16 | TASK_GATE << 40;
	idt[EXC_UD] = (u64)SEL_TASK << 16 | TASK_GATE << 40;
}

static void task_descriptor(u16 access)
{
	segment_set(SEL_TASK,
		    segment_descriptor((u32)(u64)&new_task, sizeof(new_task) - 1, access));
}

static void switches(const char *code, enum task_source source, u64 flags, u32 length,
		     u32 vectoring)
{
	struct inner_exit exit;

	inner_reset(code, NULL);
	make_32_bit();
	task_descriptor(source == BY_IRET ? TSS_BUSY : TSS_AVAILABLE);
	inner_set_bits(VMCS_GUEST_RFLAGS, flags);
	inner_run(&exit);
	if (!inner_exited(&exit, VMX_EXIT_TASK_SWITCH))
		return;
	test_equal("exit qualification", exit.qualification, QUAL_TASK(source));
	test_equal("guest RIP, from the start of the code", vmx_get(VMCS_GUEST_RIP) - (u64)code, 0);
	if (length)
		test_equal("instruction length", exit.insn_length, length);
	if (vectoring)
		test_equal("IDT-vectoring information", exit.vectoring_info,
			   vectoring | INTR_INFO_VALID);
	else
		test_equal("IDT-vectoring information", exit.vectoring_info & INTR_INFO_VALID, 0);
	if (!length)
		return;
	inner_clear_bits(VMCS_GUEST_RFLAGS, RFLAGS_NT);
	inner_skip(&exit);
	inner_run_to_end();
}

static void by_call(void)
{
	switches(k_call, BY_CALL, 0, 7, 0);
}

static void by_jmp(void)
{
	switches(k_jmp, BY_JMP, 0, 7, 0);
}

static void by_iret(void)
{
	switches(k_iret, BY_IRET, RFLAGS_NT, 1, 0);
}

static void by_interrupt(void)
{
	switches(k_int, BY_GATE, 0, 2, INTR_TYPE_SOFTWARE_INTERRUPT | VECTOR);
}

static void by_exception(void)
{
	switches(k_ud, BY_GATE, 0, 0, INTR_TYPE_HARDWARE_EXCEPTION | EXC_UD);
}

#define RULE                                                                                   \
	"Task switches cause VM exits; qualification: bits 15:0 the selector, bits 31:30 the " \
	"source (0 CALL, 1 IRET, 2 JMP, 3 task gate in the IDT)"

static const struct test tests[] = {
	{ "a task switch by CALL exits", RULE, by_call },
	{ "a task switch by JMP exits", RULE, by_jmp },
	{ "a task switch by IRET exits", RULE, by_iret },
	{ "a task switch by INT n exits", RULE, by_interrupt },
	{ "a task switch by an exception exits", RULE, by_exception },
};

SUITE_OF_TESTS(task_suite, tests);
