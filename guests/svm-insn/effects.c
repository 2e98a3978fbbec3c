/*
 * What VMLOAD and VMSAVE move, field by field, and nothing else; what VMRUN gives back; what
 * INVLPGA invalidates.
 */
#include "guests/svm-insn/insn_case.h"
#include "guests/lib/pages.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define FILL                0xa5
#define FILL_WORD           0xa5a5a5a5a5a5a5a5ULL
#define SOME_VALUE          0x0000123456789abcULL
#define STAR_VALUE          0x0013001000000000ULL
#define TYPE_BUSY           0x2U
#define CPUID_ADDRESS_SIZES 0x80000008U
#define MASK_VALUE          0x0000000000047700ULL

CODE(effects_done, 64, "vmmcall");
CODE(effects_flags, 64, "xor %eax, %eax\n\tpushq $0x2\n\tpopfq\n\tvmmcall");

static struct vmcb page, ours;

struct vls_msr {
	const char *name;
	u32 msr;
	u32 offset; /* in the state save area */
	u64 value;
};

#define SAVE_OFFSET(field) (u32) offsetof(struct vmcb_save, field)

static const struct vls_msr msrs[] = {
	{ "FS base", MSR_FS_BASE, SAVE_OFFSET(fs.base), SOME_VALUE },
	{ "GS base", MSR_GS_BASE, SAVE_OFFSET(gs.base), SOME_VALUE + 1 },
	{ "KernelGSBase", MSR_KERNEL_GS_BASE, SAVE_OFFSET(kernel_gs_base), SOME_VALUE + 2 },
	{ "STAR", MSR_STAR, SAVE_OFFSET(star), STAR_VALUE },
	{ "LSTAR", MSR_LSTAR, SAVE_OFFSET(lstar), SOME_VALUE + 3 },
	{ "CSTAR", MSR_CSTAR, SAVE_OFFSET(cstar), SOME_VALUE + 4 },
	{ "SFMASK", MSR_SFMASK, SAVE_OFFSET(sfmask), MASK_VALUE },
	{ "SYSENTER_CS", MSR_SYSENTER_CS, SAVE_OFFSET(sysenter_cs), SEL_CODE64 },
	{ "SYSENTER_ESP", MSR_SYSENTER_ESP, SAVE_OFFSET(sysenter_esp), 0x12345670 },
	{ "SYSENTER_EIP", MSR_SYSENTER_EIP, SAVE_OFFSET(sysenter_eip), 0x12345678 },
};

static u64 field_at(u32 offset)
{
	u64 value;

	memcpy(&value, page.s.bytes + offset, sizeof(value));
	return value;
}

static void set_field_at(u32 offset, u64 value)
{
	memcpy(page.s.bytes + offset, &value, sizeof(value));
}

static void begin(void)
{
	svm_vmsave((u64)&ours);
}

static void end(void)
{
	svm_vmload((u64)&ours);
}

static void vmsave_stores(void)
{
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		wrmsr(msrs[i].msr, msrs[i].value);
	memset(&page, FILL, sizeof(page));
	svm_vmsave((u64)&page);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		test_equal(msrs[i].name, field_at(msrs[i].offset), msrs[i].value);
	end();
}

static void vmload_loads(void)
{
	begin();
	page = ours;
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		set_field_at(msrs[i].offset, msrs[i].value);
	svm_vmload((u64)&page);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		test_equal(msrs[i].name, rdmsr(msrs[i].msr), msrs[i].value);
	end();
}

static void segment_equal(const char *name, struct vmcb_segment got, struct vmcb_segment want)
{
	test_equal(name, got.selector, want.selector);
	test_equal(name, got.attributes, want.attributes);
	test_equal(name, got.limit, want.limit);
	test_equal(name, got.base, want.base);
}

static void vmsave_stores_segments(void)
{
	const struct vmcb_segment task =
		svm_segment(SEL_TSS, 0x8b, sizeof(struct tss) - 1, (u64)&guest_tss);

	memset(&page, FILL, sizeof(page));
	svm_vmsave((u64)&page);
	/* QUIRK(qemu-7.2): LTR does not set the busy bit of the hidden state. */
	page.s.tr.attributes |= TYPE_BUSY;
	segment_equal("TR", page.s.tr, task);
	test_equal("FS selector", page.s.fs.selector, SEL_DATA);
	test_equal("FS limit", page.s.fs.limit, 0xffffffff);
	test_equal("GS selector", page.s.gs.selector, SEL_DATA);
	test_equal("LDTR selector", page.s.ldtr.selector, 0);
}

