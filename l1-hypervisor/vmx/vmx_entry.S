/*
 * The world switch of VMX, which returns to C. Runs the guest of the current VMCS until it exits.
 *
 * The host RSP of every VMCS is the end of what is pushed of vcpu->regs, the first member, so that
 * the guest's registers go straight into place. An NMI there uses a stack of its own (IST). L1's own
 * stack pointer at the call never changes, so the loop stores it once in vcpu->stack.
 * In: RDI = vcpu. Out: RDI = vcpu; every other register but RSP is changed.
 */
#include "asm_offsets.h"

	.macro load_guest_registers
	movq %rdi, %rsp
	popq %rax
	popq %rcx
	popq %rdx
	popq %rbx
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
	.endm

	.macro store_guest_registers
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
	pushq %rbx
	pushq %rdx
	pushq %rcx
	pushq %rax
	movq %rsp, %rdi
	.endm

	.section .text
	.globl vmx_resume, vmx_launch, vmx_exit

	/* The first entry of a VMCS. The next one resumes, unless this one fails. */
vmx_launch:
	movq $vmx_resume, VCPU_ENTER(%rdi)
	load_guest_registers
	vmlaunch
	jmp entry_failed

	.balign 16
vmx_resume:
	load_guest_registers
	vmresume

	/* The entry instruction failed: nothing ran, and EXIT_REASON says nothing. */
entry_failed:
	store_guest_registers
	movq VCPU_STACK(%rdi), %rsp
	pushq %rdi
	call vmx_entry_failed
	popq %rdi
	jmp *VCPU_ENTER(%rdi)

	.balign 16
vmx_exit:
	store_guest_registers
	movq VCPU_STACK(%rdi), %rsp
	ret

	.section .note.GNU-stack, "", @progbits
