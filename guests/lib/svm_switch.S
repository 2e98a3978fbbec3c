/*
 * The world switches: one for each enum svm_entry, so that none spends an instruction on what it
 * does not do. VMRUN keeps RSP, so the register block waits on the stack, and returns with the
 * VMCB's address in RAX. The caller is svm_enter(), which declares every general register but RSP
 * and RBP as lost; RBP is kept here.
 */
#define RAX 0
#define RCX 8
#define RDX 16
#define RBX 24
#define RBP 40
#define RSI 48
#define RDI 56
#define R8  64
#define R9  72
#define R10 80
#define R11 88
#define R12 96
#define R13 104
#define R14 112
#define R15 120
#define VMCB_RAX 0x5f8

/* RDI = registers, RSI = VMCB. */
	.macro	world_switch name, gif, vls
	.balign	16
\name:
	push	%rbp
	push	%rdi
	.if	\gif
	clgi
	.endif
	.if	\vls
	lea	svm_host_vls(%rip), %rax
	vmsave	%rax
	.endif
	mov	RAX(%rdi), %rax
	mov	%rax, VMCB_RAX(%rsi)
	mov	%rsi, %rax
	.if	\vls
	vmload	%rax
	.endif
	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RBX(%rdi), %rbx
	mov	RBP(%rdi), %rbp
	mov	RSI(%rdi), %rsi
	mov	R8(%rdi), %r8
	mov	R9(%rdi), %r9
	mov	R10(%rdi), %r10
	mov	R11(%rdi), %r11
	mov	R12(%rdi), %r12
	mov	R13(%rdi), %r13
	mov	R14(%rdi), %r14
	mov	R15(%rdi), %r15
	mov	RDI(%rdi), %rdi
	vmrun	%rax
	.if	\vls
	vmsave	%rax
	.endif
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rcx, RCX(%rdi)
	mov	%rdx, RDX(%rdi)
	mov	%rbx, RBX(%rdi)
	mov	%rbp, RBP(%rdi)
	mov	%rsi, RSI(%rdi)
	popq	RDI(%rdi)
	mov	%r8, R8(%rdi)
	mov	%r9, R9(%rdi)
	mov	%r10, R10(%rdi)
	mov	%r11, R11(%rdi)
	mov	%r12, R12(%rdi)
	mov	%r13, R13(%rdi)
	mov	%r14, R14(%rdi)
	mov	%r15, R15(%rdi)
	mov	VMCB_RAX(%rax), %rcx
	mov	%rcx, RAX(%rdi)
	.if	\vls
	lea	svm_host_vls(%rip), %rax
	vmload	%rax
	.endif
	.if	\gif
	stgi
	.endif
	pop	%rdi
	pop	%rbp
	ret
	.endm

	.text
	.globl	svm_switch_plain, svm_switch_gif, svm_switch_vls, svm_switch_full
	world_switch svm_switch_plain, 0, 0
	world_switch svm_switch_gif, 1, 0
	world_switch svm_switch_vls, 0, 1
	world_switch svm_switch_full, 1, 1
