/*
 * The local APIC of the inner guest: TPR shadow and threshold, the APIC-access page, and the
 * virtualization of x2APIC's task-priority MSR. SDM 3C "APIC Virtualization and Virtual Interrupts"
 * (30).
 *
 * QUIRK(bochs-2.7): a fetch from the APIC-access page makes Bochs panic; it is not tested.
 */
#include "guests/vmx-exit/exit_case.h"
#include "l1-hypervisor/leaf/string.h"

#define VTPR     0x80
#define APIC_ID  0x20
#define APIC_EOI 0xb0
#define MSR_TPR  (MSR_X2APIC_FIRST + 8)

#define QUAL_APIC(offset, type) ((offset) | (u64)(type) << 12)
enum apic_access { APIC_READ, APIC_WRITE };

CODE(a_from_cr8, 64, "mov %cr8, %rbx" INNER_DONE);
CODE(a_to_cr8, 64, "mov %rcx, %cr8" INNER_DONE);
CODE(a_read, 64, "mov (%rdi), %ebx" INNER_DONE);
CODE(a_write, 64, "mov %ecx, (%rdi)" INNER_DONE);
CODE(a_rdmsr, 64, "rdmsr" INNER_DONE);
CODE(a_wrmsr, 64, "wrmsr" INNER_DONE);

static u8 virtual_apic[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 access_page[PAGE_SIZE] __attribute__((aligned(4096)));

static void start(const char *code, u32 proc2, u8 vtpr)
{
	inner_reset(code, &(struct vmx_controls){ .proc = PROC_TPR_SHADOW, .proc2 = proc2 });
	memset(virtual_apic, 0, sizeof(virtual_apic));
	memset(access_page, 0, sizeof(access_page));
	virtual_apic[VTPR] = vtpr;
	vmx_set(VMCS_VIRTUAL_APIC_ADDR, (u64)virtual_apic);
	vmx_set(VMCS_TPR_THRESHOLD, 0);
	if (proc2 & PROC2_APIC_ACCESSES)
		vmx_set(VMCS_APIC_ACCESS_ADDR, (u64)access_page);
}

static void cr8_reads_vtpr(void)
{
	start(a_from_cr8, 0, 0x50);
	inner_run_to_end();
	test_equal("CR8 as the guest read it", inner_regs.rbx, 5);
}

static void cr8_writes_vtpr(void)
{
	start(a_to_cr8, 0, 0);
	inner_regs.rcx = 9;
	inner_run_to_end();
	test_equal("VTPR", virtual_apic[VTPR], 0x90);
}

static void below_threshold(void)
{
	struct inner_exit exit;

	start(a_to_cr8, 0, 0x60);
	vmx_set(VMCS_TPR_THRESHOLD, 5);
	inner_regs.rcx = 4;
	inner_run(&exit);
	if (inner_exited(&exit, VMX_EXIT_TPR_BELOW_THRESHOLD)) {
		test_equal("guest RIP, behind MOV to CR8", vmx_get(VMCS_GUEST_RIP) - (u64)a_to_cr8,
			   4);
		test_equal("VTPR", virtual_apic[VTPR], 0x40);
	}
	vmx_set(VMCS_TPR_THRESHOLD, 0);
	inner_run_to_end();
}

static void at_threshold(void)
{
	start(a_to_cr8, 0, 0x60);
	vmx_set(VMCS_TPR_THRESHOLD, 5);
	inner_regs.rcx = 5;
	inner_run_to_end();
}

static void access_exits(const char *code, u32 offset, enum apic_access type, u32 proc2)
{
	struct inner_exit exit;

	start(code, proc2 | PROC2_APIC_ACCESSES, 0);
	inner_regs.rdi = (u64)access_page + offset;
	inner_run(&exit);
	if (inner_exited(&exit, VMX_EXIT_APIC_ACCESS))
		test_equal("exit qualification", exit.qualification & 0xffff,
			   QUAL_APIC(offset, type));
}

static void read_exits(void)
{
	access_exits(a_read, APIC_ID, APIC_READ, 0);
}

static void write_exits(void)
{
	access_exits(a_write, APIC_EOI, APIC_WRITE, 0);
}

static void read_exits_with_ept(void)
{
	access_exits(a_read, APIC_ID, APIC_READ, PROC2_EPT);
}

static void tpr_is_read_from_vtpr(void)
{
	start(a_read, PROC2_APIC_ACCESSES, 0x35);
	inner_regs.rdi = (u64)access_page + VTPR;
	inner_run_to_end();
	test_equal("TPR as the guest read it", inner_regs.rbx, 0x35);
}

static void tpr_is_written_to_vtpr(void)
{
	start(a_write, PROC2_APIC_ACCESSES, 0);
	inner_regs.rdi = (u64)access_page + VTPR;
	inner_regs.rcx = 0x47;
	inner_run_to_end();
	test_equal("VTPR", virtual_apic[VTPR], 0x47);
	test_equal("the page itself", access_page[VTPR], 0);
}

static void tpr_exits_without_shadow(void)
{
	struct inner_exit exit;

	start(a_read, PROC2_APIC_ACCESSES, 0);
	inner_clear_bits(VMCS_PROC_CONTROLS, PROC_TPR_SHADOW);
	inner_regs.rdi = (u64)access_page + VTPR;
	inner_run(&exit);
	if (inner_exited(&exit, VMX_EXIT_APIC_ACCESS))
		test_equal("exit qualification", exit.qualification & 0xffff,
			   QUAL_APIC(VTPR, APIC_READ));
}

static void x2apic_reads_vtpr(void)
{
	start(a_rdmsr, PROC2_X2APIC, 0x72);
	inner_regs.rcx = MSR_TPR;
	inner_run_to_end();
	test_equal("TPR as the guest read it", inner_regs.rax, 0x72);
}

static void x2apic_writes_vtpr(void)
{
	start(a_wrmsr, PROC2_X2APIC, 0);
	inner_regs.rcx = MSR_TPR;
	inner_regs.rax = 0x61;
	inner_regs.rdx = 0;
	inner_run_to_end();
	test_equal("VTPR", virtual_apic[VTPR], 0x61);
}

static void x2apic_exits_by_bitmap(void)
{
	struct inner_exit exit;

	start(a_rdmsr, PROC2_X2APIC, 0);
	inner_msr_bitmap[MSR_TPR / 8] |= (u8)BIT(MSR_TPR & 7);
	inner_regs.rcx = MSR_TPR;
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_RDMSR);
}

