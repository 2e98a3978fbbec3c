/*
 * VMX instructions in 32-bit protected mode: operand size, segment bases, limits and types, 16-bit
 * addresses and code, page faults, CPL 3, virtual-8086 mode.
 */
#include "guests/vmx-insn/legacy_case.h"
#include "guests/lib/pages.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define HALF_VALUE 0xa5a5a5a5U
#define NO_FIELD   0x7ffeU
#define AT(offset) (legacy_area + (offset))
CODE(l32_vmptrst, 32, "vmptrst (%edi)" END_EXCURSION);
CODE(l32_vmptrst_es, 32, "vmptrst %es:(%edi)" END_EXCURSION);
CODE(l32_vmptrst_fs, 32, "vmptrst %fs:(%edi)" END_EXCURSION);
CODE(l32_vmptrst_gs, 32, "vmptrst %gs:(%edi)" END_EXCURSION);
CODE(l32_vmptrst_ss, 32, "vmptrst %ss:(%edi)" END_EXCURSION);
CODE(l32_vmptrst_cs, 32, "vmptrst %cs:(%edi)" END_EXCURSION);
CODE(l32_vmptrst_ebp, 32, "mov %edi, %ebp\n\tvmptrst (%ebp)" END_EXCURSION);
CODE(l32_vmptrst_esp, 32, "vmptrst -0x20(%esp)" END_EXCURSION);
CODE(l32_vmptrst_sib, 32, "vmptrst 0x10(%edi, %ecx, 8)" END_EXCURSION);
CODE(l32_vmptrst_disp, 32, "vmptrst legacy_absolute" END_EXCURSION);
CODE(l32_vmptrld, 32, "vmptrld (%edi)" END_EXCURSION);
CODE(l32_vmptrld_cs, 32, "vmptrld %cs:legacy_area" END_EXCURSION);
CODE(l32_vmclear, 32, "vmclear (%edi)" END_EXCURSION);
CODE(l32_vmxon, 32, "vmxon (%edi)" END_EXCURSION);
CODE(l32_vmread, 32, "vmread %eax, %edx" END_EXCURSION);
CODE(l32_vmread_memory, 32, "vmread %eax, (%edi)" END_EXCURSION);
CODE(l32_vmwrite, 32, "vmwrite %edx, %eax" END_EXCURSION);
CODE(l32_vmwrite_memory, 32, "vmwrite (%edi), %eax" END_EXCURSION);
CODE(l32_invvpid, 32, "invvpid (%edi), %ecx" END_EXCURSION);
CODE(l32_vmlaunch, 32, "vmlaunch" END_EXCURSION);
CODE(l32_bx_si, 32, "vmptrst 0x10(%bx, %si)" END_EXCURSION);
CODE(l32_bx_di, 32, "vmptrst (%bx, %di)" END_EXCURSION);
CODE(l32_bp_si, 32, "mov %bx, %bp\n\tvmptrst (%bp, %si)" END_EXCURSION);
CODE(l32_si, 32, "vmptrst -0x10(%si)" END_EXCURSION);
CODE(l32_bx, 32, "vmptrst 0x100(%bx)" END_EXCURSION);
CODE(l16_vmptrst, 16, "vmptrst 0x10(%bx, %di)" END_EXCURSION);
CODE(l16_vmread, 16, "vmread %eax, %edx" END_EXCURSION);
CODE(l16_vmread_memory, 16, "vmread %eax, (%di)" END_EXCURSION);
CODE(v86_vmxon, 16, "vmxon (%di)");
CODE(v86_vmcall, 16, "vmcall");
CODE(v86_vmread, 16, "vmread %eax, %edx");

extern u64 legacy_absolute;
u64 legacy_absolute;

static void store(u32 offset, u64 value)
{
	memset(legacy_area, 0, sizeof(legacy_area));
	memcpy(AT(offset), &value, sizeof(value));
}

static void store_other(void)
{
	store(0, (u64)&inner_other_vmcs);
}

static u64 stored(u32 offset)
{
	u64 value;

	memcpy(&value, AT(offset), sizeof(value));
	return value;
}

