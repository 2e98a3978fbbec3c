/*
 * Memory operands that cannot be accessed in 64-bit mode: absent and read-only pages, reserved
 * bits, supervisor-mode access prevention, addresses that are not canonical; what comes before such
 * a fault; and the accessed and dirty flags of pages that can be accessed.
 */
#include "guests/vmx-insn/insn_case.h"
#include "guests/lib/pages.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define NO_FIELD     0x7ffeU
#define NONCANONICAL BIT(47)
#define RESERVED_PTE BIT(51) /* beyond the physical-address width */
#define LARGE_PAGE   0x200000ULL

CODE(at_rbp_vmptrst, 64, "mov %rdi, %rbp\n\tvmptrst (%rbp)" END_EXCURSION);
CODE(at_rbp_vmread, 64, "mov %rdi, %rbp\n\tvmread %rax, (%rbp)" END_EXCURSION);
CODE(at_fs_vmptrst, 64, "vmptrst %fs:(%rdi)" END_EXCURSION);
/* LEA changes no flag. */
#define WITH_SMAP    "mov %cr4, %rbx\n\tlea 0x200000(%rbx), %rbx\n\tmov %rbx, %cr4\n\t"
#define WITHOUT_SMAP "\n\tlea -0x200000(%rbx), %rbx\n\tmov %rbx, %cr4"
CODE(smap_vmptrst, 64, WITH_SMAP "vmptrst (%rdi)" WITHOUT_SMAP END_EXCURSION);
CODE(smap_vmptrld, 64, WITH_SMAP "vmptrld (%rdi)" WITHOUT_SMAP END_EXCURSION);
CODE(smap_ac_vmptrst, 64, WITH_SMAP "stac\n\tvmptrst (%rdi)\n\tclac" WITHOUT_SMAP END_EXCURSION);

/* Two pages; tests change the mapping of the second one. */
static u8 pages[2][PAGE_SIZE] __attribute__((aligned(4096)));
#define PAGE   (pages[1])
#define ACROSS (PAGE - 4)

static u64 saved_entry, saved_cr0;

/* The operand is a pointer to a VMCS, so that an instruction that wrongly gets it succeeds. */
static void fill(u64 pointer)
{
	memset(pages, 0, sizeof(pages));
	memcpy(PAGE, &pointer, sizeof(pointer));
}

static void make_absent(void)
{
	fill((u64)&inner_other_vmcs);
	saved_entry = page_change(PAGE, 0, PTE_P);
}

static void make_absent_for_vmxon(void)
{
	fill((u64)&inner_vmxon);
	saved_entry = page_change(PAGE, 0, PTE_P);
}

static void make_read_only(void)
{
	fill((u64)&inner_other_vmcs);
	saved_entry = page_change(PAGE, 0, PTE_W);
}

static void make_read_only_without_wp(void)
{
	make_read_only();
	saved_cr0 = read_cr0();
	write_cr0(saved_cr0 & ~CR0_WP);
}

static void make_reserved(void)
{
	fill((u64)&inner_other_vmcs);
	saved_entry = page_change(PAGE, RESERVED_PTE, 0);
}

static void make_unused(void)
{
	fill((u64)&inner_other_vmcs);
	saved_entry = page_change(PAGE, 0, PTE_A | PTE_D);
}

static void undo(const struct exception_frame *end)
{
	(void)end;
	page_restore(PAGE, saved_entry);
}

static void undo_and_wp(const struct exception_frame *end)
{
	undo(end);
	write_cr0(saved_cr0);
}

static void still_current(const struct exception_frame *end)
{
	u64 found = 0;

	undo(end);
	vmx_vmptrst(&found);
	test_true("the current VMCS is the one before", found == (u64)&inner_vmcs);
}

static void still_off(const struct exception_frame *end)
{
	u64 found;

	undo(end);
	fault_clear();
	__asm__ volatile(TRY("vmptrst %0") : "=m"(found) : : "cc", "memory");
	test_true("VMX operation has not begun", fault_taken().raised);
}

static void first_page_unwritten(const struct exception_frame *end)
{
	u32 found;

	undo(end);
	memcpy(&found, ACROSS, sizeof(found));
	test_equal("the operand's bytes on the present page", found, 0);
}

