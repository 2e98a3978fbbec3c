/*
 * The modes in which a guest may start, without nested paging and with it. Each guest loads a
 * number in a way that only its mode understands so, and says that it is done.
 */
#include "guests/svm-entry/entry_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE 80

/* INC and REX look alike: B8 takes 4 bytes in 32-bit code, 8 in 64-bit code with 48 before, 2 in
 * 16-bit code. */
#define MODE_BYTES ".byte 0x48, 0xb8, 0x11, 0x22, 0x33, 0x44, 0x90, 0x90, 0x90, 0x90"

CODE(mode_code, 64, MODE_BYTES "\n\tvmmcall");
CODE(mode_code16, 64, ".byte 0xb8, 0x11, 0x22, 0x90, 0x90\n\tvmmcall");

extern u64 guest_pds[];

static u64 pdpt[4] __attribute__((aligned(32)));
static u32 directory[1024] __attribute__((aligned(4096)));

static struct vmcb_segment flat(u16 selector, u16 attributes)
{
	return (struct vmcb_segment){ selector, attributes, 0xffffffff, 0 };
}

/* Outside long mode, in 32-bit code. */
static void make_32(u64 cr0, u64 cr4, u64 cr3)
{
	svm_inner_vmcb.s.efer &= ~(EFER_LME | EFER_LMA);
	svm_inner_vmcb.s.cr0 = cr0;
	svm_inner_vmcb.s.cr4 = cr4;
	svm_inner_vmcb.s.cr3 = cr3;
	svm_inner_vmcb.s.cs = flat(SEL_CODE32, ATTR_CODE32);
}

static void long_mode(void)
{
}

static void compatibility(void)
{
	svm_inner_vmcb.s.cs = flat(SEL_CODE32, ATTR_CODE32);
}

static void unpaged(void)
{
	make_32(CR0_PE | CR0_ET, 0, 0);
}

static void pae(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(pdpt); i++)
		pdpt[i] = ((u64)guest_pds + i * PAGE_SIZE) | PTE_P;
	make_32(CR0_PE | CR0_ET | CR0_PG, CR4_PAE, (u64)pdpt);
}

static void fill_directory(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(directory); i++)
		directory[i] = i << 22 | (u32)(PTE_P | PTE_W | PTE_U | PTE_PS);
}

static void two_levels(void)
{
	fill_directory();
	make_32(CR0_PE | CR0_ET | CR0_PG, CR4_PSE, (u64)directory);
}

static void make_16(u64 cr0)
{
	struct vmcb_segment data = { 0, ATTR_DATA16, 0xffff, 0 };
	u64 at = svm_inner_vmcb.s.rip;

	make_32(cr0, CR4_PSE, (u64)directory);
	svm_inner_vmcb.s.cs =
		(struct vmcb_segment){ (u16)(at >> 4), ATTR_CODE16, 0xffff, at & ~0xfULL };
	svm_inner_vmcb.s.rip = at & 0xf;
	svm_inner_vmcb.s.ds = svm_inner_vmcb.s.es = svm_inner_vmcb.s.ss = data;
	svm_inner_vmcb.s.rsp = 0x1000;
}

static void protected_16(void)
{
	make_16(CR0_PE | CR0_ET);
}

static void real(void)
{
	make_16(CR0_ET);
}

static void paged_real(void)
{
	fill_directory();
	make_16(CR0_ET | CR0_PG);
}

struct mode {
	const char *name;
	void (*make)(void);
	const char *code;
	u64 rax;
};

static const struct mode modes[] = {
	{ "64-bit mode", long_mode, mode_code, 0x9090909044332211 },
	{ "compatibility mode", compatibility, mode_code, 0x44332211 },
	{ "protected mode without paging", unpaged, mode_code, 0x44332211 },
	{ "protected mode with PAE paging", pae, mode_code, 0x44332211 },
	{ "protected mode with two levels of tables", two_levels, mode_code, 0x44332211 },
	{ "16-bit protected mode", protected_16, mode_code16, 0x2211 },
	{ "real mode", real, mode_code16, 0x2211 },
	{ "paged real mode", paged_real, mode_code16, 0x2211 },
};

static void run_one(const struct mode *mode, bool npt)
{
	struct svm_inner_exit exit;
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "a guest in %s%s", mode->name,
		 npt ? ", with nested paging" : "");
	test_begin(name, "VMRUN loads the guest's CR0, CR3, CR4, EFER and segments");
	svm_inner_reset(mode->code);
	if (npt)
		svm_inner_use_npt();
	mode->make();
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	test_equal("RAX", svm_inner_regs.rax, mode->rax);
	test_end();
}

static u32 count(void)
{
	return ARRAY_SIZE(modes) * (svm_inner_with_npt() ? 2 : 1);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		run_one(&modes[i], false);
	for (size_t i = 0; svm_inner_with_npt() && i < ARRAY_SIZE(modes); i++)
		run_one(&modes[i], true);
}

const struct suite modes_suite = { count, run };
