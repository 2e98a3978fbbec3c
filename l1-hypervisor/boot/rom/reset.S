/*
 * The first instructions after reset: from the reset vector to 32-bit protected mode and C, and the
 * real-mode code that the other CPUs run. Assumes the state that reset leaves: real mode, CS base
 * 0xffff0000, A20 open. Everything is addressed relative to the start of the ROM.
 */
#include "l1-hypervisor/boot/rom/rom.h"

#define CODE_SELECTOR 8
#define DATA_SELECTOR 16
#define CR0_CACHES_ON 0x9fffffff /* CD and NW cleared */

	.section .rom.entry, "ax"
	.code16
rom_entry:
	cli
	cld
	lgdtl	%cs:(gdt_pointer - rom_entry)
	mov	%cr0, %eax
	and	$CR0_CACHES_ON, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl $CODE_SELECTOR, $protected_mode

	.code32
protected_mode:
	mov	$DATA_SELECTOR, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%eax, %ss
	mov	$ROM_STACK_TOP, %esp
	call	rom_main

	.align 8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

/*
 * void enter_kernel(u32 entry, u32 info): the machine state of Multiboot 1, "Machine state".
 */
	.globl	enter_kernel
enter_kernel:
	mov	4(%esp), %ecx
	mov	8(%esp), %ebx
	mov	$MULTIBOOT_LOADER_MAGIC, %eax
	jmp	*%ecx

/*
 * What every other CPU runs, copied to ROM_AP_PAGE: does what firmware does on each CPU, reports,
 * and waits for the INIT of whoever boots next. Runs in real mode with CS:IP = page:0.
 */
	.code16
	.globl	ap_code, ap_code_end
ap_code:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%cr0, %eax
	and	$CR0_CACHES_ON, %eax
	mov	%eax, %cr0
	mov	ROM_AP_FEATURE_CONTROL, %eax
	test	%eax, %eax
	jz	1f
	xor	%edx, %edx
	mov	$MSR_NUMBER_FEATURE_CONTROL, %ecx
	wrmsr
1:	lock incl ROM_AP_COUNT
2:	hlt
	jmp	2b
ap_code_end:

	.section .rom.reset, "ax"
	.code16
	.globl	reset_vector
reset_vector:
	jmp	rom_entry
