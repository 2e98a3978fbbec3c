/*
 * rAX as the address of a VMCB: alignment, physical-address width, address size. A row whose
 * instruction must not take the address has a page there that would do, where there can be one.
 */
#include "guests/svm-insn/insn_case.h"
#include "l1-hypervisor/leaf/string.h"

#define GARBAGE  0xdeadbeef00000000ULL
#define TOO_WIDE BIT(51)

INSN_CODE(short_vmrun, 64, ".byte 0x67\n\tvmrun %rax");
INSN_CODE(short_vmload, 64, ".byte 0x67\n\tvmload %rax");
INSN_CODE(short_vmsave, 64, ".byte 0x67\n\tvmsave %rax");
INSN_CODE(compat_vmload, 32, "vmload %eax");
INSN_CODE(compat_vmsave, 32, "vmsave %eax");

#define SOME_VALUE 0x123456789aULL

static u8 area[2 * PAGE_SIZE] __attribute__((aligned(4096)));

/* A valid VMCB at the operand's address, so that a VMRUN that takes it comes back. */
static void put_vmcb(u32 offset)
{
	insn_prepare_run();
	memset(area, 0, sizeof(area));
	memcpy(area + offset, &svm_inner_vmcb, sizeof(svm_inner_vmcb));
}

static void put_vmcb_8(void)
{
	put_vmcb(8);
}

static void put_vmcb_800(void)
{
	put_vmcb(0x800);
}

static void mark_vls(void)
{
	insn_vls.s.kernel_gs_base = SOME_VALUE;
}

static void marked(const struct exception_frame *end)
{
	struct vmcb now;

	(void)end;
	svm_vmsave((u64)&now);
	test_equal("KernelGSBase", now.s.kernel_gs_base, SOME_VALUE);
}

static void saved(const struct exception_frame *end)
{
	(void)end;
	test_true("KernelGSBase was stored", insn_vls.s.kernel_gs_base != SOME_VALUE);
}

#define RULE_ALIGNED "#GP(0): rAX referenced a physical address that is not aligned on 4 Kbytes"
#define RULE_WIDTH                                                                        \
	"#GP(0): rAX referenced a physical address above the maximum supported physical " \
	"address"
#define RULE_SIZE                                                                             \
	"the portion of rAX used to form the address is determined by the effective address " \
	"size"
#define AT(offset) .rax = (u64)area + (offset)
#define BADLY      .want = FAULTS(EXC_GP)

static const struct insn_case cases[] = {
	{ "VMRUN at 8 behind a page: #GP(0)", RULE_ALIGNED, INSN(code_vmrun), BADLY, AT(8),
	  .prepare = put_vmcb_8 },
	{ "VMRUN at the middle of a page: #GP(0)", RULE_ALIGNED, INSN(code_vmrun), BADLY, AT(0x800),
	  .prepare = put_vmcb_800 },
	{ "VMLOAD at 8 behind a page: #GP(0)", RULE_ALIGNED, INSN(code_vmload), BADLY, AT(8),
	  .prepare = put_vmcb_8 },
	{ "VMLOAD at the middle of a page: #GP(0)", RULE_ALIGNED, INSN(code_vmload), BADLY,
	  AT(0x800), .prepare = put_vmcb_800 },
	{ "VMSAVE at 8 behind a page: #GP(0)", RULE_ALIGNED, INSN(code_vmsave), BADLY, AT(8) },
	{ "VMSAVE at the middle of a page: #GP(0)", RULE_ALIGNED, INSN(code_vmsave), BADLY,
	  AT(0x800) },
	{ "VMRUN beyond the physical-address width: #GP(0)", RULE_WIDTH, INSN(code_vmrun), BADLY,
	  .rax = TOO_WIDE },
	{ "VMLOAD beyond the physical-address width: #GP(0)", RULE_WIDTH, INSN(code_vmload), BADLY,
	  .rax = TOO_WIDE },
	{ "VMSAVE beyond the physical-address width: #GP(0)", RULE_WIDTH, INSN(code_vmsave), BADLY,
	  .rax = TOO_WIDE },
	{ "VMRUN with a 32-bit address", RULE_SIZE, INSN(short_vmrun), SUCCEEDS,
	  .rax = GARBAGE + (u64)&svm_inner_vmcb, .prepare = insn_prepare_run, .finish = insn_ran },
	{ "VMLOAD with a 32-bit address", RULE_SIZE, INSN(short_vmload), SUCCEEDS,
	  .rax = GARBAGE + (u64)&insn_vls, .prepare = mark_vls, .finish = marked },
	{ "VMSAVE with a 32-bit address", RULE_SIZE, INSN(short_vmsave), SUCCEEDS,
	  .rax = GARBAGE + (u64)&insn_vls, .prepare = mark_vls, .finish = saved },
	{ "VMRUN with a 64-bit address that has a bit too many: #GP(0)", RULE_WIDTH,
	  INSN(code_vmrun), BADLY, .rax = GARBAGE + (u64)&svm_inner_vmcb,
	  .prepare = insn_prepare_run },
	{ "VMLOAD in compatibility mode", RULE_SIZE, INSN(compat_vmload), SUCCEEDS,
	  .mode = MODE_COMPAT, .rax = (u64)&insn_vls, .prepare = mark_vls, .finish = marked },
	{ "VMSAVE in compatibility mode", RULE_SIZE, INSN(compat_vmsave), SUCCEEDS,
	  .mode = MODE_COMPAT, .rax = (u64)&insn_vls, .prepare = mark_vls, .finish = saved },
	{ "VMLOAD in legacy mode", RULE_SIZE, INSN(compat_vmload), SUCCEEDS, .mode = MODE_LEGACY,
	  .rax = (u64)&insn_vls, .prepare = mark_vls, .finish = marked },
	{ "VMSAVE in legacy mode", RULE_SIZE, INSN(compat_vmsave), SUCCEEDS, .mode = MODE_LEGACY,
	  .rax = (u64)&insn_vls, .prepare = mark_vls, .finish = saved },
};

static u32 count(void)
{
	return ARRAY_SIZE(cases);
}

static void run(void)
{
	insn_cases_run(cases, ARRAY_SIZE(cases));
}

const struct suite operands_suite = { count, run };
