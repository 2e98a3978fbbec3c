/*
 * EPT as the inner guest meets it: translation, violations and their qualification, misconfigured
 * entries, large pages, accessed and dirty flags. SDM 3C "The Extended Page Table Mechanism (EPT)"
 * (29.3), "Exit Qualification for EPT Violations" (table 28-7).
 */
#include "guests/vmx-exit/exit_case.h"
#include "guests/lib/pages.h"
#include "l1-hypervisor/leaf/string.h"
#include "nested-ept/ept.h"

#define NAME_SIZE 96
#define QUAL_BITS 0x1ffULL /* what every processor defines: access, rights, linear address */
#define SHIFT_1G  30
#define SHIFT_2M  21
#define LINEAR    (EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED)

static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 other[PAGE_SIZE] __attribute__((aligned(4096)));

CODE(e_read, 64, "mov (%rdi), %al" INNER_DONE);
CODE(e_write, 64, "mov %al, (%rdi)" INNER_DONE);
CODE(e_call, 64, "call *%rdi" INNER_DONE);

static const struct vmx_controls with_ept = { .proc2 = PROC2_EPT };

struct access {
	const char *name, *code;
	u64 qualification, right;
};

static const struct access accesses[] = {
	{ "a read", e_read, EPT_VIOLATION_READ, EPT_R },
	{ "a write", e_write, EPT_VIOLATION_WRITE, EPT_W },
	{ "a fetch", e_call, EPT_VIOLATION_FETCH, EPT_X },
};

struct rights {
	const char *name;
	u64 bits;
};

static const struct rights rights[] = {
	{ "an absent page", 0 },
	{ "a read-only page", EPT_R },
	{ "a page without execution", EPT_R | EPT_W },
	{ "a page without writing", EPT_R | EPT_X },
	{ "an execute-only page", EPT_X },
	{ "an open page", EPT_R | EPT_W | EPT_X },
};

/* The page is mapped by an entry of its own; its code is a RET. */
static u64 *start(const char *code)
{
	inner_reset(code, &with_ept);
	inner_split_ept((u64)page);
	memset(page, 0xc3, sizeof(page));
	inner_regs.rdi = (u64)page;
	return stage2_entry(&inner_ept, (u64)page, PAGE_SHIFT);
}

static void flush(void)
{
	vmx_invept(INVEPT_GLOBAL, 0, 0);
}

static bool violated(struct inner_exit *exit, u64 qualification, u64 physical, u64 linear)
{
	inner_run(exit);
	if (!inner_exited(exit, VMX_EXIT_EPT_VIOLATION))
		return false;
	test_equal("exit qualification", exit->qualification & QUAL_BITS, qualification);
	test_equal("guest-physical address, from the page",
		   vmx_get(VMCS_GUEST_PHYSICAL_ADDRESS) - physical, 0);
	test_equal("guest-linear address, from the page",
		   vmx_get(VMCS_GUEST_LINEAR_ADDRESS) - linear, 0);
	return true;
}

static void run_access(const struct access *a, const struct rights *r)
{
	bool allowed = r->bits & a->right;
	char name[NAME_SIZE];
	struct inner_exit exit;
	u64 *entry;

	snprintf(name, sizeof(name), "%s of %s %s", a->name, r->name,
		 allowed ? "passes" : "is an EPT violation");
	test_begin(name,
		   "Bits 2:0 of the qualification tell the access, bits 5:3 what the entries "
		   "allow, bit 7 that the linear address is valid, bit 8 that it was translated");
	entry = start(a->code);
	*entry = (*entry & ~EPT_RAM) | r->bits | (r->bits ? EPT_RAM & EPT_TYPE_MASK : 0);
	flush();
	if (allowed) {
		inner_run_to_end();
	} else if (violated(&exit,
			    a->qualification | r->bits << EPT_VIOLATION_RIGHTS_SHIFT | LINEAR,
			    (u64)page, (u64)page)) {
		*entry |= EPT_RAM;
		flush();
		inner_run_to_end();
	}
	test_end();
}

