/*
 * The world switch of VMX, which returns to C. Runs the guest of the current VMCS until it exits.
 *
 * The host RSP of every VMCS is the end of vcpu->regs, the first member, so that the guest's
 * registers are pushed straight into place. An NMI there uses a stack of its own (IST).
 * In: RDI = vcpu. Changes every register but RSP and RBP.
 */
#include "asm_offsets.h"

	.section .text
	.globl vmx_enter, vmx_exit
vmx_enter:
	pushq %rbp
	movq %rsp, VCPU_STACK(%rdi)
	cmpl $0, VCPU_LAUNCHED(%rdi)
	movq %rdi, %rsp
	popq %rax
	popq %rcx
	popq %rdx
	popq %rbx
	leaq 8(%rsp), %rsp
	popq %rbp
	popq %rsi
	popq %rdi
	popq %r8
	popq %r9
	popq %r10
	popq %r11
	popq %r12
	popq %r13
	popq %r14
	popq %r15
	je 1f
	vmresume
	jmp 2f
1:	vmlaunch
2:	movl $1, VCPU_ENTRY_FAILED - REGS_SIZE(%rsp)
vmx_exit:
	pushq %r15
	pushq %r14
	pushq %r13
	pushq %r12
	pushq %r11
	pushq %r10
	pushq %r9
	pushq %r8
	pushq %rdi
	pushq %rsi
	pushq %rbp
	pushq %rsp
	pushq %rbx
	pushq %rdx
	pushq %rcx
	pushq %rax
	movq %rsp, %rdi
	movl $1, VCPU_LAUNCHED(%rdi)
	movq VCPU_STACK(%rdi), %rsp
	popq %rbp
	ret

	.section .note.GNU-stack, "", @progbits