static void pointer_at(u32 offset)
{
	test_equal("quadword at the operand", stored(offset), (u64)&inner_vmcs);
}

static void pointer_at_0x100(const struct legacy_end *end)
{
	(void)end;
	pointer_at(0x100);
}

static void pointer_at_0xff8(const struct legacy_end *end)
{
	(void)end;
	pointer_at(0xff8);
}

static void pointer_at_0x2000(const struct legacy_end *end)
{
	(void)end;
	pointer_at(0x2000);
}

/* Below the start by the nine words for IRET of which three are taken, and by the displacement. */
static void pointer_on_stack(const struct legacy_end *end)
{
	(void)end;
	pointer_at(LEGACY_STACK_BASE + LEGACY_STACK_START - 6 * 4 - 0x20);
}

static void pointer_at_stack_0x100(const struct legacy_end *end)
{
	(void)end;
	pointer_at(LEGACY_STACK_BASE + 0x100);
}

static void pointer_at_absolute(const struct legacy_end *end)
{
	(void)end;
	test_equal("quadword at the operand", legacy_absolute, (u64)&inner_vmcs);
	legacy_absolute = 0;
}

static void low_half_in_edx(const struct legacy_end *end)
{
	test_equal("EDX", end->edx, (u32)LEGACY_VALUE);
}

static void high_half_in_edx(const struct legacy_end *end)
{
	test_equal("EDX", end->edx, LEGACY_VALUE >> 32);
}

static void four_bytes_at_0(const struct legacy_end *end)
{
	(void)end;
	test_equal("quadword at the operand", stored(0), (u32)LEGACY_VALUE);
}

static void field_is_half(u32 field, u64 want)
{
	test_equal("the whole field", vmx_get(field), want);
}

static void plain_field_is_extended(const struct legacy_end *end)
{
	(void)end;
	field_is_half(PLAIN_FIELD, HALF_VALUE);
}

static void tsc_offset_is_extended(const struct legacy_end *end)
{
	(void)end;
	field_is_half(VMCS_TSC_OFFSET, HALF_VALUE);
}

static void tsc_offset_has_new_half(const struct legacy_end *end)
{
	(void)end;
	field_is_half(VMCS_TSC_OFFSET, (u64)HALF_VALUE << 32 | (u32)LEGACY_VALUE);
}

static void store_half(void)
{
	store(0, ~0ULL << 32 | HALF_VALUE);
}

static u64 saved_entry;

static void make_absent(void)
{
	store_other();
	saved_entry = page_change(legacy_area, 0, PTE_P);
}

static void make_read_only(void)
{
	store_other();
	saved_entry = page_change(legacy_area, 0, PTE_W);
}

static void restore_page(const struct legacy_end *end)
{
	(void)end;
	page_restore(legacy_area, saved_entry);
}

#define RULE_LIMIT "If the memory address is outside the segment limit: #GP(0)"
#define RULE_SS    "If the memory operand is outside the SS segment limit: #SS(0)"
#define RULE_NULL  "If the DS, ES, FS, or GS register contains an unusable segment: #GP(0)"
#define RULE_READ  "If the source operand is located in an execute-only code segment: #GP(0)"
#define RULE_WRITE                                                                                \
	"If the destination operand is located in a read-only data segment or any code segment: " \
	"#GP(0)"
#define RULE_16 "16-bit addressing forms of ModRM"
#define RULE_32 "Outside IA-32e mode, the effective operand size is always 32 bits"
#define GP      FAULTS(EXC_GP, 0)
#define CURRENT .vmx = LEGACY_CURRENT