static void vmload_loads_segments(void)
{
	const struct vmcb_segment fs = svm_segment(0x1230, 0xc0f3, 0xabcdefff, SOME_VALUE);
	const struct vmcb_segment gs = svm_segment(0x4560, 0x40b3, 0x0000ffff, SOME_VALUE + 1);
	const struct vmcb_segment ldt = svm_segment(0x7890, 0x82, 0x1fff, SOME_VALUE + 2);
	const struct vmcb_segment task = svm_segment(0xabc8, 0x8b, 0x67, SOME_VALUE + 3);

	begin();
	page = ours;
	page.s.fs = fs;
	page.s.gs = gs;
	page.s.ldtr = ldt;
	page.s.tr = task;
	svm_vmload((u64)&page);
	memset(&page, FILL, sizeof(page));
	svm_vmsave((u64)&page);
	end();
	segment_equal("FS", page.s.fs, fs);
	segment_equal("GS", page.s.gs, gs);
	segment_equal("LDTR", page.s.ldtr, ldt);
	segment_equal("TR", page.s.tr, task);
}

static void vmsave_touches_nothing_else(void)
{
	u64 strange = 0;

	memset(&page, FILL, sizeof(page));
	svm_vmsave((u64)&page);
	page.s.fs = page.s.gs = page.s.ldtr = page.s.tr = (struct vmcb_segment){ 0 };
	memset(&page.s.fs, FILL, sizeof(page.s.fs));
	memset(&page.s.gs, FILL, sizeof(page.s.gs));
	memset(&page.s.ldtr, FILL, sizeof(page.s.ldtr));
	memset(&page.s.tr, FILL, sizeof(page.s.tr));
	for (size_t i = 2; i < ARRAY_SIZE(msrs); i++)
		set_field_at(msrs[i].offset, FILL_WORD);
	for (size_t i = 0; i < sizeof(page.c.bytes); i++)
		strange += page.c.bytes[i] != FILL;
	test_equal("bytes of the control area changed", strange, 0);
	strange = 0;
	for (size_t i = 0; i < sizeof(page.s.bytes); i++)
		strange += page.s.bytes[i] != FILL;
	test_equal("other bytes of the state save area changed", strange, 0);
}

static void vmload_reads_only(void)
{
	struct vmcb before;

	begin();
	page = ours;
	before = page;
	svm_vmload((u64)&page);
	test_equal("difference of the VMCB", (u64)(u32)memcmp(&page, &before, sizeof(page)), 0);
	end();
}

static void vmload_canonicalizes(void)
{
	u32 width = cpuid(CPUID_ADDRESS_SIZES, 0).eax >> 8 & 0xff;
	u64 highest = BIT(width - 1), extended = ~(highest - 1);

	begin();
	page = ours;
	page.s.fs.base = page.s.gs.base = page.s.ldtr.base = page.s.tr.base = highest;
	page.s.kernel_gs_base = highest;
	svm_vmload((u64)&page);
	test_equal("FS base", rdmsr(MSR_FS_BASE), extended);
	test_equal("GS base", rdmsr(MSR_GS_BASE), extended);
	test_equal("KernelGSBase", rdmsr(MSR_KERNEL_GS_BASE), extended);
	svm_vmsave((u64)&page);
	test_equal("LDTR base", page.s.ldtr.base, extended);
	test_equal("TR base", page.s.tr.base, extended);
	end();
}

