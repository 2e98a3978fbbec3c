/*
 * Operand forms in 64-bit mode: every register as source and destination, every addressing form,
 * segment bases, address size, operands across a page boundary. L1 decodes all of this from the
 * exit's instruction information when it emulates the instruction.
 */
#include "guests/vmx-insn/insn_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define NAME_SIZE  80
#define SOME_VALUE 0x0f1e2d3c4b5a6978ULL
#define AREA_SIZE  (4 * PAGE_SIZE)
#define TARGET     (PAGE_SIZE + 0x100)
#define CROSSING   (2 * PAGE_SIZE - 4)

/*
 * Register forms. The field number starts in RAX and the value to write in RDX, where a value read
 * ends up too; RBX keeps the register under test, which may be RSP.
 */
#define REGISTER_CODES(reg)                                                              \
	CODE(read_to_##reg, 64,                                                          \
	     "mov %" #reg ", %rbx\n\tvmread %rax, %" #reg "\n\tmov %" #reg ", %rdx\n\t"  \
	     "mov %rbx, %" #reg END_EXCURSION);                                          \
	CODE(read_from_##reg, 64,                                                        \
	     "mov %" #reg ", %rbx\n\tmov %rax, %" #reg "\n\tvmread %" #reg ", %rdx\n\t"  \
	     "mov %rbx, %" #reg END_EXCURSION);                                          \
	CODE(write_from_##reg, 64,                                                       \
	     "mov %" #reg ", %rbx\n\tmov %rdx, %" #reg "\n\tvmwrite %" #reg ", %rax\n\t" \
	     "mov %rbx, %" #reg END_EXCURSION);                                          \
	CODE(write_to_##reg, 64,                                                         \
	     "mov %" #reg ", %rbx\n\tmov %rax, %" #reg "\n\tvmwrite %rdx, %" #reg "\n\t" \
	     "mov %rbx, %" #reg END_EXCURSION);

#define REGISTER_ROWS(reg)                                                \
	{ "VMREAD to " #reg, read_to_##reg, false },                      \
		{ "VMREAD of a field in " #reg, read_from_##reg, false }, \
		{ "VMWRITE from " #reg, write_from_##reg, true },         \
		{ "VMWRITE of a field in " #reg, write_to_##reg, true },

#define FOR_REGISTERS(X) \
	X(rcx) X(rsp) X(rbp) X(rsi) X(rdi) X(r8) X(r9) X(r10) X(r11) X(r12) X(r13) X(r14) X(r15)

FOR_REGISTERS(REGISTER_CODES)

/* The three that the forms above need for themselves. */
CODE(read_to_rax, 64, "vmread %rax, %rax\n\tmov %rax, %rdx" END_EXCURSION);
CODE(read_from_rax, 64, "vmread %rax, %rdx" END_EXCURSION);
CODE(write_from_rax, 64, "xchg %rax, %rdx\n\tvmwrite %rax, %rdx" END_EXCURSION);
CODE(write_to_rax, 64, "vmwrite %rdx, %rax" END_EXCURSION);
CODE(read_to_rbx, 64, "vmread %rax, %rbx\n\tmov %rbx, %rdx" END_EXCURSION);
CODE(read_from_rbx, 64, "mov %rax, %rbx\n\tvmread %rbx, %rdx" END_EXCURSION);
CODE(write_from_rbx, 64, "mov %rdx, %rbx\n\tvmwrite %rbx, %rax" END_EXCURSION);
CODE(write_to_rbx, 64, "mov %rax, %rbx\n\tvmwrite %rdx, %rbx" END_EXCURSION);
CODE(read_from_rdx, 64, "mov %rax, %rdx\n\tvmread %rdx, %rdx" END_EXCURSION);

struct register_form {
	const char *name, *code;
	bool write;
};

static const struct register_form register_forms[] = {
	FOR_REGISTERS(REGISTER_ROWS){ "VMREAD to rax", read_to_rax, false },
	{ "VMREAD of a field in rax", read_from_rax, false },
	{ "VMWRITE from rax", write_from_rax, true },
	{ "VMWRITE of a field in rax", write_to_rax, true },
	{ "VMREAD to rbx", read_to_rbx, false },
	{ "VMREAD of a field in rbx", read_from_rbx, false },
	{ "VMWRITE from rbx", write_from_rbx, true },
	{ "VMWRITE of a field in rbx", write_to_rbx, true },
	{ "VMREAD of a field in rdx to rdx", read_from_rdx, false },
};

static void set_field(void)
{
	vmx_set(PLAIN_FIELD, SOME_VALUE);
}

static void rdx_is_value(const struct exception_frame *end)
{
	test_equal("destination register", end->rdx, SOME_VALUE);
}

static void field_is_value(const struct exception_frame *end)
{
	(void)end;
	test_equal("field", vmx_get(PLAIN_FIELD), SOME_VALUE);
}

static void run_register_form(const struct register_form *form)
{
	insn_case_run(&(struct insn_case){
		.name = form->name,
		.rule = "ModRM:r/m and ModRM:reg name any of the 16 registers in 64-bit mode",
		.code = form->code,
		.want = SUCCEEDS,
		.state = STATE_CURRENT,
		.rax = PLAIN_FIELD,
		.rdx = form->write ? SOME_VALUE : 0,
		.prepare = form->write ? NULL : set_field,
		.finish = form->write ? field_is_value : rdx_is_value,
	});
}

/*
 * Memory forms, all of VMPTRST, which tells by what it wrote where the operand was: at `target`.
 * RDI and RCX are set so that a right decoding leads there.
 */
static u8 area[AREA_SIZE] __attribute__((aligned(4096)));

#define RULE_ADDRESS "the operand's address is base + index * scale + displacement"

CODE(at_base, 64, "vmptrst (%rdi)" END_EXCURSION);
CODE(at_disp8, 64, "vmptrst 0x40(%rdi)" END_EXCURSION);
CODE(at_minus, 64, "vmptrst -0x40(%rdi)" END_EXCURSION);
CODE(at_disp32, 64, "vmptrst 0x1000(%rdi)" END_EXCURSION);
CODE(at_minus32, 64, "vmptrst -0x1000(%rdi)" END_EXCURSION);
CODE(at_scale1, 64, "vmptrst (%rdi, %rcx)" END_EXCURSION);
CODE(at_scale2, 64, "vmptrst (%rdi, %rcx, 2)" END_EXCURSION);
CODE(at_scale4, 64, "vmptrst 8(%rdi, %rcx, 4)" END_EXCURSION);
CODE(at_scale8, 64, "vmptrst -8(%rdi, %rcx, 8)" END_EXCURSION);
CODE(at_index_only, 64, "vmptrst 0x100(, %rcx)" END_EXCURSION);
CODE(at_absolute, 64, "vmptrst area_absolute" END_EXCURSION);
CODE(at_rip, 64, "vmptrst area_absolute(%rip)" END_EXCURSION);
CODE(at_rsp, 64,
     "mov %rsp, %rbx\n\tmov %rdi, %rsp\n\tvmptrst 8(%rsp)\n\tmov %rbx, %rsp" END_EXCURSION);
CODE(at_rbp, 64, "mov %rdi, %rbp\n\tvmptrst (%rbp)" END_EXCURSION);
CODE(at_r12, 64, "mov %rdi, %r12\n\tvmptrst (%r12)" END_EXCURSION);
CODE(at_r13, 64, "mov %rdi, %r13\n\tvmptrst (%r13)" END_EXCURSION);
CODE(at_high, 64, "mov %rdi, %r15\n\tmov %rcx, %r9\n\tvmptrst 0x10(%r15, %r9, 2)" END_EXCURSION);
CODE(at_r12_index, 64, "mov %rcx, %r12\n\tvmptrst (%rdi, %r12, 8)" END_EXCURSION);
CODE(at_fs, 64, "vmptrst %fs:(%rdi)" END_EXCURSION);
CODE(at_gs, 64, "vmptrst %gs:0x20(%rdi, %rcx)" END_EXCURSION);
CODE(at_es, 64, "vmptrst %es:(%rdi)" END_EXCURSION);
CODE(at_addr32, 64, "vmptrst (%edi)" END_EXCURSION);
CODE(at_addr32_sum, 64, "vmptrst 0x20(%edi, %ecx, 4)" END_EXCURSION);
CODE(at_addr32_fs, 64, "vmptrst %fs:(%edi)" END_EXCURSION);

/* What the absolute and the RIP-relative form name. */
extern u64 area_absolute;
u64 area_absolute;

struct memory_form {
	const char *name, *code;
	u64 rdi, rcx;
	u64 fs_base, gs_base;
	const void *target;
};

#define AT (area + TARGET)

static const struct memory_form memory_forms[] = {
	{ "base", at_base, (u64)AT, 0, 0, 0, AT },
	{ "base + disp8", at_disp8, (u64)AT - 0x40, 0, 0, 0, AT },
	{ "base - disp8", at_minus, (u64)AT + 0x40, 0, 0, 0, AT },
	{ "base + disp32", at_disp32, (u64)AT - 0x1000, 0, 0, 0, AT },
	{ "base - disp32", at_minus32, (u64)AT + 0x1000, 0, 0, 0, AT },
	{ "base + index", at_scale1, (u64)AT - 0x55, 0x55, 0, 0, AT },
	{ "base + index * 2", at_scale2, (u64)AT - 0x60, 0x30, 0, 0, AT },
	{ "base + index * 4 + disp8", at_scale4, (u64)AT - 8 - 0xc0, 0x30, 0, 0, AT },
	{ "base + negative index * 8 - disp8", at_scale8, (u64)AT + 8 + 0x80, -0x10UL, 0, 0, AT },
	{ "index + disp32", at_index_only, 0, (u64)&area_absolute - 0x100, 0, 0, &area_absolute },
	{ "disp32", at_absolute, 0, 0, 0, 0, &area_absolute },
	{ "RIP + disp32", at_rip, 0, 0, 0, 0, &area_absolute },
	{ "RSP + disp8", at_rsp, (u64)AT - 8, 0, 0, 0, AT },
	{ "RBP", at_rbp, (u64)AT, 0, 0, 0, AT },
	{ "R12", at_r12, (u64)AT, 0, 0, 0, AT },
	{ "R13", at_r13, (u64)AT, 0, 0, 0, AT },
	{ "R15 + R9 * 2 + disp8", at_high, (u64)AT - 0x10 - 0x40, 0x20, 0, 0, AT },
	{ "base + R12 * 8", at_r12_index, (u64)AT - 0x80, 0x10, 0, 0, AT },
	{ "FS base + base", at_fs, 0x100, 0, (u64)AT - 0x100, 0, AT },
	{ "GS base + base + index + disp8", at_gs, 0x100, 0x10, 0, (u64)AT - 0x130, AT },
	{ "base with an ES prefix, which is ignored", at_es, (u64)AT, 0, 0, 0, AT },
	{ "32-bit base, RDI cut", at_addr32, (u64)AT + BIT(40), 0, 0, 0, AT },
	{ "32-bit base + index * 4 + disp8, sum cut", at_addr32_sum, (u64)AT - 0x20 + 0x100,
	  0xffffffc0, 0, 0, AT },
	{ "FS base + 32-bit base", at_addr32_fs, BIT(33) + 0x100, 0, (u64)AT - 0x100, 0, AT },
	{ "base across a page boundary", at_base, (u64)area + CROSSING, 0, 0, 0, area + CROSSING },
};

static const struct memory_form *current_form;

static void set_bases(void)
{
	memset(area, 0, sizeof(area));
	area_absolute = 0;
	wrmsr(MSR_FS_BASE, current_form->fs_base);
	wrmsr(MSR_GS_BASE, current_form->gs_base);
}

static void pointer_is_stored(const struct exception_frame *end)
{
	u64 found;

	(void)end;
	memcpy(&found, current_form->target, sizeof(found));
	test_equal("quadword at the operand", found, (u64)&inner_vmcs);
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
}

static void run_memory_form(const struct memory_form *form)
{
	char name[NAME_SIZE];
	const struct insn_case c = {
		.name = name,
		.rule = RULE_ADDRESS,
		.code = form->code,
		.want = SUCCEEDS,
		.state = STATE_CURRENT,
		.rdi = form->rdi,
		.rcx = form->rcx,
		.prepare = set_bases,
		.finish = pointer_is_stored,
	};

	current_form = form;
	snprintf(name, sizeof(name), "VMPTRST to %s", form->name);
	insn_case_run(&c);
}

/* The other instructions: one rich addressing form each, and operands across a page boundary. */
CODE(read_rich, 64,
     "mov %rax, %r10\n\tmov %rdi, %r14\n\tmov %rcx, %r13\n\t"
     "vmread %r10, 0x18(%r14, %r13, 4)" END_EXCURSION);
CODE(write_rich, 64,
     "mov %rax, %r10\n\tmov %rdi, %r14\n\tmov %rcx, %r13\n\t"
     "vmwrite 0x18(%r14, %r13, 4), %r10" END_EXCURSION);
CODE(invvpid_rich, 64,
     "mov %rax, %r11\n\tmov %rdi, %r8\n\tinvvpid -0x20(%r8, %rcx, 2), %r11" END_EXCURSION);
CODE(invept_rich, 64,
     "mov %rax, %r11\n\tmov %rdi, %r8\n\tinvept -0x20(%r8, %rcx, 2), %r11" END_EXCURSION);

#define RICH_BASE(at)  ((u64)(at)-0x18 - 0x100)
#define RICH_INDEX     0x40
#define SHORT_BASE(at) ((u64)(at) + 0x20 - 0x80)
#define ACROSS         (area + CROSSING)
#define RULE_ACROSS    "an operand may cross a page boundary"

static void put_at(void *to, u64 first, u64 second)
{
	u64 operand[2] = { first, second };

	memset(area, 0, sizeof(area));
	memcpy(to, operand, sizeof(operand));
}

static void put_value(void)
{
	put_at(AT, SOME_VALUE, 0);
}

static void put_value_across(void)
{
	put_at(ACROSS, SOME_VALUE, 0);
}

static void put_vmxon_across(void)
{
	put_at(ACROSS, (u64)&inner_vmxon, 0);
}

static void put_other_across(void)
{
	put_at(ACROSS, (u64)&inner_other_vmcs, 0);
}

static void put_current_across(void)
{
	put_at(ACROSS, (u64)&inner_vmcs, 0);
}

static void put_vpid(void)
{
	put_at(AT, 1, (u64)area);
}

static void put_vpid_across(void)
{
	put_at(ACROSS, 1, (u64)area);
}

static void put_eptp_across(void)
{
	put_at(ACROSS, (u64)&inner_other_vmcs | EPTP_WALK_4 | MEMTYPE_WB, 0);
}

static void clear_area_set_field(void)
{
	put_at(AT, 0, 0);
	set_field();
}

static void quadword_is_value(const u8 *at)
{
	u64 found;

	memcpy(&found, at, sizeof(found));
	test_equal("quadword at the operand", found, SOME_VALUE);
}

static void value_is_stored(const struct exception_frame *end)
{
	(void)end;
	quadword_is_value(AT);
}

static void value_is_stored_across(const struct exception_frame *end)
{
	(void)end;
	quadword_is_value(ACROSS);
}

static void current_is(const struct vmx_region *region)
{
	u64 found = 0;

	vmx_vmptrst(&found);
	test_true("the operand named the current VMCS", found == (u64)region);
}

static void other_is_current(const struct exception_frame *end)
{
	(void)end;
	current_is(&inner_other_vmcs);
}

static void none_is_current(const struct exception_frame *end)
{
	u64 found = 0;

	(void)end;
	vmx_vmptrst(&found);
	test_equal("current-VMCS pointer", found, ~0ULL);
}

static const struct insn_case other_forms[] = {
	{ "VMREAD to memory, rich form", RULE_ADDRESS, read_rich, SUCCEEDS, .state = STATE_CURRENT,
	  .rax = PLAIN_FIELD, .rdi = RICH_BASE(AT), .rcx = RICH_INDEX,
	  .prepare = clear_area_set_field, .finish = value_is_stored },
	{ "VMWRITE from memory, rich form", RULE_ADDRESS, write_rich, SUCCEEDS,
	  .state = STATE_CURRENT, .rax = PLAIN_FIELD, .rdi = RICH_BASE(AT), .rcx = RICH_INDEX,
	  .prepare = put_value, .finish = field_is_value },
	{ "INVVPID, rich form", RULE_ADDRESS, invvpid_rich, SUCCEEDS, .state = STATE_CURRENT,
	  .rax = INVVPID_ADDRESS, .rdi = SHORT_BASE(AT), .rcx = RICH_INDEX, .prepare = put_vpid },
	{ "VMREAD across a page boundary", RULE_ACROSS, code_vmread_memory, SUCCEEDS,
	  .state = STATE_CURRENT, .rax = PLAIN_FIELD, .rdi = (u64)ACROSS,
	  .prepare = clear_area_set_field, .finish = value_is_stored_across },
	{ "VMWRITE across a page boundary", RULE_ACROSS, code_vmwrite_memory, SUCCEEDS,
	  .state = STATE_CURRENT, .rax = PLAIN_FIELD, .rdi = (u64)ACROSS,
	  .prepare = put_value_across, .finish = field_is_value },
	{ "VMXON across a page boundary", RULE_ACROSS, code_vmxon, SUCCEEDS, .state = STATE_ENABLED,
	  .rdi = (u64)ACROSS, .prepare = put_vmxon_across, .finish = none_is_current },
	{ "VMPTRLD across a page boundary", RULE_ACROSS, code_vmptrld, SUCCEEDS,
	  .state = STATE_CURRENT, .rdi = (u64)ACROSS, .prepare = put_other_across,
	  .finish = other_is_current },
	{ "VMCLEAR across a page boundary", RULE_ACROSS, code_vmclear, SUCCEEDS,
	  .state = STATE_CURRENT, .rdi = (u64)ACROSS, .prepare = put_current_across,
	  .finish = none_is_current },
	{ "INVVPID across a page boundary", RULE_ACROSS, code_invvpid, SUCCEEDS,
	  .state = STATE_CURRENT, .rcx = INVVPID_ADDRESS, .rdi = (u64)ACROSS,
	  .prepare = put_vpid_across },
};

static const struct insn_case invept_forms[] = {
	{ "INVEPT, rich form", RULE_ADDRESS, invept_rich, SUCCEEDS, .state = STATE_CURRENT,
	  .rax = INVEPT_GLOBAL, .rdi = SHORT_BASE(AT), .rcx = RICH_INDEX },
	{ "INVEPT across a page boundary", RULE_ACROSS, code_invept, SUCCEEDS,
	  .state = STATE_CURRENT, .rcx = INVEPT_SINGLE, .rdi = (u64)ACROSS,
	  .prepare = put_eptp_across },
};

static u32 operands_count(void)
{
	return ARRAY_SIZE(register_forms) + ARRAY_SIZE(memory_forms) + ARRAY_SIZE(other_forms) +
	       (inner_with_ept() ? ARRAY_SIZE(invept_forms) : 0);
}

static void operands_run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(register_forms); i++)
		run_register_form(&register_forms[i]);
	for (size_t i = 0; i < ARRAY_SIZE(memory_forms); i++)
		run_memory_form(&memory_forms[i]);
	insn_cases_run(other_forms, ARRAY_SIZE(other_forms));
	if (inner_with_ept())
		insn_cases_run(invept_forms, ARRAY_SIZE(invept_forms));
}

const struct suite operands_suite = { operands_count, operands_run };
