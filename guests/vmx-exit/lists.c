/*
 * The three MSR lists, SDM 3C "Loading MSRs" (27.4, 28.6), "Saving MSRs" (28.4): what is stored and
 * loaded, and in which order against the fields of the VMCS.
 */
#include "guests/vmx-exit/exit_case.h"
#include "l1-hypervisor/leaf/insn.h"

#define FIRST    0x111111111ULL
#define SECOND   0x222222222ULL
#define THIRD    0x333333333ULL
#define LIST_MAX 40

CODE(l_nothing, 64, "vmcall");
/* Writes RSI to the MSR in ECX. */
CODE(l_wrmsr, 64, "mov %esi, %eax\n\tmov %rsi, %rdx\n\tshr $32, %rdx\n\twrmsr" INNER_DONE);
CODE(l_rdmsr, 64, "rdmsr" INNER_DONE);

static struct inner_msr store[LIST_MAX] __attribute__((aligned(16)));
static struct inner_msr exit_load[LIST_MAX] __attribute__((aligned(16)));
static struct inner_msr entry_load[LIST_MAX] __attribute__((aligned(16)));

static void use_store(u32 count)
{
	vmx_set(VMCS_EXIT_MSR_STORE_ADDR, (u64)store);
	vmx_set(VMCS_EXIT_MSR_STORE_COUNT, count);
}

static void use_exit_load(u32 count)
{
	vmx_set(VMCS_EXIT_MSR_LOAD_ADDR, (u64)exit_load);
	vmx_set(VMCS_EXIT_MSR_LOAD_COUNT, count);
}

static void use_entry_load(u32 count)
{
	vmx_set(VMCS_ENTRY_MSR_LOAD_ADDR, (u64)entry_load);
	vmx_set(VMCS_ENTRY_MSR_LOAD_COUNT, count);
}

static u64 guest_read(void)
{
	return inner_regs.rdx << 32 | (u32)inner_regs.rax;
}

static void exit_stores(void)
{
	u64 lstar = rdmsr(MSR_LSTAR);

	inner_reset(l_wrmsr, NULL);
	inner_regs.rcx = MSR_LSTAR;
	inner_regs.rsi = SECOND;
	store[0] = (struct inner_msr){ MSR_LSTAR, 0, FIRST };
	use_store(1);
	inner_run_to_end();
	test_equal("stored value", store[0].value, SECOND);
	test_equal("stored index", store[0].index, MSR_LSTAR);
	test_equal("IA32_LSTAR after the exit", rdmsr(MSR_LSTAR), SECOND);
	wrmsr(MSR_LSTAR, lstar);
}

/* The guest's SYSENTER_EIP is stored before the host's is loaded. */
static void store_sees_the_guest(void)
{
	inner_reset(l_nothing, NULL);
	vmx_set(VMCS_GUEST_SYSENTER_EIP, FIRST);
	vmx_set(VMCS_HOST_SYSENTER_EIP, SECOND);
	store[0] = (struct inner_msr){ MSR_SYSENTER_EIP, 0, 0 };
	use_store(1);
	inner_run_to_end();
	test_equal("stored value", store[0].value, FIRST);
	test_equal("IA32_SYSENTER_EIP after the exit", rdmsr(MSR_SYSENTER_EIP), SECOND);
	wrmsr(MSR_SYSENTER_EIP, 0);
}

static void exit_loads_last(void)
{
	inner_reset(l_nothing, NULL);
	vmx_set(VMCS_HOST_SYSENTER_EIP, FIRST);
	exit_load[0] = (struct inner_msr){ MSR_SYSENTER_EIP, 0, SECOND };
	use_exit_load(1);
	inner_run_to_end();
	test_equal("IA32_SYSENTER_EIP after the exit", rdmsr(MSR_SYSENTER_EIP), SECOND);
	wrmsr(MSR_SYSENTER_EIP, 0);
}

static void entry_loads_last(void)
{
	inner_reset(l_rdmsr, NULL);
	inner_regs.rcx = MSR_SYSENTER_EIP;
	vmx_set(VMCS_GUEST_SYSENTER_EIP, FIRST);
	entry_load[0] = (struct inner_msr){ MSR_SYSENTER_EIP, 0, SECOND };
	use_entry_load(1);
	inner_run_to_end();
	test_equal("IA32_SYSENTER_EIP in the guest", guest_read(), SECOND);
	test_equal("guest IA32_SYSENTER_EIP, saved", vmx_get(VMCS_GUEST_SYSENTER_EIP), SECOND);
}

