/*
 * The table of operations, what each needs before it runs, and the measured code; see ops.h.
 * The measured code stands together in pages of its own, so that one run of the empty operation
 * brings all of it into a cold second-level table.
 */
#include "guests/bench/ops.h"
#include "guests/lib/exceptions.h"
#include "guests/lib/nestbed.h"
#include "guests/lib/svm.h"
#include "guests/lib/timer.h"
#include "guests/lib/vmx.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

/* The POST port: harmless to read and write on every PC, and a guest hypervisor intercepts it. */
#define BENCH_PORT "0x80"

#define HLT_PERIOD 100 /* timer periods: 84 microseconds */

/* The flags are the same at every run: L1 may do less for state that did not change. RAX and RDX
 * belong to RDTSC; `text` may change RBX and RCX too. */
#define TIMED(name, text)                                                                       \
	__attribute__((section(".text.bench_timed"))) static u64 name(const struct operands *o) \
	{                                                                                       \
		register u64 r8 __asm__("r8");                                                  \
		register u64 r9 __asm__("r9");                                                  \
		register u64 r10 __asm__("r10") = o->r10;                                       \
		register u64 r11 __asm__("r11") = o->r11;                                       \
		u64 rcx = o->rcx;                                                               \
		u64 low, high;                                                                  \
		__asm__ volatile("xor %%r8d, %%r8d\n\trdtsc\n\t"                                \
				 "mov %%eax, %%r8d\n\t"                                         \
				 "mov %%edx, %%r9d\n\t" text "\n\t"                             \
				 "rdtsc"                                                        \
				 : "=&a"(low), "=&d"(high), "=&r"(r8), "=&r"(r9), "+r"(r10),    \
				   "+r"(r11), "+c"(rcx)                                         \
				 :                                                              \
				 : "rbx", "cc", "memory");                                      \
		return (high << 32 | low) - (r9 << 32 | r8);                                    \
	}

TIMED(once_empty, "")
TIMED(once_cpuid, "xor %%eax, %%eax\n\tcpuid")
TIMED(once_vmcall, "mov %%r10d, %%eax\n\t" TRY("vmcall"))
TIMED(once_rdmsr, "rdmsr")
TIMED(once_wrmsr, "mov %%r10d, %%eax\n\tmov %%r11d, %%edx\n\twrmsr")
TIMED(once_in, "in $" BENCH_PORT ", %%al")
TIMED(once_out, "out %%al, $" BENCH_PORT)
TIMED(once_mov_cr3, "mov %%r10, %%cr3")
TIMED(once_mov_cr4, "mov %%r10, %%cr4")
TIMED(once_hlt, "sti\n\thlt\n\tcli")
TIMED(once_touch, "movb $1, (%%r10)")
TIMED(once_rdtsc, "rdtsc")
TIMED(once_vmread, "vmread %%r10, %%r11")
TIMED(once_vmmcall, "mov %%r10d, %%eax\n\t" TRY("vmmcall"))
TIMED(once_vmload, "mov %%r10, %%rax\n\tvmload %%rax")
TIMED(once_vmsave, "mov %%r10, %%rax\n\tvmsave %%rax")
TIMED(once_stgi_clgi, "clgi\n\tstgi")
TIMED(once_invlpga, "mov %%r10, %%rax\n\tinvlpga %%rax, %%ecx")

#define INVLPGA_ASID 1

static struct vmx_region vmxon_region, vmcs_region;
static struct vmcb vmcb;
static u64 next_page, pages_end;

void ops_give_pages(u64 start, u64 end)
{
	next_page = start;
	pages_end = end;
}

static void start_vmcall(struct operands *o)
{
	o->r10 = NB_CALL((u32)NB_OP_NOP);
}

/* IA32_PAT: a guest hypervisor that gives its guest a PAT of its own must see both accesses. */
static void start_msr(struct operands *o)
{
	u64 pat = rdmsr(MSR_PAT);

	o->rcx = MSR_PAT;
	o->r10 = (u32)pat;
	o->r11 = pat >> 32;
}

static void start_mov_cr3(struct operands *o)
{
	o->r10 = read_cr3();
}

static void start_mov_cr4(struct operands *o)
{
	o->r10 = read_cr4();
}

