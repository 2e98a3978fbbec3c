/*
 * Bits of the VMX control fields, of the exit information and of the capability MSRs, and the
 * numbers that instructions and fields use. The bits of 32-bit fields are u32, those of 64-bit
 * fields and MSRs are u64. SDM 3C "VMX Capabilities and VMCS" chapters, SDM 3D "VMX Capability
 * Reporting Facility" (Appendix A). No code.
 */
#ifndef SHADOW_VMCS_VMX_BITS_H
#define SHADOW_VMCS_VMX_BITS_H

#include "l1-hypervisor/leaf/types.h"
#include "nested-ept/ept.h" /* the bits of an EPTP */

/* SDM 3C "Pin-Based VM-Execution Controls" (25.6.1). */
#define PIN_EXTERNAL_INTERRUPT BIT32(0)
#define PIN_NMI                BIT32(3)
#define PIN_VIRTUAL_NMI        BIT32(5)
#define PIN_PREEMPTION_TIMER   BIT32(6)
#define PIN_POSTED_INTR        BIT32(7)

/* SDM 3C "Processor-Based VM-Execution Controls" (25.6.2), primary. */
#define PROC_INTERRUPT_WINDOW  BIT32(2)
#define PROC_TSC_OFFSETTING    BIT32(3)
#define PROC_HLT               BIT32(7)
#define PROC_INVLPG            BIT32(9)
#define PROC_MWAIT             BIT32(10)
#define PROC_RDPMC             BIT32(11)
#define PROC_RDTSC             BIT32(12)
#define PROC_CR3_LOAD          BIT32(15)
#define PROC_CR3_STORE         BIT32(16)
#define PROC_TERTIARY          BIT32(17)
#define PROC_CR8_LOAD          BIT32(19)
#define PROC_CR8_STORE         BIT32(20)
#define PROC_TPR_SHADOW        BIT32(21)
#define PROC_NMI_WINDOW        BIT32(22)
#define PROC_MOV_DR            BIT32(23)
#define PROC_UNCONDITIONAL_IO  BIT32(24)
#define PROC_IO_BITMAPS        BIT32(25)
#define PROC_MONITOR_TRAP_FLAG BIT32(27)
#define PROC_MSR_BITMAPS       BIT32(28)
#define PROC_MONITOR           BIT32(29)
#define PROC_PAUSE             BIT32(30)
#define PROC_SECONDARY         BIT32(31)

/* Secondary. */
#define PROC2_APIC_ACCESSES      BIT32(0)
#define PROC2_EPT                BIT32(1)
#define PROC2_DESCRIPTOR_TABLE   BIT32(2)
#define PROC2_RDTSCP             BIT32(3)
#define PROC2_X2APIC             BIT32(4)
#define PROC2_VPID               BIT32(5)
#define PROC2_WBINVD             BIT32(6)
#define PROC2_UNRESTRICTED_GUEST BIT32(7)
#define PROC2_APIC_REGISTERS     BIT32(8)
#define PROC2_VIRTUAL_INTR       BIT32(9)
#define PROC2_PAUSE_LOOP_EXITING BIT32(10)
#define PROC2_RDRAND             BIT32(11)
#define PROC2_INVPCID            BIT32(12)
#define PROC2_VMFUNC             BIT32(13)
#define PROC2_VMCS_SHADOWING     BIT32(14)
#define PROC2_ENCLS_EXITING      BIT32(15)
#define PROC2_RDSEED             BIT32(16)
#define PROC2_PML                BIT32(17)
#define PROC2_VE                 BIT32(18)
#define PROC2_CONCEAL_PT         BIT32(19)
#define PROC2_XSAVES             BIT32(20)
#define PROC2_MODE_BASED_EXECUTE BIT32(22)
#define PROC2_SUB_PAGE_WRITE     BIT32(23)
#define PROC2_PT_GUEST_PHYSICAL  BIT32(24)
#define PROC2_TSC_SCALING        BIT32(25)
#define PROC2_USER_WAIT_PAUSE    BIT32(26)
#define PROC2_ENCLV_EXITING      BIT32(28)

/* SDM 3C "VM-Exit Controls" (25.7.1). */
#define EXIT_SAVE_DEBUG       BIT32(2)
#define EXIT_HOST_64          BIT32(9)
#define EXIT_LOAD_PERF_GLOBAL BIT32(12)
#define EXIT_ACK_INTERRUPT    BIT32(15)
#define EXIT_SAVE_PAT         BIT32(18)
#define EXIT_LOAD_PAT         BIT32(19)
#define EXIT_SAVE_EFER        BIT32(20)
#define EXIT_LOAD_EFER        BIT32(21)
#define EXIT_SAVE_PREEMPTION  BIT32(22)
#define EXIT_CLEAR_BNDCFGS    BIT32(23)
#define EXIT_CONCEAL_PT       BIT32(24)
#define EXIT_CLEAR_RTIT_CTL   BIT32(25)
#define EXIT_CLEAR_LBR_CTL    BIT32(26)
#define EXIT_LOAD_CET         BIT32(28)
#define EXIT_LOAD_PKRS        BIT32(29)