static void flags_are(u64 want)
{
	test_equal("accessed and dirty flags", *page_entry((u64)PAGE) & (PTE_A | PTE_D), want);
	page_restore(PAGE, saved_entry);
}

static void accessed(const struct exception_frame *end)
{
	(void)end;
	flags_are(PTE_A);
}

static void accessed_and_dirty(const struct exception_frame *end)
{
	(void)end;
	flags_are(PTE_A | PTE_D);
}

/* Everything that the image uses becomes a supervisor page, but for the operand's page. */
static void supervisor_image(u64 set, u64 clear)
{
	u64 start = (u64)pages & ~(LARGE_PAGE - 1);

	for (u64 at = start; at < start + LARGE_PAGE; at += PAGE_SIZE)
		*page_entry(at) = (*page_entry(at) | set) & ~clear;
	*page_entry((u64)PAGE) |= PTE_U;
	write_cr3(read_cr3());
}

static void make_user(void)
{
	fill((u64)&inner_other_vmcs);
	supervisor_image(0, PTE_U);
}

static void undo_smap(const struct exception_frame *end)
{
	(void)end;
	write_cr4(read_cr4() & ~CR4_SMAP);
	supervisor_image(PTE_U, 0);
}

#define RULE_PF "If a page fault occurs in accessing a memory operand: #PF(fault-code)"
#define RULE_GP "If the memory address is in a non-canonical form: #GP(0)"
#define RULE_SS "If the memory operand references the SS segment in a non-canonical form: #SS(0)"
#define RULE_AD "an access for a memory operand sets the flags as any other access does"
#define OPERAND .rdi = (u64)PAGE
#define READ    PAGE_FAULTS(0, PAGE)
#define WRITE   PAGE_FAULTS(PF_W, PAGE)

static const struct insn_case absent[] = {
	{ "VMXON from an absent page: #PF", RULE_PF, code_vmxon, READ, .state = STATE_ENABLED,
	  OPERAND, .prepare = make_absent_for_vmxon, .finish = still_off },
	{ "VMCLEAR from an absent page: #PF", RULE_PF, code_vmclear, READ, .state = STATE_CURRENT,
	  OPERAND, .prepare = make_absent, .finish = still_current },
	{ "VMPTRLD from an absent page: #PF", RULE_PF, code_vmptrld, READ, .state = STATE_CURRENT,
	  OPERAND, .prepare = make_absent, .finish = still_current },
	{ "VMPTRLD from an absent page without a VMCS: #PF", RULE_PF, code_vmptrld, READ,
	  .state = STATE_ROOT, OPERAND, .prepare = make_absent, .finish = undo },
	{ "VMPTRST to an absent page: #PF", RULE_PF, code_vmptrst, WRITE, .state = STATE_CURRENT,
	  OPERAND, .prepare = make_absent, .finish = undo },
	{ "VMREAD to an absent page: #PF", RULE_PF, code_vmread_memory, WRITE,
	  .state = STATE_CURRENT, .rax = PLAIN_FIELD, OPERAND, .prepare = make_absent,
	  .finish = undo },
	{ "VMWRITE from an absent page: #PF", RULE_PF, code_vmwrite_memory, READ,
	  .state = STATE_CURRENT, .rax = PLAIN_FIELD, OPERAND, .prepare = make_absent,
	  .finish = undo },
	{ "INVVPID from an absent page: #PF", RULE_PF, code_invvpid, READ, .state = STATE_CURRENT,
	  .rcx = INVVPID_ALL, OPERAND, .prepare = make_absent, .finish = undo },
	{ "VMPTRLD from a present into an absent page: #PF there", RULE_PF, code_vmptrld, READ,
	  .state = STATE_CURRENT, .rdi = (u64)ACROSS, .prepare = make_absent,
	  .finish = still_current },
	{ "VMPTRST from a present into an absent page: #PF, nothing written", RULE_PF, code_vmptrst,
	  WRITE, .state = STATE_CURRENT, .rdi = (u64)ACROSS, .prepare = make_absent,
	  .finish = first_page_unwritten },
};

static const struct insn_case invept_absent[] = {
	{ "INVEPT from an absent page: #PF", RULE_PF, code_invept, READ, .state = STATE_CURRENT,
	  .rcx = INVEPT_GLOBAL, OPERAND, .prepare = make_absent, .finish = undo },
};