static const struct legacy_case values[] = {
	{ "in 32-bit mode VMREAD of a natural-width field gives its low half", RULE_32, l32_vmread,
	  SUCCEEDS, CURRENT, .eax = PLAIN_FIELD, .finish = low_half_in_edx },
	{ "in 32-bit mode VMREAD of a 64-bit field gives its low half", RULE_32, l32_vmread,
	  SUCCEEDS, CURRENT, .eax = VMCS_TSC_OFFSET, .finish = low_half_in_edx },
	{ "in 32-bit mode VMREAD of a high half", RULE_32, l32_vmread, SUCCEEDS, CURRENT,
	  .eax = VMCS_TSC_OFFSET | VMCS_HIGH, .finish = high_half_in_edx },
	{ "in 32-bit mode VMREAD to memory writes 4 bytes", RULE_32, l32_vmread_memory, SUCCEEDS,
	  CURRENT, .eax = PLAIN_FIELD, .ds = SEL_BASED, .finish = four_bytes_at_0 },
	{ "in 32-bit mode VMWRITE clears the high half of a natural-width field",
	  "If the effective operand size is smaller than the field, its high bits are cleared",
	  l32_vmwrite, SUCCEEDS, CURRENT, .eax = PLAIN_FIELD, .edx = HALF_VALUE,
	  .finish = plain_field_is_extended },
	{ "in 32-bit mode VMWRITE clears the high half of a 64-bit field",
	  "Full access: if in 32-bit mode, bits 63:32 of the field are cleared", l32_vmwrite,
	  SUCCEEDS, CURRENT, .eax = VMCS_TSC_OFFSET, .edx = HALF_VALUE,
	  .finish = tsc_offset_is_extended },
	{ "in 32-bit mode VMWRITE of a high half keeps the low half",
	  "High access: bits 63:32 of the field are written, bits 31:0 are not", l32_vmwrite,
	  SUCCEEDS, CURRENT, .eax = VMCS_TSC_OFFSET | VMCS_HIGH, .edx = HALF_VALUE,
	  .finish = tsc_offset_has_new_half },
	{ "in 32-bit mode VMWRITE from memory reads 4 bytes", RULE_32, l32_vmwrite_memory, SUCCEEDS,
	  CURRENT, .eax = PLAIN_FIELD, .ds = SEL_BASED, .prepare = store_half,
	  .finish = plain_field_is_extended },
	{ "in 32-bit mode VMREAD of no field", RULE_32, l32_vmread,
	  FAIL_VALID(VMXERR_FIELD_UNSUPPORTED), CURRENT, .eax = NO_FIELD },
	{ "in 32-bit mode VMPTRLD without a VMCS", "VMPTRLD: VMsucceed", l32_vmptrld, SUCCEEDS,
	  .vmx = LEGACY_ROOT, .ds = SEL_BASED, .prepare = store_other },
	{ "in 32-bit mode VMLAUNCH of a VMCS for a 64-bit host",
	  "If the logical processor is outside IA-32e mode at the time of VM entry, the \"host "
	  "address-space size\" VM-exit control must be 0",
	  l32_vmlaunch, FAIL_VALID(VMXERR_ENTRY_HOST_STATE), CURRENT },
	{ "in 32-bit mode VMXON in root operation", "VMfail(VMXON executed in VMX root operation)",
	  l32_vmxon, FAIL_VALID(VMXERR_VMXON_IN_ROOT), CURRENT },
};