struct misconfiguration {
	const char *name;
	u64 entry; /* its bits but the address */
};

#define WB ((u64)MEMTYPE_WB << EPT_TYPE_SHIFT)

static const struct misconfiguration misconfigurations[] = {
	{ "a write-only page", EPT_W | WB },
	{ "a page that can be written and executed only", EPT_W | EPT_X | WB },
	{ "memory type 2", EPT_R | EPT_W | EPT_X | 2 << EPT_TYPE_SHIFT },
	{ "memory type 3", EPT_R | EPT_W | EPT_X | 3 << EPT_TYPE_SHIFT },
	{ "memory type 7", EPT_R | EPT_W | EPT_X | 7 << EPT_TYPE_SHIFT },
	{ "an address too wide", EPT_R | EPT_W | EPT_X | WB | BIT(51) },
};

static void run_misconfiguration(const struct misconfiguration *m)
{
	char name[NAME_SIZE];
	struct inner_exit exit;
	u64 *entry;

	snprintf(name, sizeof(name), "%s is an EPT misconfiguration", m->name);
	test_begin(name,
		   "An EPT misconfiguration occurs if an entry is write-only or write-execute, "
		   "has a reserved bit or a reserved memory type");
	entry = start(e_read);
	*entry = (u64)page | m->entry;
	flush();
	inner_run(&exit);
	if (inner_exited(&exit, VMX_EXIT_EPT_MISCONFIG))
		test_equal("guest-physical address, from the page",
			   vmx_get(VMCS_GUEST_PHYSICAL_ADDRESS) - (u64)page, 0);
	*entry = (u64)page | EPT_RAM;
	flush();
	inner_run_to_end();
	test_end();
}

static void reserved_bit_in_table_entry(void)
{
	struct inner_exit exit;
	u64 *directory;

	start(e_read);
	directory = stage2_entry(&inner_ept, (u64)page, SHIFT_2M);
	*directory |= BIT(4); /* bits 6:3 are reserved where an entry points to a table */
	flush();
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_EPT_MISCONFIG);
	*directory &= ~BIT(4);
	flush();
	inner_run_to_end();
}

static void absent_table(void)
{
	struct inner_exit exit;
	u64 *directory;

	start(e_read);
	directory = stage2_entry(&inner_ept, (u64)page, SHIFT_2M);
	*directory &= ~(EPT_R | EPT_W | EPT_X);
	flush();
	/* The code and the guest's own page tables are in those 2 MiB too. */
	inner_run(&exit);
	inner_exited(&exit, VMX_EXIT_EPT_VIOLATION);
	*directory |= EPT_R | EPT_W | EPT_X;
	flush();
	inner_run_to_end();
}

static void rights_are_combined(void)
{
	struct inner_exit exit;
	u64 *directory;

	start(e_write);
	directory = stage2_entry(&inner_ept, (u64)page, SHIFT_2M);
	*directory &= ~EPT_W;
	flush();
	inner_run(&exit);
	if (inner_exited(&exit, VMX_EXIT_EPT_VIOLATION))
		test_equal("rights of the qualification",
			   exit.qualification & (7 << EPT_VIOLATION_RIGHTS_SHIFT),
			   (EPT_R | EPT_X) << EPT_VIOLATION_RIGHTS_SHIFT);
	*directory |= EPT_W;
	flush();
	inner_run_to_end();
}

/* The guest's page-table entry for the page lies in a page of its own. */
static void walk_violates(void)
{
	u64 table = (u64)page_entry((u64)page);
	struct inner_exit exit;
	u64 *entry;

	start(e_read);
	entry = stage2_entry(&inner_ept, table, PAGE_SHIFT);
	*entry &= ~EPT_RAM;
	flush();
	inner_run(&exit);
	/* The code is translated by the same table. */
	if (inner_exited(&exit, VMX_EXIT_EPT_VIOLATION)) {
		test_equal("bits 8:7 of the exit qualification", exit.qualification & LINEAR,
			   EPT_VIOLATION_LINEAR_VALID);
		test_equal("page of the guest-physical address, from the table",
			   (vmx_get(VMCS_GUEST_PHYSICAL_ADDRESS) & ~PAGE_MASK) -
				   (table & ~PAGE_MASK),
			   0);
	}
	*entry |= EPT_RAM;
	flush();
	inner_run_to_end();
}