/* SDM 3C "VM-Entry Controls" (25.8.1). */
#define ENTRY_LOAD_DEBUG       BIT32(2)
#define ENTRY_GUEST_64         BIT32(9)
#define ENTRY_TO_SMM           BIT32(10)
#define ENTRY_NO_DUAL_MONITOR  BIT32(11)
#define ENTRY_LOAD_PERF_GLOBAL BIT32(13)
#define ENTRY_LOAD_PAT         BIT32(14)
#define ENTRY_LOAD_EFER        BIT32(15)
#define ENTRY_LOAD_BNDCFGS     BIT32(16)
#define ENTRY_CONCEAL_PT       BIT32(17)
#define ENTRY_LOAD_RTIT_CTL    BIT32(18)
#define ENTRY_LOAD_CET         BIT32(20)
#define ENTRY_LOAD_LBR_CTL     BIT32(21)
#define ENTRY_LOAD_PKRS        BIT32(22)

/* Interruption information: of an entry (25.8.3), of an exit (25.9.2), of IDT vectoring (25.9.3).
 */
#define INTR_INFO_VECTOR      0xffU
#define INTR_INFO_TYPE        0x700U
#define INTR_INFO_ERROR_CODE  BIT32(11)
#define INTR_INFO_NMI_UNBLOCK BIT32(12)   /* exit and IDT vectoring only: undefined in the latter */
#define INTR_INFO_RESERVED    0x7ffff000U /* of an entry: bits 30:12 */
#define INTR_INFO_VALID       BIT32(31)

enum intr_type {
	INTR_TYPE_EXTERNAL = 0 << 8,
	INTR_TYPE_RESERVED = 1 << 8,
	INTR_TYPE_NMI = 2 << 8,
	INTR_TYPE_HARDWARE_EXCEPTION = 3 << 8,
	INTR_TYPE_SOFTWARE_INTERRUPT = 4 << 8,
	INTR_TYPE_PRIVILEGED_SOFTWARE_EXCEPTION = 5 << 8,
	INTR_TYPE_SOFTWARE_EXCEPTION = 6 << 8,
	INTR_TYPE_OTHER = 7 << 8, /* at an entry: a pending MTF exit */
};

/* SDM 3C "Guest Non-Register State" (25.4.2). */
enum vmx_activity {
	VMX_ACTIVE = 0,
	VMX_HALTED = 1,
	VMX_SHUTDOWN = 2,
	VMX_WAIT_FOR_SIPI = 3,
};

#define INTERRUPTIBILITY_STI      BIT32(0)
#define INTERRUPTIBILITY_MOV_SS   BIT32(1)
#define INTERRUPTIBILITY_SMI      BIT32(2)
#define INTERRUPTIBILITY_NMI      BIT32(3)
#define INTERRUPTIBILITY_ENCLAVE  BIT32(4)
#define INTERRUPTIBILITY_RESERVED 0xffffffe0U

#define PENDING_DEBUG_B        0xfULL
#define PENDING_DEBUG_BUS_LOCK BIT(11)
#define PENDING_DEBUG_ENABLED  BIT(12)
#define PENDING_DEBUG_BS       BIT(14)
#define PENDING_DEBUG_RTM      BIT(16)

/* Exit reason field (25.9.1). */
#define EXIT_REASON_BASIC         0xffffU
#define EXIT_REASON_ENTRY_FAILURE BIT32(31)

/* Exit qualification of an entry that fails, SDM 3C "VM-Entry Failures During or After Loading
 * Guest State" (27.8). */
#define ENTRY_FAILURE_PDPTE 2
#define ENTRY_FAILURE_NMI   3
#define ENTRY_FAILURE_LINK  4

/* SDM 3C "Exit Qualification for I/O Instructions" (28.2.1, Table 28-5). */
#define IO_SIZE       7ULL /* less 1 */
#define IO_IN         BIT(3)
#define IO_STRING     BIT(4)
#define IO_REP        BIT(5)
#define IO_PORT_SHIFT 16

/* SDM 3C "Exit Qualification for Control-Register Accesses" (28.2.1, Table 28-3). */
#define CR_ACCESS_NUMBER    0xfULL
#define CR_ACCESS_TYPE      0x30ULL
#define CR_ACCESS_WRITE     0x00ULL
#define CR_ACCESS_READ      0x10ULL
#define CR_ACCESS_CLTS      0x20ULL
#define CR_ACCESS_LMSW      0x30ULL
#define CR_ACCESS_REG_SHIFT 8
#define CR_ACCESS_REG       0xfULL