static const struct legacy_case addresses[] = {
	{ "in 32-bit mode VMPTRST by DS with a base", "linear address = base + offset", l32_vmptrst,
	  SUCCEEDS, CURRENT, .ds = SEL_BASED, .edi = 0x100, .finish = pointer_at_0x100 },
	{ "in 32-bit mode VMPTRST by DS, sum wraps at 4 GiB",
	  "outside 64-bit mode linear addresses "
	  "wrap at 4 GiB",
	  l32_vmptrst_sib, SUCCEEDS, CURRENT, .ds = SEL_BASED, .edi = 0xfffffff0, .ecx = 0x20,
	  .finish = pointer_at_0x100 },
	{ "in 32-bit mode VMPTRST by ES", "segment override", l32_vmptrst_es, SUCCEEDS, CURRENT,
	  .es = SEL_BASED, .edi = 0x100, .finish = pointer_at_0x100 },
	{ "in 32-bit mode VMPTRST by FS", "segment override", l32_vmptrst_fs, SUCCEEDS, CURRENT,
	  .fs = SEL_BASED, .edi = 0x100, .finish = pointer_at_0x100 },
	{ "in 32-bit mode VMPTRST by GS", "segment override", l32_vmptrst_gs, SUCCEEDS, CURRENT,
	  .gs = SEL_BASED, .edi = 0x100, .finish = pointer_at_0x100 },
	{ "in 32-bit mode VMPTRST by SS", "segment override", l32_vmptrst_ss, SUCCEEDS, CURRENT,
	  .ss = SEL_STACK, .edi = 0x100, .finish = pointer_at_stack_0x100 },
	{ "in 32-bit mode VMPTRST by EBP uses SS", "the default segment of EBP is SS",
	  l32_vmptrst_ebp, SUCCEEDS, CURRENT, .ss = SEL_STACK, .edi = 0x100,
	  .finish = pointer_at_stack_0x100 },
	{ "in 32-bit mode VMPTRST by ESP uses SS", "the default segment of ESP is SS",
	  l32_vmptrst_esp, SUCCEEDS, CURRENT, .ss = SEL_STACK, .finish = pointer_on_stack },
	{ "in 32-bit mode VMPTRST to a displacement alone", "disp32", l32_vmptrst_disp, SUCCEEDS,
	  CURRENT, .finish = pointer_at_absolute },
	{ "in 32-bit mode VMPTRST to 16-bit BX + SI + disp8", RULE_16, l32_bx_si, SUCCEEDS, CURRENT,
	  .ds = SEL_BASED, .ebx = 0xf0080, .esi = 0x70, .finish = pointer_at_0x100 },
	{ "in 32-bit mode VMPTRST to 16-bit BX + DI, sum cut", RULE_16, l32_bx_di, SUCCEEDS,
	  CURRENT, .ds = SEL_BASED, .ebx = 0xff00, .edi = 0x200, .finish = pointer_at_0x100 },
	{ "in 32-bit mode VMPTRST to 16-bit BP + SI uses SS", RULE_16, l32_bp_si, SUCCEEDS, CURRENT,
	  .ss = SEL_STACK, .ebx = 0x80, .esi = 0x80, .finish = pointer_at_stack_0x100 },
	{ "in 32-bit mode VMPTRST to 16-bit SI - disp8", RULE_16, l32_si, SUCCEEDS, CURRENT,
	  .ds = SEL_BASED, .esi = 0x110, .finish = pointer_at_0x100 },
	{ "in 32-bit mode VMPTRST to 16-bit BX + disp16", RULE_16, l32_bx, SUCCEEDS, CURRENT,
	  .ds = SEL_BASED, .ebx = 0x1f00, .finish = pointer_at_0x2000 },
	{ "in 16-bit code VMPTRST to BX + DI + disp8", RULE_16, l16_vmptrst, SUCCEEDS, CURRENT,
	  .cs = SEL_SHORT_CODE, .ds = SEL_BASED, .ebx = 0x80, .edi = 0x70,
	  .finish = pointer_at_0x100 },
	{ "in 16-bit code VMREAD still has 32-bit operands", RULE_32, l16_vmread, SUCCEEDS, CURRENT,
	  .cs = SEL_SHORT_CODE, .eax = PLAIN_FIELD, .finish = low_half_in_edx },
	{ "in 16-bit code VMREAD to memory writes 4 bytes", RULE_32, l16_vmread_memory, SUCCEEDS,
	  CURRENT, .cs = SEL_SHORT_CODE, .ds = SEL_BASED, .eax = PLAIN_FIELD,
	  .finish = four_bytes_at_0 },
};

