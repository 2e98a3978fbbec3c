/*
 * Architectural constants of x86-64 that more than one room uses: control registers, EFER, MSR
 * numbers, exception vectors, page-fault error code, segment access rights as VMX holds them; and
 * what a canonical address is.
 * VMX control bits are in shadow-vmcs/vmx_bits.h.
 */
#ifndef LEAF_X86_H
#define LEAF_X86_H

#include "l1-hypervisor/leaf/types.h"

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_SMXE       BIT(14)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)
#define CR4_CET        BIT(23)
#define CR4_PKS        BIT(24)

#define EFER_SCE   BIT(0)
#define EFER_LME   BIT(8)
#define EFER_LMA   BIT(10)
#define EFER_NXE   BIT(11)
#define EFER_SVME  BIT(12)
#define EFER_FFXSR BIT(14)
#define EFER_TCE   BIT(15)

#define RFLAGS_CF    BIT(0)
#define RFLAGS_FIXED BIT(1)
#define RFLAGS_PF    BIT(2)
#define RFLAGS_AF    BIT(4)
#define RFLAGS_ZF    BIT(6)
#define RFLAGS_SF    BIT(7)
#define RFLAGS_TF    BIT(8)
#define RFLAGS_IF    BIT(9)
#define RFLAGS_DF    BIT(10)
#define RFLAGS_OF    BIT(11)
#define RFLAGS_NT    BIT(14)
#define RFLAGS_RF    BIT(16)
#define RFLAGS_VM    BIT(17)
#define RFLAGS_AC    BIT(18)

/* Every flag that software can set. */
#define RFLAGS_WRITABLE 0x3f7fd5ULL

/* CF, PF, AF, ZF, SF, OF: what VMsucceed, VMfailInvalid and VMfailValid write. */
#define RFLAGS_ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

#define MSR_TSC                     0x10U
#define MSR_APIC_BASE               0x1bU
#define MSR_FEATURE_CONTROL         0x3aU
#define MSR_SYSENTER_CS             0x174U
#define MSR_SYSENTER_ESP            0x175U
#define MSR_SYSENTER_EIP            0x176U
#define MSR_DEBUGCTL                0x1d9U
#define MSR_PAT                     0x277U
#define MSR_PERF_GLOBAL_CTRL        0x38fU
#define MSR_PEBS_ENABLE             0x3f1U
#define MSR_VMX_BASIC               0x480U
#define MSR_VMX_PINBASED_CTLS       0x481U
#define MSR_VMX_PROCBASED_CTLS      0x482U
#define MSR_VMX_EXIT_CTLS           0x483U
#define MSR_VMX_ENTRY_CTLS          0x484U
#define MSR_VMX_MISC                0x485U
#define MSR_VMX_CR0_FIXED0          0x486U
#define MSR_VMX_CR0_FIXED1          0x487U
#define MSR_VMX_CR4_FIXED0          0x488U
#define MSR_VMX_CR4_FIXED1          0x489U
#define MSR_VMX_VMCS_ENUM           0x48aU
#define MSR_VMX_PROCBASED_CTLS2     0x48bU
#define MSR_VMX_EPT_VPID_CAP        0x48cU
#define MSR_VMX_TRUE_PINBASED_CTLS  0x48dU
#define MSR_VMX_TRUE_PROCBASED_CTLS 0x48eU
#define MSR_VMX_TRUE_EXIT_CTLS      0x48fU
#define MSR_VMX_TRUE_ENTRY_CTLS     0x490U
#define MSR_VMX_VMFUNC              0x491U
#define MSR_RTIT_OUTPUT_BASE        0x560U
#define MSR_RTIT_OUTPUT_MASK        0x561U
#define MSR_RTIT_CTL                0x570U
#define MSR_DS_AREA                 0x600U
#define MSR_X2APIC_FIRST            0x800U
#define MSR_X2APIC_TPR              0x808U
#define MSR_X2APIC_LAST             0x8ffU
#define MSR_XSS                     0xda0U
#define MSR_EFER                    0xc0000080U
#define MSR_STAR                    0xc0000081U
#define MSR_LSTAR                   0xc0000082U
#define MSR_CSTAR                   0xc0000083U
#define MSR_SFMASK                  0xc0000084U
#define MSR_FS_BASE                 0xc0000100U
#define MSR_GS_BASE                 0xc0000101U
#define MSR_KERNEL_GS_BASE          0xc0000102U

#define DEBUGCTL_LBR BIT(0)
#define DEBUGCTL_BTF BIT(1)

#define FEATURE_CONTROL_LOCK            BIT(0)
#define FEATURE_CONTROL_VMX_OUTSIDE_SMX BIT(2)

enum exception {
	EXC_DE = 0,
	EXC_DB = 1,
	EXC_NMI = 2,
	EXC_BP = 3,
	EXC_OF = 4,
	EXC_BR = 5,
	EXC_UD = 6,
	EXC_NM = 7,
	EXC_DF = 8,
	EXC_TS = 10,
	EXC_NP = 11,
	EXC_SS = 12,
	EXC_GP = 13,
	EXC_PF = 14,
	EXC_MF = 16,
	EXC_AC = 17,
	EXC_MC = 18,
	EXC_XM = 19,
	EXC_CP = 21,
};

/* Vectors of the exceptions that push an error code (SDM 3A "Exception and Interrupt Reference").
 */
#define EXC_HAS_ERROR_CODE                                                                   \
	(BIT(EXC_DF) | BIT(EXC_TS) | BIT(EXC_NP) | BIT(EXC_SS) | BIT(EXC_GP) | BIT(EXC_PF) | \
	 BIT(EXC_AC))

#define PF_P    BIT(0)
#define PF_W    BIT(1)
#define PF_U    BIT(2)
#define PF_RSVD BIT(3)
#define PF_I    BIT(4)
#define PF_PK   BIT(5)

#define PTE_P   BIT(0)
#define PTE_W   BIT(1)
#define PTE_U   BIT(2)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_A   BIT(5)
#define PTE_D   BIT(6)
#define PTE_PS  BIT(7)
#define PTE_G   BIT(8)
#define PTE_NX  BIT(63)

/* Segment access rights, the format of the VMCS (SDM 3C "Guest Register State"). */
#define AR_TYPE_MASK 0xfU
#define AR_S         BIT(4)
#define AR_DPL_SHIFT 5
#define AR_DPL_MASK  (3U << AR_DPL_SHIFT)
#define AR_P         BIT(7)
#define AR_L         BIT(13)
#define AR_DB        BIT(14)
#define AR_G         BIT(15)
#define AR_UNUSABLE  BIT(16)

/* SDM 1 "Canonical Addressing": with `width` bits of linear address, the rest repeats the highest.
 */
static inline bool is_canonical(u64 address, u32 width)
{
	u32 unused = 64 - width;

	return (u64)((int64_t)(address << unused) >> unused) == address;
}

/* Memory types of EPT entries, PAT and MTRRs. */
enum memory_type { MEMTYPE_UC = 0, MEMTYPE_WC = 1, MEMTYPE_WT = 4, MEMTYPE_WP = 5, MEMTYPE_WB = 6 };

#endif