static const struct insn_case rights[] = {
	{ "VMPTRST to a read-only page: #PF", RULE_PF, code_vmptrst, PAGE_FAULTS(PF_P | PF_W, PAGE),
	  .state = STATE_CURRENT, OPERAND, .prepare = make_read_only, .finish = undo },
	{ "VMREAD to a read-only page: #PF", RULE_PF, code_vmread_memory,
	  PAGE_FAULTS(PF_P | PF_W, PAGE), .state = STATE_CURRENT, .rax = PLAIN_FIELD, OPERAND,
	  .prepare = make_read_only, .finish = undo },
	{ "VMPTRST to a read-only page with CR0.WP = 0",
	  "CR0.WP = 0: supervisor-mode writes "
	  "are allowed to read-only pages",
	  code_vmptrst, SUCCEEDS, .state = STATE_CURRENT, OPERAND,
	  .prepare = make_read_only_without_wp, .finish = undo_and_wp },
	{ "VMPTRLD from a read-only page", "reading needs no right to write", code_vmptrld,
	  SUCCEEDS, .state = STATE_CURRENT, OPERAND, .prepare = make_read_only, .finish = undo },
	{ "VMPTRLD from a page whose entry has a reserved bit: #PF",
	  "RSVD flag: the fault was caused by a reserved bit set to 1 in some paging-structure "
	  "entry",
	  code_vmptrld, PAGE_FAULTS(PF_P | PF_RSVD, PAGE), .state = STATE_CURRENT, OPERAND,
	  .prepare = make_reserved, .finish = still_current },
	{ "VMPTRST to a user page with CR4.SMAP = 1: #PF",
	  "SMAP: supervisor-mode data accesses to user-mode addresses fault", smap_vmptrst,
	  PAGE_FAULTS(PF_P | PF_W, PAGE), .state = STATE_CURRENT, OPERAND, .prepare = make_user,
	  .finish = undo_smap },
	{ "VMPTRLD from a user page with CR4.SMAP = 1: #PF",
	  "SMAP: supervisor-mode data accesses to user-mode addresses fault", smap_vmptrld,
	  PAGE_FAULTS(PF_P, PAGE), .state = STATE_CURRENT, OPERAND, .prepare = make_user,
	  .finish = undo_smap },
	{ "VMPTRST to a user page with CR4.SMAP = 1 and AC = 1",
	  "SMAP: explicit accesses are allowed if EFLAGS.AC = 1", smap_ac_vmptrst, SUCCEEDS,
	  .state = STATE_CURRENT, OPERAND, .prepare = make_user, .finish = undo_smap },
	{ "VMPTRLD sets the accessed flag", RULE_AD, code_vmptrld, SUCCEEDS, .state = STATE_CURRENT,
	  OPERAND, .prepare = make_unused, .finish = accessed },
	{ "VMWRITE from memory sets the accessed flag", RULE_AD, code_vmwrite_memory, SUCCEEDS,
	  .state = STATE_CURRENT, .rax = PLAIN_FIELD, OPERAND, .prepare = make_unused,
	  .finish = accessed },
	{ "VMPTRST sets the accessed and dirty flags", RULE_AD, code_vmptrst, SUCCEEDS,
	  .state = STATE_CURRENT, OPERAND, .prepare = make_unused, .finish = accessed_and_dirty },
	{ "VMREAD to memory sets the accessed and dirty flags", RULE_AD, code_vmread_memory,
	  SUCCEEDS, .state = STATE_CURRENT, .rax = PLAIN_FIELD, OPERAND, .prepare = make_unused,
	  .finish = accessed_and_dirty },
};

