/*
 * Entry of every guest: 32-bit entry, an identity map of the first 4 GiB in 2 MiB pages, 64-bit
 * mode, bss, stack. Ends in guest_start() with the loader's EAX and EBX.
 * Assumes what Multiboot promises: flat 32-bit protected mode, paging and interrupts off.
 */
#include "guests/lib/segments.h"

	.text
	.code32
	.globl	guest_entry
guest_entry:
	cld
	movl	%eax, %ebp
	movl	$guest_bss, %edi
	movl	$guest_bss_end, %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	xorl	%eax, %eax
	rep stosl

	/* Present, writable, and open to CPL 3: tests run code there where it stands. */
	movl	$guest_pdpt + 7, guest_pml4
	movl	$guest_pds + 7, %eax
	movl	$guest_pdpt, %edi
1:	movl	%eax, (%edi)
	addl	$4096, %eax
	addl	$8, %edi
	cmpl	$guest_pdpt + 32, %edi
	jne	1b
	movl	$0x87, %eax			/* the same, and a 2 MiB page */
	movl	$guest_pds, %edi
2:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x200000, %eax
	jnc	2b

	movl	$1 << 5, %eax			/* PAE */
	movl	%eax, %cr4
	movl	$guest_pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		/* IA32_EFER */
	xorl	%edx, %edx
	movl	$1 << 8, %eax			/* LME */
	wrmsr
	movl	$0x80010033, %eax		/* PG, WP, NE, ET, MP, PE */
	movl	%eax, %cr0
	lgdt	guest_gdt_pointer
	ljmp	$SEL_CODE64, $3f

	.code64
3:	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$guest_stack_top, %esp
	movl	%ebp, %edi
	movl	%ebx, %esi
	xorl	%ebp, %ebp
	call	guest_start
	ud2

	.section .bss
	.balign	4096
	.globl	guest_pml4, guest_pdpt, guest_pds
guest_pml4:
	.skip	4096
guest_pdpt:
	.skip	4096
guest_pds:
	.skip	4 * 4096
	.skip	65536
guest_stack_top:
