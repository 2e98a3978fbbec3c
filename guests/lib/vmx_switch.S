/*
 * The world switch: vmx_switch enters the inner guest and vmx_exited, where HOST_RIP points,
 * returns to vmx_switch's caller. HOST_RSP is the register block itself, so that it is written
 * once for a VMCS and the exit path needs no other pointer. The caller is vmx_enter(), which
 * declares every general register but RSP and RBP as lost; RBP is kept here.
 */
#include "guests/lib/world_switch.inc"

#define HOST_RSP 32

	.text
	.globl	vmx_switch, vmx_exited

/* RDI = registers, RSI = 1: VMRESUME, 0: VMLAUNCH. Returns enum vmx_status in RAX. */
	.balign	16
vmx_switch:
	push	%rbp
	mov	%rsp, HOST_RSP(%rdi)
	test	%esi, %esi
	mov	RAX(%rdi), %rax
	load_registers
	jz	1f
	vmresume
	jmp	2f
1:	vmlaunch
2:	/* Reached only by VMfail: CF for invalid, else ZF for valid. */
	setc	%al
	setz	%cl
	movzbl	%al, %eax
	movzbl	%cl, %ecx
	lea	(%rax, %rcx, 2), %eax
	pop	%rbp
	ret

	.balign	16
vmx_exited:
	mov	%rax, RAX(%rsp)
	mov	%rdi, RDI(%rsp)
	save_registers %rsp
	mov	HOST_RSP(%rsp), %rsp
	pop	%rbp
	xor	%eax, %eax
	ret
