/*
 * From 64-bit mode to the old task, and from wherever it ended back; see task.h. Everything lies
 * below 4 GiB and is identity-mapped in both modes.
 */
#include "guests/lib/exceptions.h"
#include "guests/tasks/task.h"

#define CR0_PG_BIT   31
#define MSR_EFER     0xc0000080
#define EFER_LME_BIT 8
#define DR7_RESET    0x400

/* Vectors that push an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC. */
#define WITH_ERROR_CODE 0x27d00

	.text
	.code64
/* void task_enter(const char *code, u32 eflags) */
	.globl	task_enter
task_enter:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	sidt	saved_idt
	movq	%rsp, saved_rsp
	movl	%esi, %ebp
	pushq	$SEL_CODE32
	pushq	$1f
	lretq

	.code32
1:	movl	$SEL_DATA, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%cr0, %eax
	btrl	$CR0_PG_BIT, %eax
	movl	%eax, %cr0
	movl	$MSR_EFER, %ecx
	rdmsr
	btrl	$EFER_LME_BIT, %eax
	wrmsr
	movl	%cr3, %eax
	movl	%eax, saved_cr3
	movl	$task_pdpt, %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	btsl	$CR0_PG_BIT, %eax
	movl	%eax, %cr0
	lidt	task_idt_pointer
	movl	$SEL_OLD, %eax
	ltr	%ax
	xorl	%eax, %eax
	lldt	%ax
	movl	$task_stack_top, %esp
	pushl	%edi				/* the code, for RET */
	pushl	%ebp
	popfl
	movl	$task_registers, %esp
	popal					/* all but ESP */
	movl	$task_stack_top - 4, %esp
	ret

	.balign	16
	.globl	task_entries
task_entries:
	.set	vector, 0
	.rept	TASK_EXCEPTIONS
	.balign	16
	.if	!((WITH_ERROR_CODE >> vector) & 1)
	pushl	$0
	.endif
	pushl	$vector
	jmp	ended
	.set	vector, vector + 1
	.endr
	.balign	16
	pushl	$0
	pushl	$EXCURSION_END
ended:
	pushal
	pushl	%ds
	pushl	%es
	pushl	%fs
	pushl	%gs
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%ss, %eax
	cmpl	$SEL_DATA16, %eax
	jne	1f
	movzwl	%sp, %esp			/* its upper half means nothing */
1:	movl	%esp, task_seen + SEEN_FRAME
	movl	%eax, task_seen + SEEN_SS
	movl	$0, task_seen + SEEN_TR
	str	task_seen + SEEN_TR
	movl	$0, task_seen + SEEN_LDTR
	sldt	task_seen + SEEN_LDTR
	movl	%cr0, %eax
	movl	%eax, task_seen + SEEN_CR0
	movl	%cr3, %eax
	movl	%eax, task_seen + SEEN_CR3
	movl	%dr6, %eax
	movl	%eax, task_seen + SEEN_DR6
	movl	%dr7, %eax
	movl	%eax, task_seen + SEEN_DR7

	clts
	movl	$SEL_LAST, %eax
	ltr	%ax
	movl	$DR7_RESET, %eax
	movl	%eax, %dr7
	movl	$SEL_DATA, %eax
	movl	%eax, %ss
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%cr0, %eax
	btrl	$CR0_PG_BIT, %eax
	movl	%eax, %cr0
	movl	$MSR_EFER, %ecx
	rdmsr
	btsl	$EFER_LME_BIT, %eax
	wrmsr
	movl	saved_cr3, %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	btsl	$CR0_PG_BIT, %eax
	movl	%eax, %cr0
	ljmp	$SEL_CODE64, $2f

	.code64
2:	lidt	saved_idt
	movq	saved_rsp, %rsp
	pushq	$2				/* no NT for the IRETs to come */
	popfq
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	.section .bss
	.balign	16
saved_idt:
	.skip	16
saved_rsp:
	.skip	8
saved_cr3:
	.skip	8
	.skip	4096
	.globl	task_stack_top
task_stack_top:
	.skip	16