static const struct legacy_case limits[] = {
	{ "in 32-bit mode VMPTRST up to the segment limit", RULE_LIMIT, l32_vmptrst, SUCCEEDS,
	  CURRENT, .ds = SEL_LIMITED, .edi = LEGACY_LIMIT - 7, .finish = pointer_at_0xff8 },
	{ "in 32-bit mode VMPTRST one byte over the segment limit: #GP(0)", RULE_LIMIT, l32_vmptrst,
	  GP, CURRENT, .ds = SEL_LIMITED, .edi = LEGACY_LIMIT - 6 },
	{ "in 32-bit mode VMPTRST by ES over the limit: #GP(0)", RULE_LIMIT, l32_vmptrst_es, GP,
	  CURRENT, .es = SEL_LIMITED, .edi = LEGACY_LIMIT + 1 },
	{ "in 32-bit mode VMPTRST by FS over the limit: #GP(0)", RULE_LIMIT, l32_vmptrst_fs, GP,
	  CURRENT, .fs = SEL_LIMITED, .edi = LEGACY_LIMIT + 1 },
	{ "in 32-bit mode VMPTRST by GS over the limit: #GP(0)", RULE_LIMIT, l32_vmptrst_gs, GP,
	  CURRENT, .gs = SEL_LIMITED, .edi = LEGACY_LIMIT + 1 },
	{ "in 32-bit mode VMPTRST by SS over the limit: #SS(0)", RULE_SS, l32_vmptrst_ss,
	  FAULTS(EXC_SS, 0), CURRENT, .ss = SEL_STACK, .edi = LEGACY_LIMIT + 1 },
	{ "in 32-bit mode VMPTRST by EBP over the limit: #SS(0)", RULE_SS, l32_vmptrst_ebp,
	  FAULTS(EXC_SS, 0), CURRENT, .ss = SEL_STACK, .edi = LEGACY_LIMIT - 3 },
	{ "in 32-bit mode VMREAD over the limit: #GP(0)", RULE_LIMIT, l32_vmread_memory, GP,
	  CURRENT, .eax = PLAIN_FIELD, .ds = SEL_LIMITED, .edi = LEGACY_LIMIT - 2 },
	{ "in 32-bit mode VMREAD up to the limit", RULE_LIMIT, l32_vmread_memory, SUCCEEDS, CURRENT,
	  .eax = PLAIN_FIELD, .ds = SEL_LIMITED, .edi = LEGACY_LIMIT - 3 },
	{ "in 32-bit mode VMWRITE over the limit: #GP(0)", RULE_LIMIT, l32_vmwrite_memory, GP,
	  CURRENT, .eax = PLAIN_FIELD, .ds = SEL_LIMITED, .edi = LEGACY_LIMIT - 2 },
	{ "in 32-bit mode VMPTRLD over the limit: #GP(0)", RULE_LIMIT, l32_vmptrld, GP, CURRENT,
	  .ds = SEL_LIMITED, .edi = LEGACY_LIMIT - 6 },
	{ "in 32-bit mode VMCLEAR over the limit: #GP(0)", RULE_LIMIT, l32_vmclear, GP, CURRENT,
	  .ds = SEL_LIMITED, .edi = LEGACY_LIMIT - 6 },
	{ "in 32-bit mode INVVPID over the limit: #GP(0)", RULE_LIMIT, l32_invvpid, GP, CURRENT,
	  .ds = SEL_LIMITED, .edi = LEGACY_LIMIT - 14, .ecx = INVVPID_ALL },
	{ "in 32-bit mode INVVPID up to the limit", RULE_LIMIT, l32_invvpid, SUCCEEDS, CURRENT,
	  .ds = SEL_LIMITED, .edi = LEGACY_LIMIT - 15, .ecx = INVVPID_ALL, .prepare = store_other },
	{ "in 32-bit mode VMPTRST above an expand-down limit", RULE_LIMIT, l32_vmptrst, SUCCEEDS,
	  CURRENT, .ds = SEL_EXPAND_DOWN, .edi = 0x2000, .finish = pointer_at_0x2000 },
	{ "in 32-bit mode VMPTRST below an expand-down limit: #GP(0)", RULE_LIMIT, l32_vmptrst, GP,
	  CURRENT, .ds = SEL_EXPAND_DOWN, .edi = LEGACY_LIMIT - 15 },
	{ "in 32-bit mode VMPTRST by a null DS: #GP(0)", RULE_NULL, l32_vmptrst, GP, CURRENT,
	  .null_ds = true, .edi = 0x100 },
	{ "in 32-bit mode VMPTRLD by a null DS: #GP(0)", RULE_NULL, l32_vmptrld, GP, CURRENT,
	  .null_ds = true, .edi = 0x100 },
};

