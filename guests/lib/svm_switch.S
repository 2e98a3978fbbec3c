/*
 * The world switches: one for each enum svm_entry, so that none spends an instruction on what it
 * does not do. VMRUN keeps RSP, so the register block waits on the stack, and returns with the
 * VMCB's address in RAX. The caller is svm_enter(), which declares every general register but RSP
 * and RBP as lost; RBP is kept here.
 */
#include "guests/lib/world_switch.inc"

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
	load_registers
	vmrun	%rax
	.if	\vls
	vmsave	%rax
	.endif
	push	%rdi
	mov	8(%rsp), %rdi
	popq	RDI(%rdi)
	save_registers %rdi
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
