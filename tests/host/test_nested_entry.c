/*
 * Entries to L3 and exits to L2, one by one: what the random sequences of test_nested_random.c do
 * not come to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "tests/host/nested_machine.h"

#define PDPTES 0x20000ULL

static u64 of_l3(int row)
{
	return l3_vmcs()->fields.f[row];
}

static u64 of_l2(int row)
{
	return fake_vmcs_at(machine.n.vmcs12.region)->fields.f[row];
}

static void start(bool no_ept)
{
	const struct nested_ways ways = { .no_ept = no_ept };

	nested_init(&ways);
	l2_start(0);
}

static void enter(void)
{
	assert_int_equal(l2_enter(!machine.n.current->launched), OUTCOME_RESUME);
}

static void leave(void)
{
	assert_true(l3_exits(VMX_EXIT_CPUID, 0));
}

static void put_pdptes(u64 first)
{
	for (u64 i = 0; i < 4; i++) {
		u64 entry = (first + i * PAGE_SIZE) | PTE_P;

		memcpy(machine.memory + PDPTES + 8 * i, &entry, sizeof(entry));
	}
}

/* SDM 3C "Checking and Loading PDPTEs" (27.3.2.4): without EPT each entry takes them from memory.
 */
static void test_pdptes_are_read_at_every_entry(void **state)
{
	(void)state;
	start(true);
	l2_vmwrite(F_ENTRY_CONTROLS, l2_vmread(F_ENTRY_CONTROLS) & ~(u64)ENTRY_GUEST_64);
	l2_vmwrite(F_GUEST_EFER, 0);
	l2_vmwrite(F_GUEST_CS_AR, 0xc09b);
	l2_vmwrite(F_GUEST_RIP, 0x1000);
	l2_vmwrite(F_GUEST_CR3, PDPTES);
	for (u64 first = 0x30000; first < 0x38000; first += 0x2000) {
		put_pdptes(first);
		enter();
		for (u64 i = 0; i < 4; i++)
			assert_int_equal(of_l3(F_GUEST_PDPTE0 + (int)i),
					 (first + i * PAGE_SIZE) | PTE_P);
		leave();
	}
	/* L3 itself may have moved them. */
	enter();
	l3_vmcs()->fields.f[F_GUEST_PDPTE0] = 0;
	leave();
	enter();
	assert_int_equal(of_l3(F_GUEST_PDPTE0), 0x36000 | PTE_P);
}

/* SDM 3C "VM-Entry Failures During or After Loading Guest State" (27.8): "the state of blocking by
 * NMI is what it was before VM entry". */
static void test_a_failed_entry_leaves_nmis_blocked(void **state)
{
	(void)state;
	for (u32 blocking = 0; blocking <= INTERRUPTIBILITY_NMI; blocking += INTERRUPTIBILITY_NMI) {
		start(false);
		vmcs_write(GUEST_INTERRUPTIBILITY, blocking);
		l2_vmwrite(F_GUEST_RFLAGS, 0);
		assert_int_equal(l2_enter(true), OUTCOME_REFLECT);
		assert_int_equal(l2_vmread(F_EXIT_REASON),
				 VMX_EXIT_ENTRY_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE);
		assert_int_equal(of_l2(F_GUEST_INTERRUPTIBILITY), blocking);
	}
}

/* The APIC-access page need not be memory: its address is compared with where L3's accesses lead.
 */
static void test_apic_access_page(void **state)
{
	static const struct {
		u64 page23, page13;
	} pages[] = {
		{ L2_VIRTUAL_APIC, L2_VIRTUAL_APIC },
		{ 0xfee00000, 0xfee00000 },
		{ L1_OWN, ABSENT_PAGE },
		{ L1_OWN_END - PAGE_SIZE, ABSENT_PAGE },
	};

	(void)state;
	start(false);
	l2_vmwrite(F_PROC_CONTROLS2, l2_vmread(F_PROC_CONTROLS2) | PROC2_APIC_ACCESSES);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		l2_vmwrite(F_APIC_ACCESS_ADDR, pages[i].page23);
		enter();
		assert_int_equal(of_l3(F_APIC_ACCESS_ADDR), pages[i].page13);
		leave();
	}
}

