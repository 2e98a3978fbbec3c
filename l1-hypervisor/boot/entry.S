/*
 * Multiboot 1 entry: from 32-bit protected mode without paging to 64-bit C.
 *
 * Owns the first page tables: identity of the first GiB (this code), the image at IMAGE_BASE, and
 * the first 4 GiB at DIRECT_MAP. They are used until the image has moved to the top of memory.
 */
#include "l1-hypervisor/layout.h"

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00000003 /* modules page aligned, memory information wanted */

#define PTE_TABLE 0x003 /* present, writable */
#define PTE_LARGE 0x083 /* present, writable, 2 MiB */

	.section .boot.header, "awx"
	.balign 4
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.section .boot, "awx"
	.code32
	.globl boot_entry
boot_entry:
	cld
	movl %eax, %ebp			/* magic */
	movl %ebx, %esp			/* Multiboot information; there is no stack yet */

	/* The four page directories of the first 4 GiB, 2 MiB a page. */
	movl $boot_pds, %edi
	movl $PTE_LARGE, %eax
	movl $2048, %ecx
1:	movl %eax, (%edi)
	movl $0, 4(%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 1b

	/* The image at IMAGE_BASE. */
	movl $boot_pd_image, %edi
	movl $(LOAD_BASE | PTE_LARGE), %eax
	movl $(IMAGE_MAX / 0x200000), %ecx
2:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 2b

	movl $(boot_pds + PTE_TABLE), boot_pdpt_low
	movl $(boot_pd_image + PTE_TABLE), boot_pdpt_low + 8 * (IMAGE_BASE >> 30)
	movl $boot_pdpt_direct, %edi
	movl $(boot_pds + PTE_TABLE), %eax
	movl $4, %ecx
3:	movl %eax, (%edi)
	addl $0x1000, %eax
	addl $8, %edi
	loop 3b
	movl $(boot_pdpt_low + PTE_TABLE), boot_pml4
	movl $(boot_pdpt_direct + PTE_TABLE), boot_pml4 + 8 * DIRECT_MAP_SLOT

	movl $boot_pml4, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx		/* EFER: LME, NXE */
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl %cr0, %eax
	andl $0x9fffffff, %eax		/* CD, NW off */
	orl $0x80010001, %eax		/* PG, WP, PE */
	movl %eax, %cr0
	lgdt boot_gdt_pointer
	ljmp $SEL_CODE64, $1f

	.code64
1:	movl $SEL_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl %ebp, %edi
	movl %esp, %esi
	movabsq $boot_stack_top, %rsp
	xorl %ebp, %ebp
	movabsq $boot_main, %rax
	call *%rax
	ud2

	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 64-bit code */
	.quad 0x00cf93000000ffff	/* data */
	.quad 0x00cf9b000000ffff	/* 32-bit code */
boot_gdt_pointer:
	.word . - boot_gdt - 1
	.quad boot_gdt

	.balign 4096
boot_pml4:
	.fill 4096
boot_pdpt_low:
	.fill 4096
boot_pdpt_direct:
	.fill 4096
boot_pd_image:
	.fill 4096
boot_pds:
	.fill 4 * 4096

	.section .bss
	.balign 16
	.fill L1_STACK_SIZE
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