static void start_hlt(struct operands *o)
{
	(void)o;
	timer_init();
}

static void prepare_hlt(struct operands *o)
{
	(void)o;
	timer_arm(HLT_PERIOD);
}

static void prepare_touch(struct operands *o)
{
	if (next_page == pages_end)
		guest_fail("memory has no untouched page left for 'touch': use a smaller n");
	o->r10 = next_page;
	next_page += PAGE_SIZE;
}

static void start_vmx(void)
{
	const char *refused = vmx_start(&vmxon_region);

	if (refused)
		guest_fail("%s", refused);
	if (vmx_load_fresh(&vmcs_region) != VMX_SUCCEED)
		guest_fail("the VMCS cannot be loaded");
}

/* No shadowed field set ever has this one. */
static void start_vmread_trapped(struct operands *o)
{
	start_vmx();
	o->r10 = VMCS_INSTRUCTION_ERROR;
}

/* Every shadowed field set but `none` has this one. */
static void start_vmread_shadowed(struct operands *o)
{
	start_vmx();
	o->r10 = VMCS_EXIT_REASON;
}

static void start_svm(struct operands *o)
{
	const char *refused = svm_start();

	if (refused)
		guest_fail("%s", refused);
	o->r10 = (u64)&vmcb;
}

/* What is loaded is what is there. */
static void start_vmload(struct operands *o)
{
	start_svm(o);
	svm_vmsave((u64)&vmcb);
}

static void start_invlpga(struct operands *o)
{
	start_svm(o);
	o->rcx = INVLPGA_ASID;
}

const struct op bench_ops[] = {
	{ .name = "empty", .once = once_empty },
	{ .name = "cpuid", .once = once_cpuid },
	{ .name = "vmcall", .once = once_vmcall, .once_svm = once_vmmcall, .start = start_vmcall },
	{ .name = "rdmsr", .once = once_rdmsr, .start = start_msr },
	{ .name = "wrmsr", .once = once_wrmsr, .start = start_msr },
	{ .name = "in", .once = once_in },
	{ .name = "out", .once = once_out },
	{ .name = "mov_cr3", .once = once_mov_cr3, .start = start_mov_cr3 },
	{ .name = "mov_cr4", .once = once_mov_cr4, .start = start_mov_cr4 },
	{ .name = "hlt", .once = once_hlt, .start = start_hlt, .prepare = prepare_hlt },
	{ .name = "touch", .once = once_touch, .prepare = prepare_touch },
	{ .name = "rdtsc", .once = once_rdtsc },
	{ .name = "vmread_trapped",
	  .once = once_vmread,
	  .start = start_vmread_trapped,
	  .stop = vmx_stop,
	  .needs = OP_VMX },
	{ .name = "vmread_shadowed",
	  .once = once_vmread,
	  .start = start_vmread_shadowed,
	  .stop = vmx_stop,
	  .needs = OP_VMX },
	{ .name = "vmload",
	  .once = once_vmload,
	  .start = start_vmload,
	  .stop = svm_stop,
	  .needs = OP_SVM },
	{ .name = "vmsave",
	  .once = once_vmsave,
	  .start = start_svm,
	  .stop = svm_stop,
	  .needs = OP_SVM },
	{ .name = "stgi_clgi",
	  .once = once_stgi_clgi,
	  .start = start_svm,
	  .stop = svm_stop,
	  .needs = OP_SVM },
	{ .name = "invlpga",
	  .once = once_invlpga,
	  .start = start_invlpga,
	  .stop = svm_stop,
	  .needs = OP_SVM },
	{ .name = NULL },
};

const struct op *op_of_name(const char *name)
{
	for (const struct op *op = bench_ops; op->name; op++) {
		if (!strcmp(op->name, name))
			return op;
	}
	return NULL;
}

const char *op_lacks(const struct op *op)
{
	struct svm_features svm;

	if (op->needs == OP_VMX && !(cpuid(1, 0).ecx & CPUID_1_ECX_VMX))
		return "VMX";
	if (op->needs == OP_SVM) {
		svm_read_features(&svm);
		if (!svm.asids)
			return "SVM";
	}
	return NULL;
}

op_code *op_measured(const struct op *op)
{
	return op->once_svm && nestbed_is_svm() ? op->once_svm : op->once;
}