static void translates(void)
{
	u64 *entry = start(e_read);

	memset(other, 0x5a, sizeof(other));
	*entry = (u64)other | EPT_RAM;
	flush();
	inner_run_to_end();
	test_equal("byte that the guest read", (u8)inner_regs.rax, 0x5a);
}

static void translates_anew(void)
{
	u64 *entry = start(e_read);

	memset(other, 0x5a, sizeof(other));
	inner_run_to_end();
	test_equal("byte that the guest read", (u8)inner_regs.rax, 0xc3);
	*entry = (u64)other | EPT_RAM;
	vmx_invept(INVEPT_SINGLE, vmx_get(VMCS_EPTP), 0);
	vmx_set(VMCS_GUEST_RIP, (u64)e_read);
	inner_run_to_end();
	test_equal("byte that the guest read after a change", (u8)inner_regs.rax, 0x5a);
}

static void writes_through(void)
{
	u64 *entry = start(e_write);

	memset(other, 0, sizeof(other));
	*entry = (u64)other | EPT_RAM;
	flush();
	inner_regs.rax = 0x77;
	inner_run_to_end();
	test_equal("byte of the page behind", other[0], 0x77);
	test_equal("byte of the page before", page[0], 0xc3);
}

static void pages_of_1g(void)
{
	static u8 tables[3 * PAGE_SIZE] __attribute__((aligned(4096)));
	struct stage2 ept;

	start(e_write);
	stage2_init(&ept, tables, 3);
	stage2_map(&ept, 0, 0, BIT(32), EPT_RAM, SHIFT_1G);
	vmx_set(VMCS_EPTP, vmx_ept_pointer(&ept));
	inner_regs.rax = 0x44;
	inner_run_to_end();
	test_equal("byte that the guest wrote", page[0], 0x44);
}

static void two_eptps(void)
{
	static u8 tables[3 * PAGE_SIZE] __attribute__((aligned(4096)));
	u64 first;
	struct stage2 ept;
	u64 *entry = start(e_read);

	memset(other, 0x5a, sizeof(other));
	*entry = (u64)other | EPT_RAM;
	flush();
	first = vmx_get(VMCS_EPTP);
	stage2_init(&ept, tables, 3);
	stage2_map(&ept, 0, 0, BIT(32), EPT_RAM, SHIFT_1G);
	inner_run_to_end();
	test_equal("byte by the first EPTP", (u8)inner_regs.rax, 0x5a);
	vmx_set(VMCS_EPTP, vmx_ept_pointer(&ept));
	vmx_set(VMCS_GUEST_RIP, (u64)e_read);
	inner_run_to_end();
	test_equal("byte by the second EPTP", (u8)inner_regs.rax, 0xc3);
	vmx_set(VMCS_EPTP, first);
	vmx_set(VMCS_GUEST_RIP, (u64)e_read);
	inner_run_to_end();
	test_equal("byte by the first EPTP again", (u8)inner_regs.rax, 0x5a);
}

#define AD (EPT_ACCESSED | EPT_DIRTY)

static u64 *start_ad(const char *code, bool enabled)
{
	u64 *entry = start(code);

	if (enabled)
		inner_set_bits(VMCS_EPTP, EPTP_AD);
	*entry &= ~AD;
	stage2_entry(&inner_ept, (u64)other, PAGE_SHIFT)[0] &= ~AD;
	stage2_entry(&inner_ept, (u64)page, SHIFT_2M)[0] &= ~AD;
	flush();
	return entry;
}

