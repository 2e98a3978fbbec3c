/*
 * From 64-bit mode to legacy protected mode and back; see legacy.h. RBP points to the struct all
 * the way, which lies below 4 GiB like everything here.
 */
#include "guests/lib/entries.inc"
#include "guests/lib/segments.h"
#include "guests/paging/legacy.h"

#define CR0_PG 0x80000000

	.text
	.code64
	.globl	legacy_enter
legacy_enter:
	push_kept
	movq	%rdi, %rbp
	movq	%rsp, saved_rsp
	movq	%cr3, %rax
	movq	%rax, saved_cr3
	movq	%cr4, %rax
	movq	%rax, saved_cr4
	movl	$MSR_EFER, %ecx
	rdmsr
	movl	%eax, saved_efer
	sidt	saved_idt
	pushq	$SEL_CODE32
	pushq	$1f
	lretq

	.code32
1:	movl	$SEL_DATA, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	$legacy_stack_top, %esp
	movl	%cr0, %eax
	andl	$~CR0_PG, %eax
	movl	%eax, %cr0
	movl	$MSR_EFER, %ecx
	xorl	%edx, %edx
	movl	LEGACY_EFER(%ebp), %eax
	wrmsr
	movl	LEGACY_CR4(%ebp), %eax
	movl	%eax, %cr4
	movl	LEGACY_CR3(%ebp), %eax
	movl	%eax, %cr3
	lidt	legacy_idt_pointer
	cmpl	$0, LEGACY_PAGED(%ebp)
	je	2f
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
2:	movl	LEGACY_ADDRESS(%ebp), %eax
	movl	LEGACY_VALUE(%ebp), %ebx
	cmpl	$0, LEGACY_WRITES(%ebp)
	je	3f
	movl	%ebx, (%eax)
	jmp	4f
3:	movl	(%eax), %ebx
	movl	%ebx, LEGACY_VALUE(%ebp)

4:	movl	%cr0, %eax
	andl	$~CR0_PG, %eax
	movl	%eax, %cr0
	movl	saved_cr4, %eax
	movl	%eax, %cr4
	movl	saved_cr3, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	xorl	%edx, %edx
	movl	saved_efer, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
	movl	%eax, %cr0
	ljmp	$SEL_CODE64, $5f

/* The page-fault gate: the access is over. */
	.globl	legacy_page_fault
legacy_page_fault:
	popl	LEGACY_ERROR(%ebp)
	movl	%cr2, %eax
	movl	%eax, LEGACY_CR2(%ebp)
	movl	$1, LEGACY_FAULTED(%ebp)
	jmp	4b

	.code64
5:	lidt	saved_idt
	movq	saved_rsp, %rsp
	pop_kept
	ret

	.section .bss
	.balign	16
saved_rsp:
	.skip	8
saved_cr3:
	.skip	8
saved_cr4:
	.skip	8
saved_efer:
	.skip	8
saved_idt:
	.skip	16
	.skip	4096
legacy_stack_top:
	.skip	16
