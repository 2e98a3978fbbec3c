/*
 * Entry stubs of L1's 32 exception vectors: make every frame alike, save the registers, call
 * exception_handle(). See struct exception_frame in exceptions.h.
 */
#define HAS_ERROR_CODE(n) ((1 << (n)) & 0x40227d00) /* 8, 10-14, 17, 21, 30 */

	.section .text
exception_common:
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	movq %rsp, %rbx
	andq $-16, %rsp
	call exception_handle
	movq %rbx, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp
	iretq

	.altmacro
	.macro exception_stub vector
exception_stub_\vector:
	.if !HAS_ERROR_CODE(\vector)
	pushq $0
	.endif
	pushq $\vector
	jmp exception_common
	.endm

	.set vector, 0
	.rept 32
	exception_stub %vector
	.set vector, vector + 1
	.endr

	.section .rodata
	.balign 8
	.globl exception_stubs
exception_stubs:
	.macro exception_stub_address vector
	.quad exception_stub_\vector
	.endm
	.set vector, 0
	.rept 32
	exception_stub_address %vector
	.set vector, vector + 1
	.endr

	.section .note.GNU-stack, "", @progbits