static const struct insn_case canonical[] = {
	{ "VMPTRST to an address that is not canonical: #GP(0)", RULE_GP, code_vmptrst,
	  FAULTS(EXC_GP, 0), .state = STATE_CURRENT, .rdi = NONCANONICAL },
	{ "VMPTRLD from an address that is not canonical: #GP(0)", RULE_GP, code_vmptrld,
	  FAULTS(EXC_GP, 0), .state = STATE_CURRENT, .rdi = NONCANONICAL },
	{ "VMXON from an address that is not canonical: #GP(0)", RULE_GP, code_vmxon,
	  FAULTS(EXC_GP, 0), .state = STATE_ENABLED, .rdi = NONCANONICAL },
	{ "VMREAD to an address that is not canonical: #GP(0)", RULE_GP, code_vmread_memory,
	  FAULTS(EXC_GP, 0), .state = STATE_CURRENT, .rax = PLAIN_FIELD, .rdi = NONCANONICAL },
	{ "VMWRITE from an address that is not canonical: #GP(0)", RULE_GP, code_vmwrite_memory,
	  FAULTS(EXC_GP, 0), .state = STATE_CURRENT, .rax = PLAIN_FIELD, .rdi = NONCANONICAL },
	{ "INVVPID from an address that is not canonical: #GP(0)", RULE_GP, code_invvpid,
	  FAULTS(EXC_GP, 0), .state = STATE_CURRENT, .rcx = INVVPID_ALL, .rdi = NONCANONICAL },
	{ "VMPTRST to a stack address that is not canonical: #SS(0)", RULE_SS, at_rbp_vmptrst,
	  FAULTS(EXC_SS, 0), .state = STATE_CURRENT, .rdi = NONCANONICAL },
	{ "VMREAD to a stack address that is not canonical: #SS(0)", RULE_SS, at_rbp_vmread,
	  FAULTS(EXC_SS, 0), .state = STATE_CURRENT, .rax = PLAIN_FIELD, .rdi = NONCANONICAL },
	{ "VMPTRST by FS to an address that is not canonical: #GP(0)", RULE_GP, at_fs_vmptrst,
	  FAULTS(EXC_GP, 0), .state = STATE_CURRENT, .rdi = NONCANONICAL },
};

static const struct insn_case priorities[] = {
	{ "VMPTRST to an absent page at CPL 3: #GP(0)",
	  "ELSIF CPL > 0 THEN #GP(0), before the "
	  "operand is accessed",
	  code_vmptrst, FAULTS(EXC_GP, 0), .state = STATE_CURRENT, .mode = MODE_USER, OPERAND,
	  .prepare = make_absent, .finish = undo },
	{ "VMXON in root operation with its operand on an absent page",
	  "VMfail(VMXON executed in VMX root operation) needs no operand", code_vmxon,
	  FAIL_VALID(VMXERR_VMXON_IN_ROOT), .state = STATE_CURRENT, OPERAND, .prepare = make_absent,
	  .finish = undo },
	{ "VMREAD of no field to an absent page",
	  "the field is looked up before the destination "
	  "is written",
	  code_vmread_memory, FAIL_VALID(VMXERR_FIELD_UNSUPPORTED), .state = STATE_CURRENT,
	  .rax = NO_FIELD, OPERAND, .prepare = make_absent, .finish = undo },
	{ "VMREAD to an absent page without a VMCS",
	  "ELSIF current-VMCS pointer is not valid THEN "
	  "VMfailInvalid",
	  code_vmread_memory, FAIL_INVALID, .state = STATE_ROOT, .rax = PLAIN_FIELD, OPERAND,
	  .prepare = make_absent, .finish = undo },
	{ "VMWRITE from an absent page without a VMCS",
	  "ELSIF current-VMCS pointer is not valid "
	  "THEN VMfailInvalid",
	  code_vmwrite_memory, FAIL_INVALID, .state = STATE_ROOT, .rax = PLAIN_FIELD, OPERAND,
	  .prepare = make_absent, .finish = undo },
};

static u32 faults_count(void)
{
	return ARRAY_SIZE(absent) + ARRAY_SIZE(rights) + ARRAY_SIZE(canonical) +
	       ARRAY_SIZE(priorities) + (inner_with_ept() ? ARRAY_SIZE(invept_absent) : 0);
}

static void faults_run(void)
{
	insn_cases_run(absent, ARRAY_SIZE(absent));
	insn_cases_run(rights, ARRAY_SIZE(rights));
	insn_cases_run(canonical, ARRAY_SIZE(canonical));
	insn_cases_run(priorities, ARRAY_SIZE(priorities));
	if (inner_with_ept())
		insn_cases_run(invept_absent, ARRAY_SIZE(invept_absent));
}

const struct suite faults_suite = { faults_count, faults_run };
