/*
 * CPUID for L2; see cpuid.h. Bits by SDM 2A "CPUID" and APM 3 "Obtaining Processor Information Via
 * the CPUID Instruction" (Appendix E).
 */
#include "l1-hypervisor/cpuid.h"

#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/log.h"

#define LEAF_1_ECX_VMX          BIT(5)
#define LEAF_1_ECX_OSXSAVE      BIT(27)
#define LEAF_1_ECX_DS           (BIT(2) | BIT(4)) /* DTES64, DS-CPL */
#define LEAF_1_EDX_APIC         BIT(9)
#define LEAF_1_EDX_DS           BIT(21)
#define LEAF_7_EBX_PT           BIT(25)
#define LEAF_7_ECX_OSPKE        BIT(4)
#define LEAF_7_ECX_SHADOW_STACK BIT(7)
#define LEAF_7_ECX_LA57         BIT(16)
#define LEAF_EXT                0x80000001U
#define LEAF_EXT_EDX_SYSCALL    BIT(11)
#define LEAF_ENCRYPTION         0x8000001fU

/* "KVMKVMKVM" in the registers EBX, ECX, EDX of the first leaf of hypervisors. */
#define KVM_SIGNATURE_EBX 0x4b4d564bU
#define KVM_SIGNATURE_ECX 0x564b4d56U
#define KVM_SIGNATURE_EDX 0x4dU

bool cpuid_kvm_is_below(void)
{
	struct cpuid_regs leaf = cpuid(NB_CPUID_BASE, 0);

	return leaf.ebx == KVM_SIGNATURE_EBX && leaf.ecx == KVM_SIGNATURE_ECX &&
	       leaf.edx == KVM_SIGNATURE_EDX;
}

static void put_bit(u32 *word, u64 bit, bool on)
{
	*word = (u32)(on ? *word | bit : *word & ~bit);
}

static void signature(u32 leaf, struct cpuid_regs *out)
{
	*out = (struct cpuid_regs){ 0 };
	if (leaf == NB_CPUID_BASE) {
		out->eax = NB_CPUID_INFO;
		out->ebx = NB_SIGNATURE_EBX;
		out->ecx = NB_SIGNATURE_ECX;
		out->edx = NB_SIGNATURE_EDX;
	} else if (leaf == NB_CPUID_INFO) {
		out->eax = NB_VERSION;
		out->ebx = log_depth() + 1;
	}
}

/* The leaves that differ on AMD. Memory encryption would have its bit in addresses of L2. */
/* DEVIATION: an L2 of SVM is not told of five-level paging, with which its nested tables would have
 * five levels, nor of shadow stacks, whose state is not merged. */
static void change_svm(u32 leaf, const struct cpuid_view *view, struct cpuid_regs *out)
{
	const struct svm_caps *svm = view->svm;

	if (leaf == 7) {
		put_bit(&out->ecx, LEAF_7_ECX_LA57 | LEAF_7_ECX_SHADOW_STACK, false);
	} else if (leaf == LEAF_EXT) {
		put_bit(&out->ecx, CPUID_ECX_SVM, view->nested);
		put_bit(&out->ecx, CPUID_ECX_SKINIT, false);
	} else if (leaf == CPUID_SVM_LEAF) {
		*out = (struct cpuid_regs){ 0 };
		if (view->nested)
			*out = (struct cpuid_regs){ .eax = SVM_CAPS_REVISION,
						    .ebx = svm->asids,
						    .edx = svm->features };
	} else if (leaf == LEAF_ENCRYPTION) {
		*out = (struct cpuid_regs){ 0 };
	}
}

static void change(u32 leaf, const struct cpuid_view *view, struct cpuid_regs *out)
{
	if (leaf == 1) {
		put_bit(&out->ecx, LEAF_1_ECX_DS, false);
		put_bit(&out->edx, LEAF_1_EDX_DS, false);
		put_bit(&out->ecx, LEAF_1_ECX_OSXSAVE, view->cr4 & CR4_OSXSAVE);
		if (view->apic_is_off)
			put_bit(&out->edx, LEAF_1_EDX_APIC, false);
		if (!view->nested)
			put_bit(&out->ecx, LEAF_1_ECX_VMX, false);
	} else if (leaf == 7) {
		put_bit(&out->ecx, LEAF_7_ECX_OSPKE, view->cr4 & CR4_PKE);
		put_bit(&out->ebx, LEAF_7_EBX_PT, false);
		if (view->svm)
			change_svm(leaf, view, out);
	} else if (leaf - NB_CPUID_BASE < 0x100) {
		signature(leaf, out);
	} else if (view->svm) {
		change_svm(leaf, view, out);
	} else if (leaf == LEAF_EXT && !view->code64) {
		/* Intel reports SYSCALL only to 64-bit code. */
		put_bit(&out->edx, LEAF_EXT_EDX_SYSCALL, false);
	}
}

void cpuid_answer(u64 *r, const struct cpuid_view *view)
{
	u32 leaf = (u32)r[REG_RAX];
	struct cpuid_regs out = cpuid(leaf, (u32)r[REG_RCX]);

	change(leaf, view, &out);
	r[REG_RAX] = out.eax;
	r[REG_RBX] = out.ebx;
	r[REG_RCX] = out.ecx;
	r[REG_RDX] = out.edx;
}
