/*
 * From 64-bit mode to 32-bit protected mode outside IA-32e mode and back; see legacy.h. Everything
 * lies below 4 GiB and is identity-mapped in both modes.
 */
#include "guests/lib/entries.inc"
#include "guests/lib/exceptions.h"
#include "guests/lib/segments.h"
#include "guests/lib/legacy.h"

#define CR4_VMXE 0x2000

	.text
	.code64
/* void legacy_switch(struct legacy_job *job) */
	.globl	legacy_switch
legacy_switch:
	push_kept
	sidt	saved_idt
	movq	%rsp, saved_rsp
	movq	%rdi, current_job
	pushq	$SEL_CODE32
	pushq	$1f
	lretq

	.code32
1:	leave_long_mode legacy_pdpt, saved_cr3
	lidt	legacy_job_idt
	movl	$SEL_LEGACY_TSS, %eax
	ltr	%ax

	movl	current_job, %ebx
	cmpl	$0, JOB_VMX(%ebx)
	je	2f
	movl	%cr4, %eax
	orl	$CR4_VMXE, %eax
	movl	%eax, %cr4
	movl	JOB_VMXON(%ebx), %eax
	vmxon	(%eax)
	cmpl	$1, JOB_VMX(%ebx)
	je	2f
	movl	JOB_VMCS(%ebx), %eax
	vmptrld	(%eax)

	/* IRET takes three words within CPL 0, five to CPL 3, nine to virtual-8086 mode. */
2:	movl	JOB_INNER_SS(%ebx), %eax
	movl	JOB_INNER_ESP(%ebx), %ecx
	movl	%eax, %ss
	movl	%ecx, %esp
	pushl	JOB_GS(%ebx)
	pushl	JOB_FS(%ebx)
	pushl	JOB_DS(%ebx)
	pushl	JOB_ES(%ebx)
	pushl	JOB_SS(%ebx)
	pushl	JOB_ESP(%ebx)
	pushl	JOB_EFLAGS(%ebx)
	pushl	JOB_CS(%ebx)
	pushl	JOB_EIP(%ebx)
	pushl	JOB_DS(%ebx)
	testl	$1 << 17, JOB_EFLAGS(%ebx)
	jz	3f
	movl	$0, (%esp)			/* real-mode values are no selectors */
	jmp	4f
3:	mov	JOB_ES(%ebx), %es
	mov	JOB_FS(%ebx), %fs
	mov	JOB_GS(%ebx), %gs
4:	movl	JOB_EAX(%ebx), %eax
	movl	JOB_ECX(%ebx), %ecx
	movl	JOB_EDX(%ebx), %edx
	movl	JOB_ESI(%ebx), %esi
	movl	JOB_EDI(%ebx), %edi
	movl	JOB_EBX(%ebx), %ebx
	popl	%ds
	iretl

	.balign	16
	.globl	legacy_entries
legacy_entries:
	vector_entries LEGACY_VECTORS, legacy_common
	.balign	16
	pushl	$0
	pushl	$EXCURSION_END
	jmp	legacy_common

/* At ESP: vector, error code, EIP, CS, EFLAGS; nothing is known of the segments but CS and SS. */
legacy_common:
	pushl	%eax
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	current_job, %ebx
	popl	JOB_END + END_EAX(%ebx)
	movl	%edx, JOB_END + END_EDX(%ebx)
	popl	JOB_END + END_VECTOR(%ebx)
	popl	JOB_END + END_ERROR(%ebx)
	addl	$8, %esp
	popl	JOB_END + END_EFLAGS(%ebx)
	movl	$SEL_DATA, %eax
	movl	%eax, %ss
	movl	saved_rsp, %esp
	cmpl	$0, JOB_VMX(%ebx)
	je	6f
	cmpl	$1, JOB_VMX(%ebx)
	je	5f
	movl	JOB_VMCS(%ebx), %eax
	vmclear	(%eax)
5:	vmxoff
	movl	%cr4, %eax
	andl	$~CR4_VMXE, %eax
	movl	%eax, %cr4

6:	enter_long_mode saved_cr3
	ljmp	$SEL_CODE64, $7f

	.code64
7:	lidt	saved_idt
	movq	saved_rsp, %rsp
	pop_kept
	ret

	.section .bss
	.balign	8
saved_idt:
	.skip	16
saved_rsp:
	.skip	8
saved_cr3:
	.skip	8
current_job:
	.skip	8
