/*
 * Bits of SVM: intercepts, VMCB control fields, events, MSRs, CPUID 8000_000A, permission maps.
 * Facts of the hardware only; guests use this file too. Names and numbers: APM 2 "Secure Virtual
 * Machine" (chapter 15) and Appendix B.
 */
#ifndef SHADOW_VMCS_SVM_BITS_H
#define SHADOW_VMCS_SVM_BITS_H

#include "l1-hypervisor/leaf/types.h"

/* intercept_cr, intercept_dr: reads in the low half, writes in the high half. */
#define INTERCEPT_CR_READ(n)  BIT32(n)
#define INTERCEPT_CR_WRITE(n) BIT32(16 + (n))
#define INTERCEPT_DR_READ(n)  BIT32(n)
#define INTERCEPT_DR_WRITE(n) BIT32(16 + (n))

/* intercept1 */
#define INTERCEPT1_INTR        BIT32(0)
#define INTERCEPT1_NMI         BIT32(1)
#define INTERCEPT1_SMI         BIT32(2)
#define INTERCEPT1_INIT        BIT32(3)
#define INTERCEPT1_VINTR       BIT32(4)
#define INTERCEPT1_CR0_SEL     BIT32(5)
#define INTERCEPT1_IDTR_READ   BIT32(6)
#define INTERCEPT1_GDTR_READ   BIT32(7)
#define INTERCEPT1_LDTR_READ   BIT32(8)
#define INTERCEPT1_TR_READ     BIT32(9)
#define INTERCEPT1_IDTR_WRITE  BIT32(10)
#define INTERCEPT1_GDTR_WRITE  BIT32(11)
#define INTERCEPT1_LDTR_WRITE  BIT32(12)
#define INTERCEPT1_TR_WRITE    BIT32(13)
#define INTERCEPT1_RDTSC       BIT32(14)
#define INTERCEPT1_RDPMC       BIT32(15)
#define INTERCEPT1_PUSHF       BIT32(16)
#define INTERCEPT1_POPF        BIT32(17)
#define INTERCEPT1_CPUID       BIT32(18)
#define INTERCEPT1_RSM         BIT32(19)
#define INTERCEPT1_IRET        BIT32(20)
#define INTERCEPT1_INTN        BIT32(21)
#define INTERCEPT1_INVD        BIT32(22)
#define INTERCEPT1_PAUSE       BIT32(23)
#define INTERCEPT1_HLT         BIT32(24)
#define INTERCEPT1_INVLPG      BIT32(25)
#define INTERCEPT1_INVLPGA     BIT32(26)
#define INTERCEPT1_IOIO        BIT32(27)
#define INTERCEPT1_MSR         BIT32(28)
#define INTERCEPT1_TASK_SWITCH BIT32(29)
#define INTERCEPT1_FERR_FREEZE BIT32(30)
#define INTERCEPT1_SHUTDOWN    BIT32(31)

/* intercept2 */
#define INTERCEPT2_VMRUN       BIT32(0)
#define INTERCEPT2_VMMCALL     BIT32(1)
#define INTERCEPT2_VMLOAD      BIT32(2)
#define INTERCEPT2_VMSAVE      BIT32(3)
#define INTERCEPT2_STGI        BIT32(4)
#define INTERCEPT2_CLGI        BIT32(5)
#define INTERCEPT2_SKINIT      BIT32(6)
#define INTERCEPT2_RDTSCP      BIT32(7)
#define INTERCEPT2_ICEBP       BIT32(8)
#define INTERCEPT2_WBINVD      BIT32(9)
#define INTERCEPT2_MONITOR     BIT32(10)
#define INTERCEPT2_MWAIT       BIT32(11)
#define INTERCEPT2_MWAIT_ARMED BIT32(12)
#define INTERCEPT2_XSETBV      BIT32(13)
#define INTERCEPT2_RDPRU       BIT32(14)
#define INTERCEPT2_EFER_WRITE  BIT32(15)
#define INTERCEPT2_SVM                                                                   \
	(INTERCEPT2_VMRUN | INTERCEPT2_VMMCALL | INTERCEPT2_VMLOAD | INTERCEPT2_VMSAVE | \
	 INTERCEPT2_STGI | INTERCEPT2_CLGI | INTERCEPT2_SKINIT)

/* intercept3 */
#define INTERCEPT3_INVPCID BIT32(2)

/* tlb_control */
#define TLB_KEEP             0U
#define TLB_FLUSH_ALL        1U
#define TLB_FLUSH_ASID       3U
#define TLB_FLUSH_NON_GLOBAL 7U

/* int_control */
#define INT_V_TPR        BITS(7, 0)
#define INT_V_IRQ        BIT(8)
#define INT_V_GIF        BIT(9)
#define INT_V_PRIO_SHIFT 16
#define INT_V_PRIO       BITS(19, 16)
#define INT_V_IGN_TPR    BIT(20)
#define INT_V_MASKING    BIT(24)
#define INT_V_GIF_ENABLE BIT(25)
#define INT_AVIC_ENABLE  BIT(31)
#define INT_VECTOR_SHIFT 32
#define INT_VECTOR       BITS(39, 32)

