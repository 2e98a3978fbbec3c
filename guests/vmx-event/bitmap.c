/*
 * Exceptions of the inner guest and the exception bitmap: with their bit set they exit and say what
 * they were, without it they are delivered. SDM 3C "Other Causes of VM Exits" (26.2), "Information
 * for VM Exits Due to Vectored Events" (28.2.2).
 */
#include "guests/vmx-event/event.h"
#include "guests/lib/pages.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE   80
#define VECTOR      0x50
#define OLD_CR2     0x1234000
#define DR6_RESET   0xffff0ff0
#define ABSENT_DATA 0x13 /* a data segment that is not present */

static u8 absent_page[PAGE_SIZE] __attribute__((aligned(4096)));
static u64 saved_entry;

CODE(raise_de, 64, "div %cl\n\tvmcall");
CODE(raise_bp, 64, "int3\n\tvmcall");
CODE(raise_int1, 64, ".byte 0xf1\n\tvmcall");
CODE(raise_ud, 64, "ud2\n\tvmcall");
CODE(raise_nm, 64, "fnop\n\tvmcall");
CODE(raise_np, 64, "mov %eax, %fs\n\tvmcall");
CODE(raise_ss, 64, "mov (%rbp), %eax\n\tvmcall");
CODE(raise_gp, 64, "mov (%rax), %eax\n\tvmcall");
CODE(raise_pf, 64, "movb $1, (%rdi)\n\tvmcall");
CODE(raise_ac, 64, "mov 1(%rdi), %eax\n\tvmcall");
CODE(raise_step, 64, "nop\n\tvmcall");
CODE(raise_int_n, 64, "int $0x50\n\tvmcall");
CODE(raise_int_3, 64, ".byte 0xcd, 3\n\tvmcall");

struct raiser {
	const char *name;
	const char *code;
	u8 vector;
	u32 info; /* type and error-code bit of the interruption information */
	u32 error_code;
	u64 qualification;
	u32 length;    /* where the manual defines it: software exceptions */
	u32 trap_skip; /* a trap comes behind an instruction of this length */
	void (*prepare)(void);
	void (*undo)(void);
};

static void use_noncanonical(void)
{
	inner_regs.rax = BIT(47);
	inner_regs.rbp = BIT(47);
}

static void set_ts(void)
{
	inner_set_bits(VMCS_GUEST_CR0, CR0_TS);
}

static void use_absent_segment(void)
{
	segment_set(SEL_SPARE, segment_descriptor(0, 0xfffff, ABSENT_DATA));
	inner_regs.rax = SEL_SPARE;
}

static void use_absent_page(void)
{
	inner_regs.rdi = (u64)absent_page;
	saved_entry = page_change(absent_page, 0, PTE_P);
}

static void restore_page(void)
{
	page_restore(absent_page, saved_entry);
}

static void use_misaligned(void)
{
	inner_regs.rdi = (u64)absent_page;
	inner_make_user();
	inner_set_bits(VMCS_GUEST_CR0, CR0_AM);
	inner_set_bits(VMCS_GUEST_RFLAGS, BIT(18)); /* AC */
}

static void set_tf(void)
{
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_TF);
}

#define HARDWARE  INTR_TYPE_HARDWARE_EXCEPTION
#define WITH_CODE (INTR_TYPE_HARDWARE_EXCEPTION | INTR_INFO_ERROR_CODE)

static const struct raiser raisers[] = {
	{ .name = "#DE", .code = raise_de, .vector = EXC_DE, .info = HARDWARE },
	{ .name = "#DB of a single step",
	  .code = raise_step,
	  .vector = EXC_DB,
	  .info = HARDWARE,
	  .qualification = PENDING_DEBUG_BS,
	  .trap_skip = 1,
	  .prepare = set_tf },
	{ .name = "#DB of INT1",
	  .code = raise_int1,
	  .vector = EXC_DB,
	  .info = INTR_TYPE_PRIVILEGED_SOFTWARE_EXCEPTION,
	  .length = 1 },
	{ .name = "#BP of INT3",
	  .code = raise_bp,
	  .vector = EXC_BP,
	  .info = INTR_TYPE_SOFTWARE_EXCEPTION,
	  .length = 1 },
	{ .name = "#UD", .code = raise_ud, .vector = EXC_UD, .info = HARDWARE },
	{ .name = "#NM", .code = raise_nm, .vector = EXC_NM, .info = HARDWARE, .prepare = set_ts },
	{ .name = "#NP",
	  .code = raise_np,
	  .vector = EXC_NP,
	  .info = WITH_CODE,
	  .error_code = SEL_SPARE,
	  .prepare = use_absent_segment },
	{ .name = "#SS",
	  .code = raise_ss,
	  .vector = EXC_SS,
	  .info = WITH_CODE,
	  .prepare = use_noncanonical },
	{ .name = "#GP",
	  .code = raise_gp,
	  .vector = EXC_GP,
	  .info = WITH_CODE,
	  .prepare = use_noncanonical },
	{ .name = "#PF",
	  .code = raise_pf,
	  .vector = EXC_PF,
	  .info = WITH_CODE,
	  .error_code = (u32)PF_W,
	  .qualification = (u64)absent_page,
	  .prepare = use_absent_page,
	  .undo = restore_page },
	{ .name = "#AC",
	  .code = raise_ac,
	  .vector = EXC_AC,
	  .info = WITH_CODE,
	  .prepare = use_misaligned },
};

