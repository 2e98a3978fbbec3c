/*
 * Entry of all 256 vectors, and the ways into and out of an excursion (exceptions.h).
 */
#include "guests/lib/entries.inc"
#include "guests/lib/exceptions.h"
#include "guests/lib/segments.h"

	.text
	.code64
	.balign	16
	.globl	exception_entries
exception_entries:
	vector_entries 256, exception_common

exception_common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	call	exception_dispatch		/* the CPU aligned RSP, and 22 words keep it so */
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	addq	$16, %rsp			/* vector and error code */
	iretq

/*
 * void excursion_enter(const struct excursion_registers *registers, u64 *saved_rsp)
 * RDI points to RAX, RBX, RCX, RDX, RSI, RDI and then the five words of IRETQ.
 */
	.globl	excursion_enter
excursion_enter:
	push_kept
	movq	%rsp, (%rsi)
	movq	%rdi, %rsp
	popq	%rax
	popq	%rbx
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
	iretq

/* The dispatcher returns here, on the stack that excursion_enter() saved. */
	.globl	excursion_return
excursion_return:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	pop_kept
	ret
