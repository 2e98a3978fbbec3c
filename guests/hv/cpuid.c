/*
 * The guest's CPUID; see cpuid.h. Not offered: VMX, SVM, XSAVE and what depends on it, and paging
 * features that hv's shadow page tables do not follow (PCID, SMEP, SMAP, PKU, 1-GiB pages, PSE-36,
 * UMIP is not virtualized either), so that both kinds of paging look alike.
 */
#include "guests/hv/cpuid.h"

#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/x86.h"

#define BASIC_LEAVES    0x20U
#define EXTENDED_LEAVES 0x20U
#define EXTENDED_BASE   0x80000000U
#define SUBLEAVES       8U

/* Leaves of features that are not offered: XSAVE, SGX, processor trace. */
#define EMPTY_LEAVES (BIT(0xd) | BIT(0x12) | BIT(0x14))

/* Leaf 1, ECX: VMX, SMX, FMA, PCID, XSAVE, OSXSAVE, AVX, F16C; EDX: PSE-36. */
#define LEAF1_ECX_HIDDEN \
	(BIT(5) | BIT(6) | BIT(12) | BIT(17) | BIT(26) | BIT(27) | BIT(28) | BIT(29))
#define LEAF1_ECX_HYPERVISOR BIT(31)
#define LEAF1_EDX_HIDDEN     BIT(17)
/* Leaf 7, EBX: FSGSBASE, TSC_ADJUST, BMI1, BMI2, ERMS, RDSEED, ADX, CLFLUSHOPT, CLWB. */
#define LEAF7_EBX_FSGSBASE BIT(0)
#define LEAF7_EBX_OFFERED                                                                       \
	(LEAF7_EBX_FSGSBASE | BIT(1) | BIT(3) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(23) | \
	 BIT(24))
/* Leaf 0x80000001, ECX: SVM, XOP, SKINIT, LWP, FMA4; EDX: 1-GiB pages, RDTSCP. */
#define EXTENDED1_ECX_HIDDEN (BIT(2) | BIT(11) | BIT(12) | BIT(15) | BIT(16))
#define EXTENDED1_EDX_HIDDEN (BIT(26) | BIT(27))
#define EXTENDED_ADDRESSES   8
#define EXTENDED_SVM         0xa

struct cpuid_regs cpuid_basic[BASIC_LEAVES];
u32 cpuid_basic_count;

static struct cpuid_regs extended[EXTENDED_LEAVES], hypervisor[2];
static struct cpuid_regs subleaves[BASIC_LEAVES][SUBLEAVES];
static u32 extended_count;

static u32 smaller(u32 a, u32 b)
{
	return a < b ? a : b;
}

static void hide(void)
{
	const u64 empty = EMPTY_LEAVES;

	cpuid_basic[1].ecx &= (u32)~LEAF1_ECX_HIDDEN;
	cpuid_basic[1].ecx |= (u32)LEAF1_ECX_HYPERVISOR;
	cpuid_basic[1].edx &= (u32)~LEAF1_EDX_HIDDEN;
	for (u32 i = 0; i < SUBLEAVES; i++)
		subleaves[7][i] = (struct cpuid_regs){
			.ebx = i ? 0 : subleaves[7][0].ebx & (u32)LEAF7_EBX_OFFERED,
		};
	for (u32 leaf = 0; leaf < cpuid_basic_count; leaf++) {
		if (empty & BIT(leaf))
			cpuid_basic[leaf] = (struct cpuid_regs){ 0 };
	}
	extended[1].ecx &= (u32)~EXTENDED1_ECX_HIDDEN;
	extended[1].edx &= (u32)~EXTENDED1_EDX_HIDDEN;
	extended[EXTENDED_SVM] = (struct cpuid_regs){ 0 };
}

void cpuid_init(u32 level)
{
	cpuid_basic_count = smaller(cpuid(0, 0).eax + 1, BASIC_LEAVES);
	extended_count = smaller(cpuid(EXTENDED_BASE, 0).eax - EXTENDED_BASE + 1, EXTENDED_LEAVES);
	for (u32 leaf = 0; leaf < cpuid_basic_count; leaf++) {
		cpuid_basic[leaf] = cpuid(leaf, 0);
		for (u32 i = 0; i < SUBLEAVES && (CPUID_WITH_SUBLEAVES & BIT(leaf)); i++)
			subleaves[leaf][i] = cpuid(leaf, i);
	}
	cpuid_basic[0].eax = cpuid_basic_count - 1;
	for (u32 leaf = 0; leaf < extended_count; leaf++)
		extended[leaf] = cpuid(EXTENDED_BASE + leaf, 0);
	extended[0].eax = EXTENDED_BASE + extended_count - 1;
	hide();

	hypervisor[0] = (struct cpuid_regs){ NB_CPUID_INFO, NB_SIGNATURE_EBX, NB_SIGNATURE_ECX,
					     NB_SIGNATURE_EDX };
	hypervisor[1] = (struct cpuid_regs){ .eax = NB_VERSION, .ebx = level };
}

/* SDM 2A "CPUID": a leaf out of range answers like the highest basic leaf. */
const struct cpuid_regs *cpuid_find(u32 leaf, u32 subleaf)
{
	if (leaf - NB_CPUID_BASE < ARRAY_SIZE(hypervisor))
		return &hypervisor[leaf - NB_CPUID_BASE];
	if (leaf - EXTENDED_BASE < extended_count)
		return &extended[leaf - EXTENDED_BASE];
	if (leaf >= cpuid_basic_count)
		leaf = cpuid_basic_count - 1;
	if (!(CPUID_WITH_SUBLEAVES & BIT(leaf)))
		return &cpuid_basic[leaf];
	return &subleaves[leaf][smaller(subleaf, SUBLEAVES - 1)];
}

u64 cpuid_cr4_allowed(void)
{
	u64 allowed = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE |
		      CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (subleaves[7][0].ebx & LEAF7_EBX_FSGSBASE)
		allowed |= CR4_FSGSBASE;
	return allowed;
}

unsigned cpuid_physical_bits(void)
{
	return extended_count > EXTENDED_ADDRESSES ? extended[EXTENDED_ADDRESSES].eax & 0xff : 36;
}