/* int_state */
#define INT_STATE_SHADOW BIT(0)
#define INT_STATE_MASK   BIT(1) /* written by exits: RFLAGS.IF of the guest */

/* nested_control */
#define NESTED_NP_ENABLE BIT(0)

/* virt_ext */
#define VIRT_EXT_LBR BIT(0)
#define VIRT_EXT_VLS BIT(1) /* virtual VMLOAD and VMSAVE */

/* event_injection and exit_int_info */
#define EVENT_VECTOR         BITS(7, 0)
#define EVENT_TYPE           BITS(10, 8)
#define EVENT_TYPE_INTR      (0ULL << 8)
#define EVENT_TYPE_NMI       (2ULL << 8)
#define EVENT_TYPE_EXCEPTION (3ULL << 8)
#define EVENT_TYPE_SOFTWARE  (4ULL << 8)
#define EVENT_ERROR_CODE     BIT(11)
#define EVENT_VALID          BIT(31)
#define EVENT_ERROR_SHIFT    32

/* exit_info1 of IOIO; exit_info2 is the next RIP. */
#define IOIO_IN         BIT(0)
#define IOIO_STRING     BIT(2)
#define IOIO_REP        BIT(3)
#define IOIO_SIZE_SHIFT 4 /* one of three bits: 1, 2, 4 bytes */
#define IOIO_SIZE       BITS(6, 4)
#define IOIO_ADDRESS_16 BIT(7)
#define IOIO_ADDRESS_32 BIT(8)
#define IOIO_ADDRESS_64 BIT(9)
#define IOIO_PORT_SHIFT 16

/* exit_info1 of a nested page fault: as an error code of #PF, and where it happened. */
#define NPF_FINAL_ADDRESS BIT(32)
#define NPF_GUEST_TABLE   BIT(33)

/* exit_info1 of MOV CR and MOV DR with decode assists. */
#define CR_INFO_MOV BIT(63)
#define CR_INFO_REG BITS(3, 0)

#define MSR_VM_CR       0xc0010114U
#define MSR_IGNNE       0xc0010115U
#define MSR_SMM_CTL     0xc0010116U
#define MSR_VM_HSAVE_PA 0xc0010117U
#define MSR_SVM_KEY     0xc0010118U
#define MSR_TSC_RATIO   0xc0000104U

/* APM 2 "TSC Ratio MSR (C000_0104h)" (15.30.5): 8 bits of integer, 32 bits of fraction. */
#define TSC_RATIO_FRACTION 32
#define TSC_RATIO_ONE      BIT(TSC_RATIO_FRACTION)
#define TSC_RATIO_RESERVED (~BITS(39, 0))

#define VM_CR_DPD      BIT(0)
#define VM_CR_R_INIT   BIT(1)
#define VM_CR_DIS_A20M BIT(2)
#define VM_CR_LOCK     BIT(3)
#define VM_CR_SVMDIS   BIT(4)
#define VM_CR_RESERVED (~BITS(4, 0))

/* CPUID 8000_0001 ECX, and leaf 8000_000A: EAX revision, EBX number of ASIDs, EDX features. */
#define CPUID_ECX_SVM    BIT32(2)
#define CPUID_ECX_SKINIT BIT32(12)
#define CPUID_SVM_LEAF   0x8000000aU

#define SVM_FEATURE_NPT             BIT32(0)
#define SVM_FEATURE_LBR             BIT32(1)
#define SVM_FEATURE_LOCK            BIT32(2)
#define SVM_FEATURE_NRIPS           BIT32(3)
#define SVM_FEATURE_TSC_RATIO       BIT32(4)
#define SVM_FEATURE_CLEAN_BITS      BIT32(5)
#define SVM_FEATURE_FLUSH_BY_ASID   BIT32(6)
#define SVM_FEATURE_DECODE          BIT32(7)
#define SVM_FEATURE_PAUSE_FILTER    BIT32(10)
#define SVM_FEATURE_PAUSE_THRESHOLD BIT32(12)
#define SVM_FEATURE_AVIC            BIT32(13)
#define SVM_FEATURE_VLS             BIT32(15)
#define SVM_FEATURE_VGIF            BIT32(16)
#define SVM_FEATURE_ADDR_CHK        BIT32(28)

/* Attributes of struct vmcb_segment. */
#define SEG_TYPE      BITS(3, 0)
#define SEG_S         BIT(4)
#define SEG_DPL_SHIFT 5
#define SEG_DPL       BITS(6, 5)
#define SEG_P         BIT(7)
#define SEG_AVL       BIT(8)
#define SEG_L         BIT(9)
#define SEG_DB        BIT(10)
#define SEG_G         BIT(11)

/* APM 2 "MSR Intercepts" (15.11): two bits an MSR, the lower one for reads, in three ranges of 8192
 * MSRs; "I/O Intercepts" (15.10): a bit a port, three pages. */
#define MSRPM_SIZE        0x2000U
#define MSRPM_RANGE       0x2000U
#define MSRPM_RANGE_BYTES 0x800U
#define IOPM_SIZE         0x3000U

#endif