static const struct legacy_case types[] = {
	{ "in 32-bit mode VMPTRST to a read-only segment: #GP(0)", RULE_WRITE, l32_vmptrst, GP,
	  CURRENT, .ds = SEL_READ_ONLY },
	{ "in 32-bit mode VMREAD to a read-only segment: #GP(0)", RULE_WRITE, l32_vmread_memory, GP,
	  CURRENT, .eax = PLAIN_FIELD, .ds = SEL_READ_ONLY },
	{ "in 32-bit mode VMPTRLD from a read-only segment", RULE_READ, l32_vmptrld, SUCCEEDS,
	  CURRENT, .ds = SEL_READ_ONLY, .prepare = store_other },
	{ "in 32-bit mode VMPTRST to a code segment: #GP(0)", RULE_WRITE, l32_vmptrst_cs, GP,
	  CURRENT, .edi = (u32)0x100000 },
	{ "in 32-bit mode VMPTRLD from a readable code segment", RULE_READ, l32_vmptrld_cs,
	  SUCCEEDS, CURRENT, .prepare = store_other },
	{ "in 32-bit mode VMPTRLD from an execute-only code segment: #GP(0)", RULE_READ,
	  l32_vmptrld_cs, GP, CURRENT, .cs = SEL_EXECUTE, .prepare = store_other },
	{ "in 32-bit mode VMPTRLD from an absent page: #PF", "#PF(fault-code)", l32_vmptrld,
	  PAGE_FAULTS(0, legacy_area), CURRENT, .ds = SEL_BASED, .prepare = make_absent,
	  .finish = restore_page },
	{ "in 32-bit mode VMREAD to an absent page: #PF", "#PF(fault-code)", l32_vmread_memory,
	  PAGE_FAULTS(PF_W, legacy_area), CURRENT, .eax = PLAIN_FIELD, .ds = SEL_BASED,
	  .prepare = make_absent, .finish = restore_page },
	{ "in 32-bit mode VMPTRST to a read-only page: #PF", "#PF(fault-code)", l32_vmptrst,
	  PAGE_FAULTS(PF_P | PF_W, legacy_area), CURRENT, .ds = SEL_BASED,
	  .prepare = make_read_only, .finish = restore_page },
};

static const struct legacy_case privileges[] = {
	{ "in 32-bit mode VMREAD at CPL 3: #GP(0)", "ELSIF CPL > 0 THEN #GP(0)", l32_vmread, GP,
	  CURRENT, .cs = SEL_USER_CODE32, .ss = SEL_USER_DATA, .ds = SEL_USER_DATA,
	  .eax = PLAIN_FIELD },
	{ "in 32-bit mode VMXON before VMX operation at CPL 3: #UD without CR4.VMXE",
	  "CR4.VMXE = 0 THEN #UD", l32_vmxon, FAULTS(EXC_UD, 0), .vmx = LEGACY_OFF,
	  .cs = SEL_USER_CODE32, .ss = SEL_USER_DATA, .ds = SEL_USER_DATA },
	{ "in virtual-8086 mode VMXON: #UD", "(RFLAGS.VM = 1) THEN #UD", v86_vmxon,
	  FAULTS(EXC_UD, 0), CURRENT, .eflags = (u32)RFLAGS_VM },
	{ "in virtual-8086 mode VMREAD: #UD", "(RFLAGS.VM = 1) THEN #UD", v86_vmread,
	  FAULTS(EXC_UD, 0), CURRENT, .eflags = (u32)RFLAGS_VM, .eax = PLAIN_FIELD },
	{ "in virtual-8086 mode VMCALL: #UD", "(RFLAGS.VM = 1) THEN #UD", v86_vmcall,
	  FAULTS(EXC_UD, 0), CURRENT, .eflags = (u32)RFLAGS_VM },
};

static const struct {
	const struct legacy_case *cases;
	u32 count;
} tables[] = {
	{ values, ARRAY_SIZE(values) },         { addresses, ARRAY_SIZE(addresses) },
	{ limits, ARRAY_SIZE(limits) },         { types, ARRAY_SIZE(types) },
	{ privileges, ARRAY_SIZE(privileges) },
};

static u32 legacy_count(void)
{
	u32 points = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		points += tables[i].count;
	return points;
}

static void legacy_run_all(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		legacy_cases_run(tables[i].cases, tables[i].count);
}

const struct suite legacy_suite = { legacy_count, legacy_run_all };
