/*
 * Every instruction where it is not allowed at all: VMX off, before VMXON, compatibility mode,
 * CPL 3.
 */
#include "guests/vmx-insn/insn_case.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define NAME_SIZE 80

CODE(compat_vmxon, 32, "vmxon (%edi)" END_EXCURSION);
CODE(compat_vmxoff, 32, "vmxoff" END_EXCURSION);
CODE(compat_vmclear, 32, "vmclear (%edi)" END_EXCURSION);
CODE(compat_vmptrld, 32, "vmptrld (%edi)" END_EXCURSION);
CODE(compat_vmptrst, 32, "vmptrst (%edi)" END_EXCURSION);
CODE(compat_vmread, 32, "vmread %eax, %edx" END_EXCURSION);
CODE(compat_vmwrite, 32, "vmwrite %edx, %eax" END_EXCURSION);
CODE(compat_vmlaunch, 32, "vmlaunch" END_EXCURSION);
CODE(compat_vmresume, 32, "vmresume" END_EXCURSION);
CODE(compat_invept, 32, "invept (%edi), %ecx" END_EXCURSION);
CODE(compat_invvpid, 32, "invvpid (%edi), %ecx" END_EXCURSION);
CODE(compat_vmcall, 32, "vmcall" END_EXCURSION);
CODE(compat_vmfunc, 32, "vmfunc" END_EXCURSION);

struct insn {
	const char *name, *code, *compat_code;
	void *operand;
};

static const struct insn insns[] = {
	{ "VMXON", code_vmxon, compat_vmxon, &operand_vmxon },
	{ "VMXOFF", code_vmxoff, compat_vmxoff, NULL },
	{ "VMCLEAR", code_vmclear, compat_vmclear, &operand_other },
	{ "VMPTRLD", code_vmptrld, compat_vmptrld, &operand_other },
	{ "VMPTRST", code_vmptrst, compat_vmptrst, &operand_result },
	{ "VMREAD", code_vmread, compat_vmread, NULL },
	{ "VMWRITE", code_vmwrite, compat_vmwrite, NULL },
	{ "VMLAUNCH", code_vmlaunch, compat_vmlaunch, NULL },
	{ "VMRESUME", code_vmresume, compat_vmresume, NULL },
	{ "INVEPT", code_invept, compat_invept, &operand_invept },
	{ "INVVPID", code_invvpid, compat_invvpid, &operand_invvpid },
	{ "VMCALL", code_vmcall, compat_vmcall, NULL },
	{ "VMFUNC", code_vmfunc, compat_vmfunc, NULL },
};

/* A place where instructions are not allowed, and what they do there; a bit per row of insns[]. */
struct place {
	const char *name, *rule;
	enum insn_state state;
	enum insn_mode mode;
	u32 faults_ud, faults_gp;
};

#define ALL    0x1fffU
#define VMXON  0x0001U
#define INVEPT 0x0200U
#define VMFUNC 0x1000U

static const struct place places[] = {
	{ "with CR4.VMXE = 0",
	  "VMXON: IF (register operand) or (CR0.PE = 0) or (CR4.VMXE = 0) ... "
	  "THEN #UD; the others: IF (not in VMX operation) ... THEN #UD",
	  STATE_OFF, MODE_KERNEL, ALL, 0 },
	{ "with CR4.VMXE = 0 at CPL 3", "#UD comes before #GP: the mode is tested before the CPL",
	  STATE_OFF, MODE_USER, ALL, 0 },
	{ "before VMXON", "IF (not in VMX operation) ... THEN #UD", STATE_ENABLED, MODE_KERNEL,
	  ALL & ~VMXON, 0 },
	{ "before VMXON at CPL 3",
	  "IF (not in VMX operation) ... THEN #UD; VMXON: ELSIF not in "
	  "VMX operation THEN IF (CPL > 0) ... THEN #GP(0)",
	  STATE_ENABLED, MODE_USER, ALL & ~VMXON, VMXON },
	{ "before VMXON in compatibility mode", "VMXON: (IA32_EFER.LMA = 1 and CS.L = 0) THEN #UD",
	  STATE_ENABLED, MODE_COMPAT, ALL, 0 },
	{ "in root operation at CPL 3", "ELSIF CPL > 0 THEN #GP(0)", STATE_CURRENT, MODE_USER,
	  VMFUNC, ALL & ~VMFUNC },
	{ "in compatibility mode", "(IA32_EFER.LMA = 1 and CS.L = 0) THEN #UD", STATE_CURRENT,
	  MODE_COMPAT, ALL, 0 },
	{ "in compatibility mode at CPL 3", "(IA32_EFER.LMA = 1 and CS.L = 0) THEN #UD",
	  STATE_CURRENT, MODE_COMPAT_USER, ALL, 0 },
	{ "without a current VMCS at CPL 3",
	  "ELSIF CPL > 0 THEN #GP(0), before ELSIF "
	  "current-VMCS pointer is not valid",
	  STATE_ROOT, MODE_USER, VMFUNC, ALL & ~VMFUNC },
	{ "in root operation", "VMFUNC is #UD outside VMX non-root operation", STATE_CURRENT,
	  MODE_KERNEL, VMFUNC, 0 },
};

/* INVEPT exists only where EPT does. */
static u32 tested(const struct place *place)
{
	u32 bits = place->faults_ud | place->faults_gp;

	return inner_with_ept() ? bits : bits & ~INVEPT;
}

static u32 modes_count(void)
{
	u32 points = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (u32 bits = tested(&places[i]); bits; bits &= bits - 1)
			points++;
	}
	return points;
}

static void run(const struct place *place, const struct insn *insn, bool gp)
{
	char name[NAME_SIZE];
	struct insn_case c = {
		.name = name,
		.rule = place->rule,
		.code = place->mode >= MODE_COMPAT ? insn->compat_code : insn->code,
		.want = FAULTS(EXC_UD, 0),
		.state = place->state,
		.mode = place->mode,
		.rax = PLAIN_FIELD,
		.rcx = INVEPT_GLOBAL,
		.rdi = (u64)insn->operand,
	};

	if (gp)
		c.want.number = EXC_GP;
	snprintf(name, sizeof(name), "%s %s: %s", insn->name, place->name, gp ? "#GP(0)" : "#UD");
	insn_case_run(&c);
}

static void modes_run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (u32 bit = 0; bit < ARRAY_SIZE(insns); bit++) {
			if ((tested(&places[i]) >> bit) & 1)
				run(&places[i], &insns[bit], (places[i].faults_gp >> bit) & 1);
		}
	}
}

const struct suite modes_suite = { modes_count, modes_run };
