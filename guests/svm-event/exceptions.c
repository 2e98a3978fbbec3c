/*
 * Exceptions of the inner guest and their intercepts: with its bit set an exception exits and says
 * what it was, without it it is delivered. APM 2 "Exception Intercepts" (15.12).
 *
 * QUIRK(qemu-7.2): INT3 takes the intercept of INT n, not that of #BP.
 */
#include "guests/svm-event/event.h"
#include "guests/lib/pages.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE   80
#define ABSENT_DATA 0x13 /* a data segment that is not present */
#define DR6_RESET   0xffff0ff0U
#define DR6_BS      BIT(14)

static u8 absent_page[PAGE_SIZE] __attribute__((aligned(4096)));
static u64 saved_entry;

CODE(raise_de, 64, "div %cl\n\tvmmcall");
CODE(raise_bp, 64, "int3\n\tvmmcall");
CODE(raise_ud, 64, "ud2\n\tvmmcall");
CODE(raise_nm, 64, "fnop\n\tvmmcall");
CODE(raise_np, 64, "mov %eax, %fs\n\tvmmcall");
CODE(raise_ss, 64, "mov %eax, %ss\n\tvmmcall");
CODE(raise_gp, 64, "mov (%rax), %eax\n\tvmmcall");
CODE(raise_pf, 64, "movb $1, (%rdi)\n\tvmmcall");
CODE(raise_step, 64, "nop\n\tvmmcall");
CODE(raise_int_n, 64, "int $0x50\n\tvmmcall");
CODE(raise_int_3, 64, ".byte 0xcd, 3\n\tvmmcall");

struct raiser {
	const char *name;
	const char *code;
	u8 vector;
	u32 error_code;
	u64 info2;
	u32 trap_skip; /* a trap comes behind an instruction of this length */
	void (*prepare)(void);
	void (*undo)(void);
	bool quirk; /* a known platform does not exit but delivers it */
};

static void use_noncanonical(void)
{
	svm_inner_regs.rax = BIT(47);
}

static void set_ts(void)
{
	svm_inner_vmcb.s.cr0 |= CR0_TS;
}

static void use_absent_segment(void)
{
	segment_set(SEL_SPARE, segment_descriptor(0, 0xfffff, ABSENT_DATA));
	svm_inner_regs.rax = SEL_SPARE;
}

static void use_absent_page(void)
{
	svm_inner_regs.rdi = (u64)absent_page;
	saved_entry = page_change(absent_page, 0, PTE_P);
}

static void restore_page(void)
{
	page_restore(absent_page, saved_entry);
}

static void set_tf(void)
{
	svm_inner_vmcb.s.rflags |= RFLAGS_TF;
}

static const struct raiser raisers[] = {
	{ .name = "#DE", .code = raise_de, .vector = EXC_DE },
	{ .name = "#DB of a single step",
	  .code = raise_step,
	  .vector = EXC_DB,
	  .trap_skip = 1,
	  .prepare = set_tf },
	{ .name = "#BP of INT3", .code = raise_bp, .vector = EXC_BP, .quirk = true },
	{ .name = "#UD", .code = raise_ud, .vector = EXC_UD },
	{ .name = "#NM", .code = raise_nm, .vector = EXC_NM, .prepare = set_ts },
	{ .name = "#NP",
	  .code = raise_np,
	  .vector = EXC_NP,
	  .error_code = SEL_SPARE,
	  .prepare = use_absent_segment },
	{ .name = "#SS",
	  .code = raise_ss,
	  .vector = EXC_SS,
	  .error_code = SEL_SPARE,
	  .prepare = use_absent_segment },
	{ .name = "#GP", .code = raise_gp, .vector = EXC_GP, .prepare = use_noncanonical },
	{ .name = "#PF",
	  .code = raise_pf,
	  .vector = EXC_PF,
	  .error_code = (u32)PF_W,
	  .info2 = (u64)absent_page,
	  .prepare = use_absent_page,
	  .undo = restore_page },
};

static void start(const struct raiser *r, u32 intercepts)
{
	svm_inner_reset(r->code);
	svm_inner_vmcb.c.intercept_exceptions = intercepts;
	if (r->prepare)
		r->prepare();
}

static void finish(const struct raiser *r)
{
	event_unwatch_all();
	if (r->undo)
		r->undo();
	test_end();
}