static void entry_and_exit_switch(void)
{
	u64 gs = rdmsr(MSR_KERNEL_GS_BASE);

	inner_reset(l_rdmsr, NULL);
	inner_regs.rcx = MSR_KERNEL_GS_BASE;
	wrmsr(MSR_KERNEL_GS_BASE, FIRST);
	entry_load[0] = (struct inner_msr){ MSR_KERNEL_GS_BASE, 0, SECOND };
	exit_load[0] = (struct inner_msr){ MSR_KERNEL_GS_BASE, 0, THIRD };
	store[0] = (struct inner_msr){ MSR_KERNEL_GS_BASE, 0, 0 };
	use_entry_load(1);
	use_exit_load(1);
	use_store(1);
	inner_run_to_end();
	test_equal("value in the guest", guest_read(), SECOND);
	test_equal("stored value", store[0].value, SECOND);
	test_equal("value after the exit", rdmsr(MSR_KERNEL_GS_BASE), THIRD);
	wrmsr(MSR_KERNEL_GS_BASE, gs);
}

static void in_order(void)
{
	u64 lstar = rdmsr(MSR_LSTAR);

	inner_reset(l_rdmsr, NULL);
	inner_regs.rcx = MSR_LSTAR;
	entry_load[0] = (struct inner_msr){ MSR_LSTAR, 0, FIRST };
	entry_load[1] = (struct inner_msr){ MSR_CSTAR, 0, FIRST };
	entry_load[2] = (struct inner_msr){ MSR_LSTAR, 0, SECOND };
	use_entry_load(3);
	inner_run_to_end();
	test_equal("value in the guest", guest_read(), SECOND);
	wrmsr(MSR_LSTAR, lstar);
}

static void long_lists(void)
{
	u64 lstar = rdmsr(MSR_LSTAR);

	inner_reset(l_rdmsr, NULL);
	inner_regs.rcx = MSR_LSTAR;
	for (u32 i = 0; i < LIST_MAX; i++) {
		entry_load[i] = (struct inner_msr){ MSR_LSTAR, 0, FIRST + i };
		store[i] = (struct inner_msr){ MSR_LSTAR, 0, 0 };
	}
	use_entry_load(LIST_MAX);
	use_store(LIST_MAX);
	inner_run_to_end();
	test_equal("value in the guest", guest_read(), FIRST + LIST_MAX - 1);
	test_equal("value stored last", store[LIST_MAX - 1].value, FIRST + LIST_MAX - 1);
	wrmsr(MSR_LSTAR, lstar);
}

/* The list belongs to memory, not to the VMCS: a change counts at the next entry. */
static void changed_in_memory(void)
{
	u64 lstar = rdmsr(MSR_LSTAR);

	inner_reset(l_rdmsr, NULL);
	inner_regs.rcx = MSR_LSTAR;
	entry_load[0] = (struct inner_msr){ MSR_LSTAR, 0, FIRST };
	use_entry_load(1);
	inner_run_to_end();
	test_equal("value in the guest", guest_read(), FIRST);
	entry_load[0].value = SECOND;
	vmx_set(VMCS_GUEST_RIP, (u64)l_rdmsr);
	inner_regs.rcx = MSR_LSTAR;
	inner_run_to_end();
	test_equal("value in the guest after a change", guest_read(), SECOND);
	wrmsr(MSR_LSTAR, lstar);
}

#define RULE_STORE "VM exits save MSRs into the VM-exit MSR-store area, before host state is loaded"
#define RULE_EXIT  "VM exits load MSRs from the VM-exit MSR-load area, after host state is loaded"
#define RULE_ENTRY \
	"VM entries load MSRs from the VM-entry MSR-load area, after guest state is loaded"

static const struct test tests[] = {
	{ "an exit stores what the guest wrote to an MSR", RULE_STORE, exit_stores },
	{ "an exit stores the guest's value, not the host's", RULE_STORE, store_sees_the_guest },
	{ "an exit loads its list over the host-state area", RULE_EXIT, exit_loads_last },
	{ "an entry loads its list over the guest-state area", RULE_ENTRY, entry_loads_last },
	{ "three lists switch one MSR", RULE_ENTRY, entry_and_exit_switch },
	{ "a list is loaded in order", "MSRs are processed in order, starting from the first",
	  in_order },
	{ "lists of 40 MSRs", "The count field says how many entries there are", long_lists },
	{ "a list is read at each entry", "The list is in memory", changed_in_memory },
};

SUITE_OF_TESTS(lists_suite, tests);
