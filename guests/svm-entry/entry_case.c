/*
 * Runs rows of entry tests: a fresh VMCB, the row's changes, the entry, the comparison. See
 * entry_case.h.
 */
#include "guests/svm-entry/entry_case.h"
#include "guests/lib/nestbed.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define CPUID_ADDRESS_SIZES 0x80000008U

CODE(entry_code, 64, "vmmcall");

u32 entry_physical_width(void)
{
	return cpuid(CPUID_ADDRESS_SIZES, 0).eax & 0xff;
}

u32 entry_linear_width(void)
{
	return cpuid(CPUID_ADDRESS_SIZES, 0).eax >> 8 & 0xff;
}

static void apply(const struct change *change)
{
	u8 *at = (u8 *)&svm_inner_vmcb + change->offset;
	u64 value = 0;

	memcpy(&value, at, change->size);
	switch (change->kind) {
	case CHANGE_NONE:
		return;
	case CHANGE_SET:
		value = change->value;
		break;
	case CHANGE_OR:
		value |= change->value;
		break;
	case CHANGE_CLEAR:
		value &= ~change->value;
		break;
	}
	memcpy(at, &value, change->size);
}

static void run(const struct entry_case *c, bool npt)
{
	bool any_exit = c->check_is_optional && nestbed_level() == 0;
	struct svm_inner_exit exit;

	test_begin(c->name, c->rule);
	svm_inner_reset(entry_code);
	if (npt)
		svm_inner_use_npt();
	for (size_t i = 0; i < CHANGES_MAX; i++)
		apply(&c->changes[i]);
	if (c->prepare)
		c->prepare();
	/* What enters although it must not leaves again. */
	if (any_exit)
		svm_inner_vmcb.c.intercept_exceptions = ~0U;
	svm_inner_run(&exit);
	if (!any_exit)
		svm_inner_exited(&exit, c->outcome == ENTERS ? SVM_EXIT_VMMCALL : SVM_EXIT_INVALID);
	test_end();
}

void entry_cases_run(const struct entry_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		run(&cases[i], false);
}

void entry_cases_run_npt(const struct entry_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		run(&cases[i], true);
}