static void start(const struct raiser *r, u32 bitmap)
{
	inner_reset(r->code, NULL);
	vmx_set(VMCS_EXCEPTION_BITMAP, bitmap);
	if (r->prepare)
		r->prepare();
}

static void finish(const struct raiser *r)
{
	if (r->undo)
		r->undo();
	test_end();
}

static void exits(const struct raiser *r)
{
	char name[NAME_SIZE];
	struct inner_exit exit;

	snprintf(name, sizeof(name), "%s exits with its bit set", r->name);
	test_begin(name,
		   "The exception bitmap contains one bit for each exception. If the bit is 1, "
		   "the exception causes a VM exit");
	start(r, BIT32(r->vector));
	inner_run(&exit);
	event_exited(&exit, r->info | r->vector, r->error_code);
	test_equal("exit qualification", exit.qualification, r->qualification);
	if (r->length)
		test_equal("instruction length", exit.insn_length, r->length);
	test_equal("guest RIP, from the start of the code", vmx_get(VMCS_GUEST_RIP) - (u64)r->code,
		   r->trap_skip);
	test_equal("IDT-vectoring information", exit.vectoring_info & INTR_INFO_VALID, 0);
	finish(r);
}

static void is_delivered(const struct raiser *r)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%s is delivered with its bit clear", r->name);
	test_begin(name, "If the bit is 0, the exception is delivered normally through the IDT");
	start(r, ~BIT32(r->vector));
	if (r->vector == EXC_PF)
		vmx_set(VMCS_EXCEPTION_BITMAP, 0);
	event_watch(r->vector);
	inner_run_to_end();
	if (event_check(r->vector))
		test_equal("error code seen", event_seen.frame.error_code, r->error_code);
	event_unwatch_all();
	finish(r);
}

static void software_interrupt(const char *code, u8 vector)
{
	inner_reset(code, NULL);
	vmx_set(VMCS_EXCEPTION_BITMAP, 0xffffffff);
	event_watch(vector);
	inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 1);
	test_equal("bytes before the return address", event_seen.frame.rip - (u64)code, 2);
	event_unwatch_all();
}

static void int_n_does_not_exit(void)
{
	software_interrupt(raise_int_n, VECTOR);
}

static void int_3_does_not_exit(void)
{
	software_interrupt(raise_int_3, EXC_BP);
}

static void pf_exit_keeps_cr2(void)
{
	struct inner_exit exit;

	inner_reset(raise_pf, NULL);
	vmx_set(VMCS_EXCEPTION_BITMAP, BIT32(EXC_PF));
	use_absent_page();
	write_cr2(OLD_CR2);
	inner_run(&exit);
	test_equal("CR2", read_cr2(), OLD_CR2);
	restore_page();
}

static void db_exit_keeps_dr6(void)
{
	struct inner_exit exit;

	inner_reset(raise_step, NULL);
	vmx_set(VMCS_EXCEPTION_BITMAP, BIT32(EXC_DB));
	set_tf();
	write_dr6(DR6_RESET);
	inner_run(&exit);
	test_equal("DR6", read_dr6(), DR6_RESET);
	test_equal("guest RFLAGS.TF", vmx_get(VMCS_GUEST_RFLAGS) & RFLAGS_TF, RFLAGS_TF);
}

static const struct test tests[] = {
	{ "INT n does not exit", "INT n is not subject to the exception bitmap",
	  int_n_does_not_exit },
	{ "INT 3 of two bytes does not exit", "INT n is not subject to the exception bitmap",
	  int_3_does_not_exit },
	{ "#PF that exits leaves CR2 alone", "The exception does not update CR2",
	  pf_exit_keeps_cr2 },
	{ "#DB that exits leaves DR6 alone",
	  "The exception does not update DR6, DR7 or IA32_DEBUGCTL", db_exit_keeps_dr6 },
};

static u32 count(void)
{
	return ARRAY_SIZE(raisers) * 2 + ARRAY_SIZE(tests);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(raisers); i++) {
		exits(&raisers[i]);
		is_delivered(&raisers[i]);
	}
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite bitmap_suite = { count, run };
