/*
 * From 64-bit mode to the old task, and from wherever it ended back; see task.h. Everything lies
 * below 4 GiB and is identity-mapped in both modes.
 */
#include "guests/lib/entries.inc"
#include "guests/lib/exceptions.h"
#include "guests/tasks/task.h"

#define DR7_RESET 0x400

	.text
	.code64
/* void task_enter(const char *code, u32 eflags) */
	.globl	task_enter
task_enter:
	push_kept
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
	leave_long_mode task_pdpt, saved_cr3
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
	vector_entries TASK_EXCEPTIONS, ended
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
	enter_long_mode saved_cr3
	ljmp	$SEL_CODE64, $2f

	.code64
2:	lidt	saved_idt
	movq	saved_rsp, %rsp
	pushq	$2				/* no NT for the IRETs to come */
	popfq
	pop_kept
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
