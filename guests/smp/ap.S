/*
 * The code of the other CPUs; see ap.h. Position: CS:0 is SMP_PAGE.
 */
#include "guests/smp/ap.h"

#define IN_PAGE(symbol) SMP_PAGE + (symbol - smp_code)

	.section .rodata
	.globl smp_code, smp_code_end, smp_seen, smp_starts, smp_boot_cpus
	.code16
smp_code:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movl $0x1b, %ecx		/* IA32_APIC_BASE: bit 8 is set on the CPU that booted */
	rdmsr
	testw $0x100, %ax
	jz 1f
	lock incw IN_PAGE(smp_boot_cpus)
1:	movl $1, %eax			/* EBX 31:24: the APIC's identifier */
	cpuid
	shrl $24, %ebx
	movb $1, IN_PAGE(smp_seen)(%bx)
	lock incw IN_PAGE(smp_starts)
2:	hlt
	jmp 2b
	.balign 2
smp_starts:
	.word 0
smp_boot_cpus:
	.word 0
smp_seen:
	.fill 256
smp_code_end:

	.section .note.GNU-stack, "", @progbits