#define RULE_CR8 "If the \"use TPR shadow\" control is 1, MOV CR8 accesses bits 7:4 of VTPR"
#define RULE_THRESHOLD                                                                        \
	"If bits 7:4 of VTPR become less than the TPR threshold, a VM exit occurs after the " \
	"instruction"
#define RULE_ACCESS                                                                           \
	"If the \"virtualize APIC accesses\" control is 1, accesses to the APIC-access page " \
	"exit; "                                                                              \
	"qualification: offset, and type in bits 15:12"
#define RULE_VTPR "Accesses to offset 080H are virtualized if the \"use TPR shadow\" control is 1"
#define RULE_X2   "If the \"virtualize x2APIC mode\" control is 1, MSR 808H is VTPR"

static const struct test tests[] = {
	{ "MOV from CR8 reads VTPR", RULE_CR8, cr8_reads_vtpr },
	{ "MOV to CR8 writes VTPR", RULE_CR8, cr8_writes_vtpr },
	{ "MOV to CR8 below the TPR threshold exits behind it", RULE_THRESHOLD, below_threshold },
	{ "MOV to CR8 at the TPR threshold does not exit", RULE_THRESHOLD, at_threshold },
	{ "a read of the APIC-access page exits", RULE_ACCESS, read_exits },
	{ "a write to the APIC-access page exits", RULE_ACCESS, write_exits },
	{ "a read of the TPR in the APIC-access page gives VTPR", RULE_VTPR,
	  tpr_is_read_from_vtpr },
	{ "a write to the TPR in the APIC-access page goes to VTPR", RULE_VTPR,
	  tpr_is_written_to_vtpr },
	{ "a read of the TPR exits without TPR shadow", RULE_VTPR, tpr_exits_without_shadow },
	{ "RDMSR of the x2APIC TPR reads VTPR", RULE_X2, x2apic_reads_vtpr },
	{ "WRMSR of the x2APIC TPR writes VTPR", RULE_X2, x2apic_writes_vtpr },
	{ "RDMSR of the x2APIC TPR exits by the bitmap", RULE_X2, x2apic_exits_by_bitmap },
};

static const struct test ept_tests[] = {
	{ "a read of the APIC-access page exits with EPT", RULE_ACCESS, read_exits_with_ept },
};

static u32 count(void)
{
	return ARRAY_SIZE(tests) + (inner_with_ept() ? ARRAY_SIZE(ept_tests) : 0);
}

static void run(void)
{
	tests_run(tests, ARRAY_SIZE(tests));
	if (inner_with_ept())
		tests_run(ept_tests, ARRAY_SIZE(ept_tests));
}

const struct suite apic_suite = { count, run };
