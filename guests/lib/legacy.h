/*
 * Excursions to 32-bit protected mode outside IA-32e mode, with PAE paging: where virtualization
 * instructions meet segment limits, 16-bit addresses and CPL 3 without 64-bit mode, and
 * virtual-8086 mode. VMX operation cannot outlive such a change of mode, so an excursion does VMXON
 * and VMXOFF itself; SVM stays as it is.
 */
#ifndef GUESTS_LIB_LEGACY_H
#define GUESTS_LIB_LEGACY_H

#include "guests/lib/segments.h"

#define JOB_EIP       0
#define JOB_CS        4
#define JOB_EFLAGS    8
#define JOB_ESP       12
#define JOB_SS        16
#define JOB_DS        20
#define JOB_ES        24
#define JOB_FS        28
#define JOB_GS        32
#define JOB_INNER_SS  36
#define JOB_INNER_ESP 40
#define JOB_EAX       44
#define JOB_EBX       48
#define JOB_ECX       52
#define JOB_EDX       56
#define JOB_ESI       60
#define JOB_EDI       64
#define JOB_VMX       68
#define JOB_VMXON     72
#define JOB_VMCS      76
#define JOB_END       80

#define END_EAX    0
#define END_EDX    4
#define END_VECTOR 8
#define END_ERROR  12
#define END_EFLAGS 16

/* The last spare entry of the guest's descriptor table. */
#define SEL_LEGACY_TSS (SEL_SPARE + 7 * 8)

#define LEGACY_VECTORS 32 /* exceptions; EXCURSION_END comes behind them */

#ifndef __ASSEMBLER__

#include "l1-hypervisor/leaf/types.h"

enum legacy_vmx { LEGACY_OFF, LEGACY_ROOT, LEGACY_CURRENT };

struct legacy_end {
	u32 eax, edx;
	u32 vector, error_code, eflags;
};

/* As legacy.S reads it. SS and ESP count when CS has another privilege or EFLAGS has VM. */
struct legacy_job {
	u32 eip, cs, eflags, esp, ss;
	u32 ds, es, fs, gs;
	u32 inner_ss, inner_esp; /* the stack before the code starts, and of CPL 0 code */
	u32 eax, ebx, ecx, edx, esi, edi;
	u32 vmx;         /* enum legacy_vmx */
	u32 vmxon, vmcs; /* addresses of the operands of VMXON and VMPTRLD */
	struct legacy_end end;
};

/* Runs the job; its code ends by an exception or INT EXCURSION_END. */
void legacy_job_run(struct legacy_job *job);

#endif

#endif
