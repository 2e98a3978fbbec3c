/*
 * The world switch: vmx_switch enters the inner guest and vmx_exited, where HOST_RIP points,
 * returns to vmx_switch's caller. HOST_RSP is the register block itself, so that it is written
 * once for a VMCS and the exit path needs no other pointer. The caller is vmx_enter(), which
 * declares every general register but RSP and RBP as lost; RBP is kept here.
 */
#define RAX 0
#define RCX 8
#define RDX 16
#define RBX 24
#define HOST_RSP 32
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

	.text
	.globl	vmx_switch, vmx_exited

/* RDI = registers, RSI = 1: VMRESUME, 0: VMLAUNCH. Returns enum vmx_status in RAX. */
	.balign	16
vmx_switch:
	push	%rbp
	mov	%rsp, HOST_RSP(%rdi)
	test	%esi, %esi
	mov	RAX(%rdi), %rax
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
	mov	%rcx, RCX(%rsp)
	mov	%rdx, RDX(%rsp)
	mov	%rbx, RBX(%rsp)
	mov	%rbp, RBP(%rsp)
	mov	%rsi, RSI(%rsp)
	mov	%rdi, RDI(%rsp)
	mov	%r8, R8(%rsp)
	mov	%r9, R9(%rsp)
	mov	%r10, R10(%rsp)
	mov	%r11, R11(%rsp)
	mov	%r12, R12(%rsp)
	mov	%r13, R13(%rsp)
	mov	%r14, R14(%rsp)
	mov	%r15, R15(%rsp)
	mov	HOST_RSP(%rsp), %rsp
	pop	%rbp
	xor	%eax, %eax
	ret
