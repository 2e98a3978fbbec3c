/*
 * Runs rows of entry tests: a fresh VMCS, the row's changes, the entry, the comparison. See
 * entry_case.h.
 */
#include "guests/vmx-entry/entry_case.h"

CODE(entry_code, 64, "vmcall");

static void apply(const struct change *change)
{
	switch (change->kind) {
	case CHANGE_NONE:
		break;
	case CHANGE_SET:
		vmx_set(change->field, change->value);
		break;
	case CHANGE_OR:
		inner_set_bits(change->field, change->value);
		break;
	case CHANGE_CLEAR:
		inner_clear_bits(change->field, change->value);
		break;
	}
}

static void compare_failure(const struct inner_exit *exit, u32 error)
{
	if (test_equal("status of the entry", exit->status, VMX_FAIL_VALID))
		test_equal("VM-instruction error", exit->error, error);
}

static void compare_exit(const struct inner_exit *exit, u32 reason, u64 qualification)
{
	if (exit->status == VMX_FAIL_VALID)
		test_equal("VM-instruction error", exit->error, 0);
	if (!test_equal("status of the entry", exit->status, VMX_SUCCEED))
		return;
	test_equal("exit reason", exit->reason, reason | EXIT_REASON_ENTRY_FAILURE);
	test_equal("exit qualification", exit->qualification, qualification);
}

void entry_case_run(const struct entry_case *c)
{
	struct inner_exit exit;

	test_begin(c->name, c->rule);
	inner_reset(entry_code, &c->more);
	for (size_t i = 0; i < CHANGES_MAX; i++)
		apply(&c->changes[i]);
	if (c->prepare)
		c->prepare();
	inner_run(&exit);
	switch (c->outcome) {
	case ENTERS:
		inner_exited(&exit, VMX_EXIT_VMCALL);
		break;
	case FAILS_7:
		compare_failure(&exit, VMXERR_ENTRY_CONTROLS);
		break;
	case FAILS_8:
		compare_failure(&exit, VMXERR_ENTRY_HOST_STATE);
		break;
	case EXITS_33:
		compare_exit(&exit, VMX_EXIT_ENTRY_GUEST_STATE, c->qualification);
		break;
	case EXITS_34:
		compare_exit(&exit, VMX_EXIT_ENTRY_MSR_LOAD, c->qualification);
		break;
	}
	test_end();
}

void entry_cases_run(const struct entry_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		entry_case_run(&cases[i]);
}
