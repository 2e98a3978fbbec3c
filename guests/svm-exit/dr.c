/*
 * Debug registers: every read and write intercept. APM 2 "Instruction Intercepts" (15.9). DR0 to
 * DR3 are in no field of a VMCB: without intercept the guest has ours.
 */
#include "guests/svm-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define REGISTERS  8
#define NAME_SIZE  64
#define SOME_VALUE 0x12345678U

#define FROM(n) CODE(d_from_##n, 64, "mov %dr" #n ", %rbx" SVM_INNER_DONE)
#define TO(n)   CODE(d_to_##n, 64, "mov %rsi, %dr" #n SVM_INNER_DONE)

FROM(0);
FROM(1);
FROM(2);
FROM(3);
FROM(6);
FROM(7);
TO(0);
TO(1);
TO(2);
TO(3);
TO(6);
TO(7);

static const char *const from_codes[REGISTERS] = {
	d_from_0, d_from_1, d_from_2, d_from_3, NULL, NULL, d_from_6, d_from_7,
};

static const char *const to_codes[REGISTERS] = {
	d_to_0, d_to_1, d_to_2, d_to_3, NULL, NULL, d_to_6, d_to_7,
};

static void set_gd(void)
{
	svm_inner_vmcb.s.dr7 |= BIT(13);
}

static void value_passes(void)
{
	u64 seen;

	__asm__ volatile("mov %%dr1, %0" : "=r"(seen));
	test_equal("our DR1", seen, SOME_VALUE);
	__asm__ volatile("mov %0, %%dr1" : : "r"(0UL));
}

static void dr7_was_read(void)
{
	test_equal("DR7 as the guest read it", svm_inner_regs.rbx, svm_inner_vmcb.s.dr7);
}

static void dr7_was_written(void)
{
	test_equal("DR7", svm_inner_vmcb.s.dr7, SOME_VALUE & 0x455);
}

#define RULE_READ  "Intercept reads of DR0-15, inclusive"
#define RULE_WRITE "Intercept writes of DR0-15, inclusive"

static const struct exit_case cases[] = {
	{ "MOV from DR1 does not exit by other intercepts", RULE_READ, d_from_1, NO_EXIT,
	  .dr = ~INTERCEPT_DR_READ(1) },
	{ "MOV to DR1 does not exit by other intercepts", RULE_WRITE, d_to_1, NO_EXIT,
	  .dr = ~INTERCEPT_DR_WRITE(1), .rsi = SOME_VALUE, .finish = value_passes },
	{ "MOV from DR7 does not exit", RULE_READ, d_from_7, NO_EXIT, .finish = dr7_was_read },
	{ "MOV to DR7 does not exit", RULE_WRITE, d_to_7, NO_EXIT, .rsi = SOME_VALUE & 0x455,
	  .finish = dr7_was_written },
	{ "MOV from DR0 at CPL 3 is #GP", "Checks all exceptions before the intercept", d_from_0,
	  RAISES_GP, .dr = INTERCEPT_DR_READ(0), .user = true },
	{ "MOV from DR0 with DR7.GD is #DB", "Checks all exceptions before the intercept", d_from_0,
	  .dr = INTERCEPT_DR_READ(0), .exit = SVM_EXIT_EXCEPTION_DB, .prepare = set_gd,
	  .quirk = SVM_EXIT_DR0_READ },
};

static void run_access(u32 number, bool write)
{
	char name[NAME_SIZE];
	struct exit_case c = {
		.name = name,
		.rule = write ? RULE_WRITE : RULE_READ,
		.code = write ? to_codes[number] : from_codes[number],
		.dr = write ? INTERCEPT_DR_WRITE(number) : INTERCEPT_DR_READ(number),
		.exit = (enum svm_exit)((write ? SVM_EXIT_DR0_WRITE : SVM_EXIT_DR0_READ) + number),
		.decoded = write ? R_SI : R_BX,
		.length = 3,
	};

	if (!c.code)
		return;
	if (number == 7 && write)
		c.rsi = 0x400;
	snprintf(name, sizeof(name), "MOV %s DR%u exits", write ? "to" : "from", number);
	exit_case_run(&c);
}

static u32 count(void)
{
	return 2 * (REGISTERS - 2) + ARRAY_SIZE(cases); /* DR4 and DR5 are other names */
}

static void run(void)
{
	for (u32 number = 0; number < REGISTERS; number++) {
		run_access(number, false);
		run_access(number, true);
	}
	exit_cases_run(cases, ARRAY_SIZE(cases));
}

const struct suite dr_suite = { count, run };
