/*
 * The world switch of VMX, which returns to C. Runs the guest of the current VMCS until it exits.
 *
 * The host RSP of every VMCS is the end of what is pushed of vcpu->regs, the first member, so that
 * the guest's registers go straight into place. An NMI there uses a stack of its own (IST). L1's own
 * stack pointer at the call never changes, so the loop stores it once in vcpu->stack.
 * In: RDI = vcpu. Out: RDI = vcpu; every other register but RSP is changed.
 */
#include "asm_offsets.h"
#include "l1-hypervisor/leaf/registers.inc"

	.macro load_guest_registers
	movq %rdi, %rsp
	popq %rax
	pop_registers
	.endm

	.macro store_guest_registers
	push_registers
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