/* EXITINFO1 holds the error code of those that have one, and EXITINFO2 the address of #PF. */
static void exits(const struct raiser *r)
{
	char name[NAME_SIZE];
	struct svm_inner_exit exit;

	snprintf(name, sizeof(name), "%s exits with its bit set", r->name);
	test_begin(name, "When an exception is intercepted, EXITINFO1 holds its error code; for "
			 "#PF EXITINFO2 holds the linear address");
	start(r, BIT32(r->vector));
	event_watch(r->vector);
	svm_inner_run(&exit);
	if (r->quirk && exit.exit == SVM_EXIT_VMMCALL) {
		test_quirk("exit", exit.exit, SVM_EXIT_EXCEPTION_DE + r->vector);
	} else if (svm_inner_exited(&exit, (enum svm_exit)(SVM_EXIT_EXCEPTION_DE + r->vector))) {
		if (EXC_HAS_ERROR_CODE & BIT(r->vector))
			test_equal("EXITINFO1", exit.info1, r->error_code);
		if (r->info2)
			test_equal("EXITINFO2", exit.info2, r->info2);
		test_equal("RIP, from the start of the code", svm_inner_vmcb.s.rip - (u64)r->code,
			   r->trap_skip);
		test_equal("EXITINTINFO.V", exit.int_info & EVENT_VALID, 0);
		test_equal("number of events seen", event_seen.count, 0);
	}
	finish(r);
}

static void is_delivered(const struct raiser *r)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%s is delivered with its bit clear", r->name);
	test_begin(name, "Without its intercept an exception is delivered through the IDT");
	start(r, ~(BIT32(r->vector) | BIT32(EXC_NMI)));
	event_watch(r->vector);
	svm_inner_run_to_end();
	if (event_check(r->vector))
		test_equal("error code seen", event_seen.frame.error_code, r->error_code);
	if (r->vector == EXC_PF)
		test_equal("CR2", svm_inner_vmcb.s.cr2, r->info2);
	finish(r);
}

static void software_interrupt(const char *code, u8 vector)
{
	svm_inner_reset(code);
	svm_inner_vmcb.c.intercept_exceptions = ~BIT32(EXC_NMI);
	event_watch(vector);
	svm_inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 1);
	test_equal("bytes before the return address", event_seen.frame.rip - (u64)code, 2);
	event_unwatch_all();
}

static void int_n_does_not_exit(void)
{
	software_interrupt(raise_int_n, SOME_VECTOR);
}

static void int_3_does_not_exit(void)
{
	software_interrupt(raise_int_3, EXC_BP);
}

static void int3_is_no_int_n(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(raise_bp);
	svm_inner_vmcb.c.intercept1 |= INTERCEPT1_INTN;
	event_watch(EXC_BP);
	svm_inner_run(&exit);
	if (exit.exit == SVM_EXIT_INTN)
		test_quirk("exit", exit.exit, SVM_EXIT_VMMCALL);
	else if (svm_inner_exited(&exit, SVM_EXIT_VMMCALL))
		test_equal("number of events seen", event_seen.count, 1);
	event_unwatch_all();
}

static void pf_exit_keeps_cr2(void)
{
	struct svm_inner_exit exit;
	u64 before = read_cr2();

	svm_inner_reset(raise_pf);
	svm_inner_vmcb.c.intercept_exceptions = BIT32(EXC_PF);
	svm_inner_vmcb.s.cr2 = before;
	use_absent_page();
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_EXCEPTION_PF);
	test_equal("CR2", svm_inner_vmcb.s.cr2, before);
	restore_page();
}

static void db_exit_tells_by_dr6(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(raise_step);
	svm_inner_vmcb.c.intercept_exceptions = BIT32(EXC_DB);
	set_tf();
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_EXCEPTION_DB);
	/* QUIRK(bochs-2.7): DR6 is not written before the exit. */
	test_equal_or_quirk("DR6", svm_inner_vmcb.s.dr6, DR6_RESET | DR6_BS, DR6_RESET);
	test_equal("RFLAGS.TF", svm_inner_vmcb.s.rflags & RFLAGS_TF, RFLAGS_TF);
}

static const struct test tests[] = {
	{ "INT n does not exit", "INTn is not subject to exception intercepts",
	  int_n_does_not_exit },
	{ "INT 3 of two bytes does not exit", "INTn is not subject to exception intercepts",
	  int_3_does_not_exit },
	{ "INT3 does not exit by the INTn intercept", "INT3 is not INTn", int3_is_no_int_n },
	{ "#PF that exits leaves CR2 alone", "#PF: the intercept is before CR2 is written",
	  pf_exit_keeps_cr2 },
	{ "#DB that exits tells why in DR6",
	  "#DB: the guest's DR6 and DR7 are written as the exception would", db_exit_tells_by_dr6 },
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

const struct suite exceptions_suite = { count, run };
