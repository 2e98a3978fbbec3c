/*
 * The world switch of SVM, which returns to C. Runs the guest of vcpu->run until it exits.
 *
 * VMRUN is executed with the stack pointer at the end of what is pushed of vcpu->regs, the first
 * member, and #VMEXIT gives it back, so that the guest's registers go straight into place. RAX is in
 * the VMCB. Of what VMRUN and #VMEXIT leave alone only the GS base is exchanged, by the stub that
 * suits the CPU: GIF is clear here, and L1 uses nothing else of it (APM 2 "VMRUN Instruction").
 * In: RDI = vcpu. Out: RDI = vcpu; every other register but RSP is changed.
 */
#include "asm_offsets.h"
#include "l1-hypervisor/leaf/registers.inc"

#define MSR_GS_BASE 0xc0000101

	.macro put_rax
	movq VCPU_VMCB(%rdi), %rcx
	movq (%rdi), %rdx
	movq %rdx, VMCB_RAX(%rcx)
	.endm

	.macro get_rax
	movq VCPU_VMCB(%rdi), %rcx
	movq VMCB_RAX(%rcx), %rdx
	movq %rdx, (%rdi)
	.endm

	.macro run left
	movq VCPU_VMCB_AT(%rdi), %rax
	leaq 8(%rdi), %rsp
	pop_registers
	vmrun %rax
\left:
	push_registers
	leaq -8(%rsp), %rdi
	.endm

	.section .text
	.globl svm_enter, svm_enter_by_msr

	/* With RDGSBASE and WRGSBASE. */
	.balign 16
svm_enter:
	put_rax
	movq VCPU_GS_GUEST(%rdi), %rdx
	wrgsbase %rdx
	run left
	rdgsbase %rdx
	movq %rdx, VCPU_GS_GUEST(%rdi)
	movq VCPU_GS_HOST(%rdi), %rdx
	wrgsbase %rdx
	get_rax
	movq VCPU_STACK(%rdi), %rsp
	ret

	.balign 16
svm_enter_by_msr:
	put_rax
	movl $MSR_GS_BASE, %ecx
	movl VCPU_GS_GUEST(%rdi), %eax
	movl VCPU_GS_GUEST + 4(%rdi), %edx
	wrmsr
	run left_by_msr
	movl $MSR_GS_BASE, %ecx
	rdmsr
	movl %eax, VCPU_GS_GUEST(%rdi)
	movl %edx, VCPU_GS_GUEST + 4(%rdi)
	movl VCPU_GS_HOST(%rdi), %eax
	movl VCPU_GS_HOST + 4(%rdi), %edx
	wrmsr
	get_rax
	movq VCPU_STACK(%rdi), %rsp
	ret

	/*
	 * Entry of #DB. QUIRK(bochs-2.7): a single step that the guest's RFLAGS.TF asks for outlives
	 * #VMEXIT and hits L1 behind VMRUN, where the stack pointer is still among the guest's
	 * registers: only the processor's five words have room there.
	 */
	.globl svm_debug_stub
svm_debug_stub:
	cmpq $left, (%rsp)
	je 1f
	cmpq $left_by_msr, (%rsp)
	je 1f
	jmp *exception_stubs + 8 * 1
1:	iretq

	.section .note.GNU-stack, "", @progbits