static void vmrun_gives_back(void)
{
	u64 rax = (u64)&svm_inner_vmcb, flags, before;
	u64 efer = rdmsr(MSR_EFER), cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();

	svm_inner_reset(effects_flags);
	__asm__ volatile("pushfq\n\torq $0x8d5, (%%rsp)\n\tpopfq\n\t"
			 "mov %%rsp, %1\n\tvmrun %%rax\n\tsub %%rsp, %1\n\t"
			 "pushfq\n\tpopq %2"
			 : "+a"(rax), "=&r"(before), "=&r"(flags)
			 :
			 : "cc", "memory");
	svm_stgi();
	test_equal("RAX", rax, (u64)&svm_inner_vmcb);
	test_equal("change of RSP", before, 0);
	test_equal("EFER", rdmsr(MSR_EFER), efer);
	test_equal("CR0", read_cr0(), cr0);
	test_equal("CR3", read_cr3(), cr3);
	test_equal("CR4", read_cr4(), cr4);
	test_equal("exit code", svm_inner_vmcb.c.exit_code, SVM_EXIT_VMMCALL);
}

static void vmrun_exchanges_gprs(void)
{
	struct svm_inner_exit exit;

	svm_inner_reset(effects_done);
	for (u32 i = 0; i < ARRAY_SIZE(svm_inner_regs.gpr); i++)
		svm_inner_regs.gpr[i] = SOME_VALUE * (i + 1);
	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
	for (u32 i = 0; i < ARRAY_SIZE(svm_inner_regs.gpr); i++)
		test_equal("a register", svm_inner_regs.gpr[i], SOME_VALUE * (i + 1));
}

static u8 pages[2][PAGE_SIZE] __attribute__((aligned(4096)));

/* Maps the first page to the second one's memory without an INVLPG. */
static void invlpga_invalidates(void)
{
	volatile u8 *at = pages[0];
	u64 *entry = page_entry((u64)pages[0]), before = *entry;

	pages[0][0] = 1;
	pages[1][0] = 2;
	test_equal("byte before", *at, 1);
	*entry = (before & ~BITS(51, 12)) | (u64)pages[1];
	svm_invlpga((u64)at, 0);
	test_equal("byte behind INVLPGA", *at, 2);
	*entry = before;
	svm_invlpga((u64)at, 0);
	test_equal("byte after all", *at, 1);
}

static void invlpga_takes_anything(void)
{
	svm_invlpga(0, 1);
	svm_invlpga(BIT(47), 0);
	svm_invlpga(~0ULL, 1);
	svm_invlpga(BIT(63), svm_inner_features->asids - 1);
}

static const struct test tests[] = {
	{ "VMSAVE stores the MSRs",
	  "Stores FS, GS, TR, LDTR (including all hidden state), KernelGsBase, STAR, LSTAR, CSTAR, "
	  "SFMASK, SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP to the VMCB",
	  vmsave_stores },
	{ "VMSAVE stores the segments", "... FS, GS, TR, LDTR (including all hidden state)",
	  vmsave_stores_segments },
	{ "VMSAVE stores nothing else", "Stores a subset of processor state",
	  vmsave_touches_nothing_else },
	{ "VMLOAD loads the MSRs",
	  "Loads FS, GS, TR, LDTR (including all hidden state), KernelGsBase, STAR, LSTAR, CSTAR, "
	  "SFMASK, SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP from the VMCB",
	  vmload_loads },
	{ "VMLOAD loads the segments", "... FS, GS, TR, LDTR (including all hidden state)",
	  vmload_loads_segments },
	{ "VMLOAD leaves the VMCB as it is", "Loads a subset of processor state from the VMCB",
	  vmload_reads_only },
	{ "VMLOAD makes bases canonical",
	  "VMRUN and VMLOAD canonicalize (i.e., sign-extend to bit 63) all base addresses in the "
	  "segment registers that have been loaded",
	  vmload_canonicalizes },
	{ "VMRUN gives the host its state back",
	  "#VMEXIT restores RAX, RSP, RFLAGS, CR0, CR3, CR4, EFER from the host save area",
	  vmrun_gives_back },
	{ "VMRUN leaves the other registers to software",
	  "VMRUN and #VMEXIT exchange RAX and RSP only of the general registers",
	  vmrun_exchanges_gprs },
	{ "INVLPGA invalidates a page of the host's ASID",
	  "Invalidates the TLB mapping for a given virtual page and a given ASID",
	  invlpga_invalidates },
	{ "INVLPGA faults on no address and no ASID that exists",
	  "INVLPGA has no exceptions but #UD and #GP for CPL", invlpga_takes_anything },
};

SUITE_OF_TESTS(effects_suite, tests);
