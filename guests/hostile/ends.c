/*
 * Bad ends: a triple fault, endless loops with interrupts off at either level, a VMX abort.
 */
#include "guests/hostile/hostile.h"
#include "guests/lib/inner.h"
#include "guests/lib/segments.h"
#include "guests/lib/svm_inner.h"
#include "l1-hypervisor/leaf/insn.h"

CODE(end_spin, 64, "1:\tjmp 1b");
CODE(end_vmcall, 64, "vmcall");
CODE(end_ud, 64, "ud2");

int hostile_triple_fault(const struct hostile *h)
{
	static const struct table_pointer empty;

	(void)h;
	__asm__ volatile("lidt %0\n\tud2" : : "m"(empty));
	return 0;
}

int hostile_spin(const struct hostile *h)
{
	(void)h;
	for (;;)
		__asm__ volatile("cli");
}

int hostile_vmx_spin_level3(const struct hostile *h)
{
	struct inner_exit exit;

	(void)h;
	inner_init();
	inner_reset(end_spin, NULL);
	inner_run(&exit);
	return 0;
}

int hostile_svm_spin_level3(const struct hostile *h)
{
	struct svm_inner_exit exit;

	(void)h;
	svm_inner_init();
	svm_inner_reset(end_spin);
	svm_inner_run(&exit);
	return 0;
}

/* An entry without an IDT, its first event a fault; nobody asked for the end of this guest. */
int hostile_svm_shutdown_level3(const struct hostile *h)
{
	struct svm_inner_exit exit;

	(void)h;
	svm_inner_init();
	svm_inner_reset(end_ud);
	svm_inner_vmcb.s.idtr.limit = 0;
	svm_inner_run(&exit);
	return 0;
}

/* An MSR-store list that is not ours: the exit cannot be completed. */
int hostile_abort(const struct hostile *h)
{
	struct inner_exit exit;

	inner_init();
	inner_reset(end_vmcall, NULL);
	vmx_set(VMCS_EXIT_MSR_STORE_ADDR, h->theirs);
	vmx_set(VMCS_EXIT_MSR_STORE_COUNT, 1);
	inner_run(&exit);
	return 0;
}