/* The virtual-APIC page hardware does write to. */
static void test_virtual_apic_page(void **state)
{
	(void)state;
	start(false);
	l2_vmwrite(F_PROC_CONTROLS, l2_vmread(F_PROC_CONTROLS) | PROC_TPR_SHADOW);
	enter();
	assert_int_equal(of_l3(F_VIRTUAL_APIC_ADDR), L2_VIRTUAL_APIC);
	leave();
	for (u64 at = L1_OWN; at < L1_OWN_END; at += PAGE_SIZE) {
		l2_vmwrite(F_VIRTUAL_APIC_ADDR, at);
		enter();
		assert_int_equal(of_l3(F_VIRTUAL_APIC_ADDR), ABSENT_PAGE);
		leave();
	}
}

/* A host field alone is enough to be noticed. */
static void test_host_pat(void **state)
{
	(void)state;
	start(false);
	enter();
	leave();
	l2_vmwrite(F_HOST_PAT, 0x0606060606060606ULL);
	enter();
	assert_int_equal(of_l3(F_HOST_PAT), 0x0606060606060606ULL);
}

/* An NMI that came while L1 ran: L2 sees it as if L3 had been interrupted by it, also before L3's
 * first instruction. */
static void test_an_nmi_before_the_first_entry(void **state)
{
	(void)state;
	start(false);
	l2_vmwrite(F_PIN_CONTROLS, l2_vmread(F_PIN_CONTROLS) | PIN_NMI);
	machine.nmi = true;
	assert_int_equal(l2_enter(true), OUTCOME_RESUME);
	machine.nmi = false;
	assert_int_equal(machine.level, 2);
	assert_int_equal(l2_vmread(F_EXIT_REASON), VMX_EXIT_EXCEPTION_NMI);
	assert_int_equal(l2_vmread(F_EXIT_INTR_INFO), INTR_INFO_VALID | INTR_TYPE_NMI | EXC_NMI);
	assert_int_equal(of_l2(F_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	enter();
	leave();
}

/* What ept13 lets L3 do at L3_MEMORY. */
static u32 rights_in_ept13(void)
{
	struct nept_page12 page = { 0 };

	nept_table_find(&machine.n.current->ept13->nept.table, PA2(L3_MEMORY), &page);
	return page.rights;
}

/* SDM 3C "Operations that Invalidate Cached Mappings" (29.4.3.1): an EPT violation invalidates what
 * was cached for its address, and what is not present is not cached. So L1 may use what L2 has
 * made of its table by the next entry, without an INVEPT of anybody's. */
static void test_what_l2_mends_after_a_miss_is_filled_at_its_entry(void **state)
{
	u64 *leaf = (u64 *)(void *)&machine.memory[L2_EPT(0) + PAGE_SIZE];
	u64 mended;

	(void)state;
	start(false);
	mended = *leaf;
	*leaf = 0;
	for (u32 i = 0; i < 2; i++) {
		enter();
		assert_int_equal(rights_in_ept13(), 0);
		assert_true(l3_misses(L3_MEMORY, EPT_VIOLATION_READ));
	}
	*leaf = mended;
	fake_forget_invalidations();
	enter();
	assert_int_equal(rights_in_ept13(), NEPT_RWX);
	assert_int_equal(fake_invepts(), 0);
	assert_false(machine.n.current->missed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pdptes_are_read_at_every_entry),
		cmocka_unit_test(test_a_failed_entry_leaves_nmis_blocked),
		cmocka_unit_test(test_apic_access_page),
		cmocka_unit_test(test_virtual_apic_page),
		cmocka_unit_test(test_host_pat),
		cmocka_unit_test(test_what_l2_mends_after_a_miss_is_filled_at_its_entry),
		cmocka_unit_test(test_an_nmi_before_the_first_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
