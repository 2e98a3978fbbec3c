/*
 * Code that runs outside the image: it is copied to a page and run there.
 *
 * ap_trampoline: the way of all application processors from SIPI to ap_main, at TRAMPOLINE: each
 * says that it is there and waits for its turn, since they share the variables.
 * native_trampoline: the way out of long mode into an L2 image that is to run with no hypervisor,
 * at any page below 4 GiB that is mapped at its own address.
 * move_high: copies the image and changes to page tables that map the copy.
 */
#include "l1-hypervisor/layout.h"

/* As in loader.h. */
#define LOAD_LONG_CS 0x10
#define LOAD_LONG_DS 0x18

	.section .text
	.code16
	.globl ap_trampoline, ap_trampoline_end
	.globl ap_trampoline_cr3, ap_trampoline_stack, ap_trampoline_argument
	.globl ap_trampoline_found, ap_trampoline_turn
ap_trampoline:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movl $1, %eax			/* EBX 31:24: the APIC's identifier */
	cpuid
	shrl $24, %ebx
	movb $1, TRAMPOLINE + (ap_trampoline_found - ap_trampoline)(%bx)
1:	pause
	cmpw %bx, TRAMPOLINE + (ap_trampoline_turn - ap_trampoline)
	jne 1b
	lgdtl TRAMPOLINE + (ap_gdt_pointer - ap_trampoline)
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl TRAMPOLINE + (ap_trampoline_cr3 - ap_trampoline), %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER: LME, NXE */
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl $0x80010011, %eax		/* PG, WP, ET, PE */
	movl %eax, %cr0
	ljmpl $SEL_CODE64, $TRAMPOLINE + (2f - ap_trampoline)
	.code64
2:	movl $SEL_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq ap_trampoline_stack(%rip), %rsp
	movq ap_trampoline_argument(%rip), %rdi
	xorl %ebp, %ebp
	movabsq $ap_main, %rax
	call *%rax
	ud2
	.balign 8
ap_trampoline_cr3:
	.quad 0
ap_trampoline_stack:
	.quad 0
ap_trampoline_argument:
	.quad 0
ap_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cf9b000000ffff
ap_gdt_pointer:
	.word . - ap_gdt - 1
	.long TRAMPOLINE + (ap_gdt - ap_trampoline)
ap_trampoline_turn:			/* whose turn it is to go on, by identifier */
	.word 0xffff
ap_trampoline_found:			/* by identifier */
	.fill 256
ap_trampoline_end:

	/*
	 * At entry: RDI = entry point, ESI = EBX for the image, EDX = EAX for it, RBX = own address.
	 */
	.globl native_trampoline, native_trampoline_end
native_trampoline:
	leaq native_gdt - native_trampoline(%rbx), %rax
	movq %rax, native_gdt_pointer - native_trampoline + 2(%rbx)
	lgdt native_gdt_pointer - native_trampoline(%rbx)
	leaq 1f - native_trampoline(%rbx), %rax
	pushq $SEL_CODE32
	pushq %rax
	lretq
	.code32
1:	movl $SEL_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movl %edx, %ebp
	movl %cr0, %eax
	andl $0x7ffeffff, %eax		/* PG, WP off */
	movl %eax, %cr0
	movl $0xc0000080, %ecx		/* EFER = 0 */
	xorl %eax, %eax
	xorl %edx, %edx
	wrmsr
	movl %eax, %cr4
	movl %eax, %cr3
	movl %esi, %ebx
	movl %ebp, %eax
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %esi, %esi
	xorl %ebp, %ebp
	jmp *%edi
	.balign 8
native_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cf9b000000ffff
native_gdt_pointer:
	.word . - native_gdt - 1
	.quad 0
native_trampoline_end:

	.code64
	/*
	 * The way into a Linux kernel. At entry, from a page mapped at its own address in both page
	 * tables: RDI = the plan's CR3, RSI = boot_params, RDX = entry point, RCX = the address of
	 * its GDTR image, RBX = own address.
	 */
	.globl native_long_trampoline, native_long_trampoline_end
native_long_trampoline:
	movq %rdi, %cr3
	lgdt (%rcx)
	movl $0x20, %eax		/* CR4: PAE */
	movq %rax, %cr4
	movl $0x80000011, %eax		/* CR0: PG, ET, PE */
	movq %rax, %cr0
	movl $LOAD_LONG_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	leaq 1f - native_long_trampoline(%rbx), %rsp
	leaq 2f - native_long_trampoline(%rbx), %rax
	pushq $LOAD_LONG_CS
	pushq %rax
	lretq
2:	movq %rdx, %rax
	movl $0xc0000080, %ecx		/* EFER: LME, LMA */
	movl $0x500, %ebx
	xchgq %rax, %rbx
	xorl %edx, %edx
	wrmsr
	movq %rbx, %rax
	xorl %ebx, %ebx
	xorl %ecx, %ecx
	xorl %edi, %edi
	xorl %ebp, %ebp
	xorl %esp, %esp
	jmp *%rax
	.fill 32
	.balign 16
1:
native_long_trampoline_end:

	/* void move_high(void *to, const void *from, u64 length, u64 cr3) */
	.globl move_high
move_high:
	movq %rcx, %rax
	movq %rdx, %rcx
	rep movsb
	movq %rax, %cr3
	ret

	.section .note.GNU-stack, "", @progbits
