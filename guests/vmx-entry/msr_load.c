/*
 * The VM-entry MSR-load list, SDM 3C "Loading MSRs" (27.4): what loads, and what makes the entry
 * fail, with the number of the entry that is to blame.
 */
#include "guests/vmx-entry/entry_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define SOME_ADDRESS 0x3456789abcULL

static struct inner_msr list[4] __attribute__((aligned(16)));

struct list_case {
	const char *name, *rule;
	struct inner_msr entries[4];
	u64 failing; /* 0: none */
};

#define GOOD                                        \
	{                                           \
		MSR_KERNEL_GS_BASE, 0, SOME_ADDRESS \
	}

static const struct list_case cases[] = {
	{ "MSRs loaded at entry",
	  "each MSR is loaded as by WRMSR",
	  { GOOD, { MSR_SYSENTER_CS, 0, 8 }, { MSR_LSTAR, 0, SOME_ADDRESS }, GOOD },
	  0 },
	{ "loading FS base fails",
	  "The value of bits 31:0 is C0000100H (IA32_FS_BASE)",
	  { { MSR_FS_BASE, 0, 0 }, GOOD, GOOD, GOOD },
	  1 },
	{ "loading GS base fails",
	  "The value of bits 31:0 is C0000101H (IA32_GS_BASE)",
	  { GOOD, { MSR_GS_BASE, 0, 0 }, GOOD, GOOD },
	  2 },
	{ "loading an x2APIC register fails",
	  "The value of bits 31:8 is 000008H",
	  { GOOD, GOOD, { MSR_X2APIC_FIRST + 2, 0, 0 }, GOOD },
	  3 },
	{ "loading with a reserved bit fails",
	  "Bits 63:32 of the entry are not all 0",
	  { GOOD, GOOD, GOOD, { MSR_KERNEL_GS_BASE, 1, 0 } },
	  4 },
	{ "loading what WRMSR would refuse fails",
	  "An attempt to write bits 127:64 to the MSR would cause a general-protection exception",
	  { GOOD, { MSR_LSTAR, 0, NONCANONICAL }, GOOD, GOOD },
	  2 },
	{ "loading a PAT with a reserved type fails",
	  "An attempt to write bits 127:64 to the MSR would cause a general-protection exception",
	  { { MSR_PAT, 0, 2 }, GOOD, GOOD, GOOD },
	  1 },
	{ "loading EFER without NXE",
	  "each MSR is loaded as by WRMSR",
	  { { MSR_EFER, 0, EFER_LME | EFER_LMA }, GOOD, GOOD, GOOD },
	  0 },
	{ "LMA is not loaded with EFER",
	  "IA32_EFER.LMA is read-only: WRMSR leaves it alone",
	  { { MSR_EFER, 0, EFER_LME | EFER_SCE }, GOOD, GOOD, GOOD },
	  0 },
	{ "loading an EFER that leaves IA-32e mode fails",
	  "changing IA32_EFER.LME while CR0.PG = 1 causes a general-protection exception",
	  { GOOD, { MSR_EFER, 0, EFER_SCE }, GOOD, GOOD },
	  2 },
	{ "loading an EFER with a reserved bit fails",
	  "An attempt to write bits 127:64 to the MSR would cause a general-protection exception",
	  { GOOD, GOOD, { MSR_EFER, 0, EFER_LME | EFER_LMA | BIT(1) }, GOOD },
	  3 },
	{ "loading a SYSENTER_EIP that is not canonical fails",
	  "An attempt to write bits 127:64 to the MSR would cause a general-protection exception",
	  { { MSR_SYSENTER_EIP, 0, NONCANONICAL }, GOOD, GOOD, GOOD },
	  1 },
	{ "the first failing entry is reported",
	  "The exit qualification is that entry's number",
	  { GOOD, { MSR_GS_BASE, 0, 0 }, { MSR_FS_BASE, 0, 0 }, GOOD },
	  2 },
};

static void use_list(void)
{
	vmx_set(VMCS_ENTRY_MSR_LOAD_ADDR, (u64)list);
	vmx_set(VMCS_ENTRY_MSR_LOAD_COUNT, ARRAY_SIZE(list));
}

static void run_case(const struct list_case *c)
{
	const struct entry_case entry = {
		.name = c->name,
		.rule = c->rule,
		.outcome = c->failing ? EXITS_34 : ENTERS,
		.qualification = c->failing,
		.prepare = use_list,
	};

	memcpy(list, c->entries, sizeof(list));
	entry_case_run(&entry);
}

static u32 count(void)
{
	return ARRAY_SIZE(cases);
}

static void run(void)
{
	u64 gs = rdmsr(MSR_KERNEL_GS_BASE), cs = rdmsr(MSR_SYSENTER_CS), lstar = rdmsr(MSR_LSTAR);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(&cases[i]);
	wrmsr(MSR_KERNEL_GS_BASE, gs);
	wrmsr(MSR_SYSENTER_CS, cs);
	wrmsr(MSR_LSTAR, lstar);
}

const struct suite msr_load_suite = { count, run };