/* VM-instruction error numbers, SDM 3C "VM Instruction Error Numbers" (31.4). */
enum vmxerr {
	VMXERR_VMCALL_IN_ROOT = 1,
	VMXERR_VMCLEAR_ADDRESS = 2,
	VMXERR_VMCLEAR_VMXON_POINTER = 3,
	VMXERR_VMLAUNCH_NOT_CLEAR = 4,
	VMXERR_VMRESUME_NOT_LAUNCHED = 5,
	VMXERR_VMRESUME_AFTER_VMXOFF = 6,
	VMXERR_ENTRY_CONTROLS = 7,
	VMXERR_ENTRY_HOST_STATE = 8,
	VMXERR_VMPTRLD_ADDRESS = 9,
	VMXERR_VMPTRLD_VMXON_POINTER = 10,
	VMXERR_VMPTRLD_REVISION = 11,
	VMXERR_FIELD_UNSUPPORTED = 12,
	VMXERR_FIELD_READ_ONLY = 13,
	VMXERR_VMXON_IN_ROOT = 15,
	VMXERR_EXECUTIVE_POINTER = 16,
	VMXERR_EXECUTIVE_NOT_LAUNCHED = 17,
	VMXERR_EXECUTIVE_NOT_VMXON = 18,
	VMXERR_VMCALL_NOT_CLEAR = 19,
	VMXERR_VMCALL_EXIT_CONTROLS = 20,
	VMXERR_VMCALL_MSEG_REVISION = 22,
	VMXERR_VMXOFF_DUAL_MONITOR = 23,
	VMXERR_VMCALL_SMM_FEATURES = 24,
	VMXERR_EXECUTIVE_CONTROLS = 25,
	VMXERR_ENTRY_MOV_SS = 26,
	VMXERR_INVALIDATE_OPERAND = 28,
};

/* VM-abort indicators, SDM 3C "VMX Aborts" (28.7). */
enum vmx_abort {
	VMX_ABORT_SAVE_MSR = 1,
	VMX_ABORT_HOST_PDPTE = 2,
	VMX_ABORT_VMCS_CORRUPT = 3,
	VMX_ABORT_LOAD_MSR = 4,
	VMX_ABORT_MACHINE_CHECK = 5,
	VMX_ABORT_HOST_MODE = 6,
};

/* SDM 3C "Types of INVEPT and INVVPID" (31.3, the instructions' pages). */
enum invept_type { INVEPT_SINGLE = 1, INVEPT_GLOBAL = 2 };
enum invvpid_type {
	INVVPID_ADDRESS = 0,
	INVVPID_SINGLE = 1,
	INVVPID_ALL = 2,
	INVVPID_SINGLE_KEEP_GLOBAL = 3,
};

/* IA32_VMX_BASIC, SDM 3D "Basic VMX Information" (A.1). */
#define BASIC_REVISION            0x7fffffffULL
#define BASIC_SIZE_SHIFT          32
#define BASIC_SIZE                0x1fff00000000ULL
#define BASIC_32BIT_ONLY          BIT(48)
#define BASIC_DUAL_MONITOR        BIT(49)
#define BASIC_MEMTYPE_SHIFT       50
#define BASIC_MEMTYPE             0x3c000000000000ULL
#define BASIC_INS_OUTS            BIT(54)
#define BASIC_TRUE_CONTROLS       BIT(55)
#define BASIC_NO_ERROR_CODE_CHECK BIT(56)

/* IA32_VMX_MISC, SDM 3D "Miscellaneous Data" (A.6). */
#define MISC_TIMER_RATE        0x1fULL
#define MISC_STORES_LMA        BIT(5)
#define MISC_HLT               BIT(6)
#define MISC_SHUTDOWN          BIT(7)
#define MISC_WAIT_FOR_SIPI     BIT(8)
#define MISC_PT                BIT(14)
#define MISC_SMBASE_MSR        BIT(15)
#define MISC_CR3_TARGETS_SHIFT 16
#define MISC_CR3_TARGETS       0x1ff0000ULL
#define MISC_MSR_LIST_SHIFT    25
#define MISC_MSR_LIST          0xe000000ULL
#define MISC_SMM_MONITOR_CTL   BIT(28)
#define MISC_VMWRITE_ANY       BIT(29)
#define MISC_INJECT_LENGTH_0   BIT(30)

/* IA32_VMX_EPT_VPID_CAP, SDM 3D "VPID and EPT Capabilities" (A.10). */
#define EPT_CAP_EXECUTE_ONLY  BIT(0)
#define EPT_CAP_WALK_4        BIT(6)
#define EPT_CAP_WALK_5        BIT(7)
#define EPT_CAP_UC            BIT(8)
#define EPT_CAP_WB            BIT(14)
#define EPT_CAP_2M            BIT(16)
#define EPT_CAP_1G            BIT(17)
#define EPT_CAP_INVEPT        BIT(20)
#define EPT_CAP_AD            BIT(21)
#define EPT_CAP_EXIT_INFO     BIT(22)
#define EPT_CAP_SHADOW_STACK  BIT(23)
#define EPT_CAP_INVEPT_SINGLE BIT(25)
#define EPT_CAP_INVEPT_GLOBAL BIT(26)
#define VPID_CAP_INVVPID      BIT(32)
#define VPID_CAP_ADDRESS      BIT(40)
#define VPID_CAP_SINGLE       BIT(41)
#define VPID_CAP_ALL          BIT(42)
#define VPID_CAP_KEEP_GLOBAL  BIT(43)

#endif