static void read_sets_accessed(void)
{
	u64 *entry = start_ad(e_read, true);

	inner_run_to_end();
	test_equal("flags of the page", *entry & AD, EPT_ACCESSED);
	test_equal("flags of a page that nobody used",
		   *stage2_entry(&inner_ept, (u64)other, PAGE_SHIFT) & AD, 0);
	test_equal("accessed flag of the directory",
		   *stage2_entry(&inner_ept, (u64)page, SHIFT_2M) & EPT_ACCESSED, EPT_ACCESSED);
}

static void write_sets_dirty(void)
{
	u64 *entry = start_ad(e_write, true);

	inner_run_to_end();
	test_equal("flags of the page", *entry & AD, AD);
}

static void write_after_read_sets_dirty(void)
{
	u64 *entry = start_ad(e_read, true);

	inner_run_to_end();
	test_equal("flags of the page after a read", *entry & AD, EPT_ACCESSED);
	vmx_set(VMCS_GUEST_RIP, (u64)e_write);
	inner_run_to_end();
	test_equal("flags of the page after a write", *entry & AD, AD);
}

static void flags_are_left_alone(void)
{
	u64 *entry = start_ad(e_write, false);

	inner_run_to_end();
	test_equal("flags of the page", *entry & AD, 0);
}

static void cleared_flags_are_set_again(void)
{
	u64 *entry = start_ad(e_write, true);

	inner_run_to_end();
	*entry &= ~AD;
	vmx_invept(INVEPT_SINGLE, vmx_get(VMCS_EPTP), 0);
	vmx_set(VMCS_GUEST_RIP, (u64)e_write);
	inner_run_to_end();
	test_equal("flags of the page", *entry & AD, AD);
}

#define RULE_AD "If bit 6 of the EPTP is 1, the processor sets accessed and dirty flags for EPT"

static const struct test tests[] = {
	{ "a reserved bit where an entry points to a table is an EPT misconfiguration",
	  "Bits 6:3 of a page-directory entry that references a table are reserved",
	  reserved_bit_in_table_entry },
	{ "an absent table is an EPT violation", "... if any entry is not present", absent_table },
	{ "rights of all levels count", "Bits 5:3 are the logical-AND over all entries",
	  rights_are_combined },
	{ "a page walk can violate", "Bit 8 is 0 if the access was to a paging-structure entry",
	  walk_violates },
	{ "EPT translates", "guest-physical addresses are translated", translates },
	{ "EPT translates anew after INVEPT", "INVEPT drops what was cached", translates_anew },
	{ "EPT translates writes", "guest-physical addresses are translated", writes_through },
	{ "EPT pages of 1 GiB", "bit 7 of a PDPTE maps 1 GiB", pages_of_1g },
	{ "two EPTPs are two address spaces", "The EPTP names the EPT paging structures",
	  two_eptps },
	{ "a read sets the accessed flag of EPT", RULE_AD, read_sets_accessed },
	{ "a write sets the dirty flag of EPT", RULE_AD, write_sets_dirty },
	{ "a write after a read sets the dirty flag of EPT", RULE_AD, write_after_read_sets_dirty },
	{ "flags of EPT that were cleared are set again", RULE_AD, cleared_flags_are_set_again },
	{ "flags of EPT are ignored without their control", RULE_AD, flags_are_left_alone },
};

static u32 count(void)
{
	return inner_with_ept() ? ARRAY_SIZE(accesses) * ARRAY_SIZE(rights) +
					  ARRAY_SIZE(misconfigurations) + ARRAY_SIZE(tests)
				: 0;
}

static void run(void)
{
	if (!inner_with_ept())
		return;
	for (size_t a = 0; a < ARRAY_SIZE(accesses); a++) {
		for (size_t r = 0; r < ARRAY_SIZE(rights); r++)
			run_access(&accesses[a], &rights[r]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(misconfigurations); i++)
		run_misconfiguration(&misconfigurations[i]);
	tests_run(tests, ARRAY_SIZE(tests));
}

const struct suite ept_suite = { count, run };
