/*
 * The inner guest of a conformance test; see inner.h. Assumes the platform's VMX with at least what
 * Nestbed offers an L2.
 */
#include "guests/lib/inner.h"
#include "guests/lib/words.h"
#include "l1-hypervisor/leaf/string.h"

#define STACK_SIZE 8192
#define EPT_PAGES  16
#define EPT_BYTES  BIT(32)
#define EPT_2M     21

union vmx_regs inner_regs;
struct vmx_region inner_vmxon, inner_vmcs, inner_other_vmcs;
struct stage2 inner_ept;
u8 inner_msr_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));
u8 inner_io_bitmap_a[PAGE_SIZE] __attribute__((aligned(4096)));
u8 inner_io_bitmap_b[PAGE_SIZE] __attribute__((aligned(4096)));

static struct vmx_features features;
const struct vmx_features *const inner_features = &features;

static u8 stack[STACK_SIZE] __attribute__((aligned(16)));
static u8 ept_pages[EPT_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static bool launched;
static bool without_ept;

void inner_read_words(const char *words)
{
	static const char *const choices[] = { "on", "off", NULL };

	without_ept = words_choice(words, "ept", choices) == 1;
}

int inner_main(const struct guest_args *args, const struct suite *const *suites)
{
	static const char *const names[] = { "ept", NULL };

	words_allow(args->words, names);
	inner_read_words(args->words);
	inner_init();
	return suites_run(suites);
}

bool inner_with_ept(void)
{
	return !without_ept;
}

void inner_init(void)
{
	const char *refused = vmx_start(&inner_vmxon);

	if (refused)
		guest_fail("%s", refused);
	vmx_read_features(&features);
}

static void make_ept(void)
{
	stage2_init(&inner_ept, ept_pages, EPT_PAGES);
	if (!stage2_map(&inner_ept, 0, 0, EPT_BYTES, EPT_RAM, EPT_2M))
		guest_fail("the pages for EPT tables do not suffice");
	vmx_set(VMCS_EPTP, vmx_ept_pointer(&inner_ept));
	if (vmx_invept(INVEPT_GLOBAL, 0, 0) != VMX_SUCCEED)
		guest_fail("INVEPT failed");
}

void inner_split_ept(u64 address)
{
	u64 start = ALIGN_DOWN(address, BIT(EPT_2M));

	*stage2_entry(&inner_ept, start, EPT_2M) = 0;
	if (!stage2_map(&inner_ept, start, start, BIT(EPT_2M), EPT_RAM, PAGE_SHIFT))
		guest_fail("the pages for EPT tables do not suffice");
	vmx_invept(INVEPT_GLOBAL, 0, 0);
}

static struct vmx_controls usual_controls(const struct vmx_controls *more)
{
	struct vmx_controls c = {
		.proc = PROC_MSR_BITMAPS | PROC_SECONDARY,
		.exit = EXIT_HOST_64 | EXIT_SAVE_EFER | EXIT_LOAD_EFER,
		.entry = ENTRY_GUEST_64 | ENTRY_LOAD_EFER,
	};
	const char *lacking;
	u32 missing;

	if (more) {
		c.pin |= more->pin;
		c.proc |= more->proc;
		c.proc2 |= more->proc2;
		c.exit |= more->exit;
		c.entry |= more->entry;
	}
	lacking = vmx_adjust_controls(&features, &c, &missing);
	if (lacking)
		guest_fail("VMX lacks the %s controls 0x%x", lacking, missing);
	return c;
}

void inner_reset(const char *code, const struct vmx_controls *more)
{
	struct vmx_controls controls = usual_controls(more);

	if (vmx_load_fresh(&inner_vmcs) != VMX_SUCCEED)
		guest_fail("the VMCS cannot be loaded");
	memset(inner_msr_bitmap, 0, PAGE_SIZE);
	memset(inner_io_bitmap_a, 0, PAGE_SIZE);
	memset(inner_io_bitmap_b, 0, PAGE_SIZE);
	memset(&inner_regs, 0, sizeof(inner_regs));
	vmx_write_controls(&controls);
	vmx_set(VMCS_MSR_BITMAP, (u64)inner_msr_bitmap);
	vmx_set(VMCS_IO_BITMAP_A, (u64)inner_io_bitmap_a);
	vmx_set(VMCS_IO_BITMAP_B, (u64)inner_io_bitmap_b);
	vmx_set(VMCS_TSC_OFFSET, 0);
	if (controls.proc2 & PROC2_EPT)
		make_ept();
	if (controls.proc2 & PROC2_VPID)
		vmx_set(VMCS_VPID, 1);
	vmx_write_host_state(&inner_regs);
	vmx_write_guest_long(&controls, (u64)code, (u64)(stack + STACK_SIZE));
	launched = false;
}

static void enter(struct inner_exit *exit, bool resume)
{
	*exit = (struct inner_exit){ .status = vmx_enter(&inner_regs, resume) };
	if (exit->status == VMX_FAIL_VALID)
		exit->error = (u32)vmx_get(VMCS_INSTRUCTION_ERROR);
	if (exit->status != VMX_SUCCEED)
		return;
	exit->reason = (u32)vmx_get(VMCS_EXIT_REASON);
	exit->qualification = vmx_get(VMCS_EXIT_QUALIFICATION);
	exit->insn_length = (u32)vmx_get(VMCS_EXIT_INSN_LENGTH);
	exit->intr_info = (u32)vmx_get(VMCS_EXIT_INTR_INFO);
	exit->intr_error = (u32)vmx_get(VMCS_EXIT_INTR_ERROR_CODE);
	exit->vectoring_info = (u32)vmx_get(VMCS_IDT_VECTORING_INFO);
	exit->vectoring_error = (u32)vmx_get(VMCS_IDT_VECTORING_ERROR_CODE);
	/* An entry that failed leaves the launch state as it was. */
	if (!(exit->reason & EXIT_REASON_ENTRY_FAILURE))
		launched = true;
}

void inner_run(struct inner_exit *exit)
{
	enter(exit, launched);
}

void inner_launch(struct inner_exit *exit)
{
	enter(exit, false);
}

void inner_resume(struct inner_exit *exit)
{
	enter(exit, true);
}

void inner_skip(const struct inner_exit *exit)
{
	vmx_set(VMCS_GUEST_RIP, vmx_get(VMCS_GUEST_RIP) + exit->insn_length);
}

void inner_set_bits(u32 field, u64 bits)
{
	vmx_set(field, vmx_get(field) | bits);
}

void inner_clear_bits(u32 field, u64 bits)
{
	vmx_set(field, vmx_get(field) & ~bits);
}

bool inner_exited(const struct inner_exit *exit, enum vmx_exit_reason reason)
{
	if (exit->status == VMX_FAIL_VALID)
		test_equal("VM-instruction error", exit->error, 0);
	return test_equal("status of the entry", exit->status, VMX_SUCCEED) &&
	       test_equal("exit reason", exit->reason, (u64)reason);
}

void inner_run_to_end(void)
{
	struct inner_exit exit;

	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_VMCALL);
}
