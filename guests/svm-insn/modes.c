/*
 * Every instruction in every mode: where it is not allowed at all, and where it is although not in
 * 64-bit mode.
 */
#include "guests/svm-insn/insn_case.h"
#include "guests/lib/nestbed.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE 80

/* One form for all modes but 64-bit mode: the opcodes are the same. */
INSN_CODE(plain_vmrun, 32, "vmrun %eax");
INSN_CODE(plain_vmload, 32, "vmload %eax");
INSN_CODE(plain_vmsave, 32, "vmsave %eax");
INSN_CODE(plain_stgi, 32, "stgi");
INSN_CODE(plain_clgi, 32, "clgi");
INSN_CODE(plain_invlpga, 32, "invlpga %eax, %ecx");
INSN_CODE(plain_skinit, 32, "skinit %eax");
INSN_CODE(plain_vmmcall, 32, "vmmcall");

struct insn {
	const char *name;
	const char *code, *end;
	const char *plain_code, *plain_end;
	void *operand;
	void (*prepare)(void);
	void (*finish)(const struct exception_frame *end);
};

#define ROW(NAME, insn) NAME, code_##insn, code_##insn##_end, plain_##insn, plain_##insn##_end

static const struct insn insns[] = {
	{ ROW("VMRUN", vmrun), &svm_inner_vmcb, insn_prepare_run, insn_ran },
	{ ROW("VMLOAD", vmload), &insn_vls, NULL, NULL },
	{ ROW("VMSAVE", vmsave), &insn_vls, NULL, NULL },
	{ ROW("STGI", stgi), NULL, NULL, NULL },
	{ ROW("CLGI", clgi), NULL, NULL, NULL },
	{ ROW("INVLPGA", invlpga), NULL, NULL, NULL },
	{ ROW("SKINIT", skinit), NULL, NULL, NULL },
	{ ROW("VMMCALL", vmmcall), NULL, NULL, NULL },
};

/* A place, and what instructions do there; a bit per row of insns[]. */
struct place {
	const char *name, *rule;
	enum insn_state state;
	enum insn_mode mode;
	u32 faults_ud, faults_gp, succeeds;
};

#define ALL     0xffU
#define SKINIT  0x40U
#define VMMCALL 0x80U
/* QUIRK(bochs-2.7): CPUID has no SKINIT, but it is there: #GP at CPL 3, and with CPL 0 it ends the
 * emulator. */
#define USUAL (ALL & ~SKINIT & ~VMMCALL)

#define RULE_SVME                                                                             \
	"EFER.SVME enables the SVM instructions; they cause #UD while it is clear (STGI and " \
	"SKINIT: while it is clear and there is no SKINIT)"
#define RULE_CPL "#GP(0): CPL was not zero"
#define RULE_UD  "#UD: the instruction is only recognized in protected mode"
#define RULE_CALL                                                                        \
	"VMMCALL ... #UD: the hypervisor has not enabled an intercept for it, whatever " \
	"the CPL"

/*
 * QUIRK(bochs-2.7): an exit from virtual-8086 mode to a host in long mode ends the emulator, so
 * VMMCALL, which Nestbed intercepts, is not executed there.
 * QUIRK(qemu-7.2): in virtual-8086 mode TCG looks at the CPL, which is 3, and not at the mode.
 * DEVIATION: below Nestbed hardware's EFER.SVME is always set, and the CPL comes before the exit.
 */
static bool may_be_gp(const struct place *place)
{
	return place->mode == MODE_V86 ||
	       (place->mode == MODE_USER && place->state == STATE_OFF && nestbed_level());
}

static const struct place places[] = {
	{ "with EFER.SVME = 0", RULE_SVME, STATE_OFF, MODE_KERNEL, ALL, 0, 0 },
	{ "with EFER.SVME = 0 at CPL 3", "#UD comes before #GP: the mode before the CPL", STATE_OFF,
	  MODE_USER, ALL, 0, 0 },
	{ "with EFER.SVME = 0 in compatibility mode", RULE_SVME, STATE_OFF, MODE_COMPAT, ALL, 0,
	  0 },
	{ "with EFER.SVME = 0 in legacy mode", RULE_SVME, STATE_OFF, MODE_LEGACY, ALL, 0, 0 },
	{ "at CPL 3", RULE_CPL, STATE_ON, MODE_USER, VMMCALL, USUAL, 0 },
	{ "in compatibility mode at CPL 3", RULE_CPL, STATE_ON, MODE_COMPAT_USER, VMMCALL, USUAL,
	  0 },
	{ "in legacy mode at CPL 3", RULE_CPL, STATE_ON, MODE_LEGACY_USER, VMMCALL, USUAL, 0 },
	{ "in virtual-8086 mode", RULE_UD, STATE_ON, MODE_V86, ALL & ~VMMCALL, 0, 0 },
	{ "in 64-bit mode", RULE_CALL, STATE_ON, MODE_KERNEL, VMMCALL, 0, USUAL },
	{ "in compatibility mode", "\"Protected mode\" includes compatibility mode", STATE_ON,
	  MODE_COMPAT, VMMCALL, 0, USUAL },
	{ "in legacy mode", "\"Protected mode\" is not only long mode", STATE_ON, MODE_LEGACY,
	  VMMCALL, 0, USUAL },
};

static u32 tested(const struct place *place)
{
	return place->faults_ud | place->faults_gp | place->succeeds;
}

static u32 count(void)
{
	u32 points = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (u32 bits = tested(&places[i]); bits; bits &= bits - 1)
			points++;
	}
	return points;
}

static void run_one(const struct place *place, const struct insn *insn, u32 bit)
{
	bool gp = place->faults_gp & bit, succeeds = place->succeeds & bit;
	bool is_long = place->mode <= MODE_USER;
	char name[NAME_SIZE];
	struct insn_case c = {
		.name = name,
		.rule = place->rule,
		.code = is_long ? insn->code : insn->plain_code,
		.end = is_long ? insn->end : insn->plain_end,
		.want = FAULTS(gp ? EXC_GP : EXC_UD),
		.state = place->state,
		.mode = place->mode,
		.rax = (u64)insn->operand,
		.prepare = insn->prepare,
		.finish = insn->finish,
	};

	if (succeeds)
		c.want = (struct insn_want)SUCCEEDS;
	if (may_be_gp(place))
		c.want.or_vector = EXC_GP;
	snprintf(name, sizeof(name), "%s %s: %s", insn->name, place->name,
		 succeeds ? "executes"
		 : gp     ? "#GP(0)"
			  : "#UD");
	insn_case_run(&c);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (u32 row = 0; row < ARRAY_SIZE(insns); row++) {
			if (tested(&places[i]) & BIT32(row))
				run_one(&places[i], &insns[row], BIT32(row));
		}
	}
}

const struct suite modes_suite = { count, run };
