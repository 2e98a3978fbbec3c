/*
 * What L3's addresses are translated by: which flushes are asked of hardware, how long a merged
 * table lives, what L2 hears of a miss, and the event that a miss interrupted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/svm_exits.h"
#include "tests/host/svm_machine.h"

#define FEATURES (SVM_FEATURE_NPT | SVM_FEATURE_FLUSH_BY_ASID)

static struct svm_nested *const n = &svm_machine.n;

static int make(void **state)
{
	(void)state;
	svm_machine_make(FEATURES);
	return 0;
}

/* The flush that hardware is asked for at the next entry of the VMCB. */
static u32 flush_of_entry(u32 index)
{
	u32 how;

	assert_true(svm_vmrun(index));
	how = svm_machine.run.vmcb->c.tlb_control;
	svm_back_to_l2();
	return how;
}

/* APM 2 "TLB Flush" (15.16.2): what L2 asks for reaches hardware, and nothing else is flushed. */
static void flushes_are_those_that_l2_asks_for(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);

	(void)state;
	flush_of_entry(0);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(flush_of_entry(0), TLB_KEEP);
	l2s->c.tlb_control = TLB_FLUSH_ASID;
	assert_int_equal(flush_of_entry(0), TLB_FLUSH_ASID);
	l2s->c.tlb_control = TLB_FLUSH_NON_GLOBAL;
	assert_int_equal(flush_of_entry(0), TLB_FLUSH_ASID);
	l2s->c.tlb_control = TLB_FLUSH_ALL;
	assert_int_equal(flush_of_entry(0), TLB_FLUSH_ALL);
	l2s->c.tlb_control = TLB_KEEP;
	assert_int_equal(flush_of_entry(0), TLB_KEEP);
	/* An ASID that now stands for another nested table. */
	memcpy(svm_ram[PAGE_NPT + 4], svm_ram[PAGE_NPT], PAGE_SIZE);
	l2s->c.ncr3 = svm_page(PAGE_NPT + 4).v;
	l2s->c.clean = ~BIT32(CLEAN_NP);
	assert_int_not_equal(flush_of_entry(0), TLB_KEEP);
	assert_int_equal(flush_of_entry(0), TLB_KEEP);
	/* With tlb=flush every entry flushes, and so does every exit. */
	n->ways.flush = true;
	svm_slot_forget_all(n);
	assert_int_equal(flush_of_entry(0), TLB_FLUSH_ALL);
	assert_int_equal(n->vmcb12.vmcb->c.tlb_control, TLB_FLUSH_ALL);
}

/* L3 misses, is filled, and misses no more until L2 takes the translation away. */
static bool misses(u64 at)
{
	struct nept_page12 page;

	nept_table_find(&n->current->npt13->nept.table, PA2(at), &page);
	return page.rights == 0;
}

static void merged_tables_live_as_long_as_l2_says(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);

	(void)state;
	for (u32 how = 0; how < 4; how++) {
		assert_true(svm_vmrun(0));
		assert_true(misses(0x2000));
		svm_hardware_exits(SVM_CODE_NPF, NPF_FINAL_ADDRESS | PF_U, 0x2123);
		assert_false(svm_l2_wants(n, SVM_EXIT_NPF));
		assert_int_equal(svm_stage2_miss(n), OUTCOME_RESUME);
		assert_false(misses(0x2000));
		svm_assert_safe();
		svm_back_to_l2();
		assert_true(svm_vmrun(0));
		assert_false(misses(0x2000));
		svm_back_to_l2();
		/* The ways to take it away. */
		if (how == 0)
			l2s->c.tlb_control = TLB_FLUSH_ASID;
		else if (how == 1)
			l2s->c.tlb_control = TLB_FLUSH_ALL;
		else {
			svm_machine.regs.r[REG_RCX] = how == 2 ? l2s->c.asid : 5;
			svm_execute(SVM_EXIT_INVLPGA, 0x2000);
			assert_int_equal(fake_svm.invlpga_asid, how == 2 ? 2 : 6);
			assert_int_equal(fake_svm.invlpga_address, 0x2000);
		}
		assert_true(svm_vmrun(0));
		assert_int_equal(misses(0x2000), how != 3);
		if (how != 3)
			assert_int_not_equal(svm_machine.run.vmcb->c.tlb_control, TLB_KEEP);
		svm_back_to_l2();
		l2s->c.tlb_control = 0;
	}
	/* INVLPGA for ASID 0 is for L2's own translations. */
	svm_machine.regs.r[REG_RCX] = 0;
	svm_execute(SVM_EXIT_INVLPGA, 0x2000);
	assert_int_equal(fake_svm.invlpga_asid, ASID_L2);
}

/* APM 2 "Nested versus Guest Page Faults, Fault Ordering" (15.25.6): L2 hears of the misses that
 * its own table makes, as of its own. */
static void misses_of_l2s_own(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);
	u64 *leaf = (u64 *)svm_ram[PAGE_NPT + 3];

	(void)state;
	leaf[3] = 0;
	leaf[4] &= ~PTE_W;
	leaf[5] |= BIT(45);
	leaf[6] |= PTE_NX;
	static const struct {
		u64 at, info, told;
	} cases[] = {
		{ 0x3010, NPF_FINAL_ADDRESS | PF_U, NPF_FINAL_ADDRESS | PF_U },
		{ 0x4020, NPF_GUEST_TABLE | PF_U | PF_W, NPF_GUEST_TABLE | PF_U | PF_W | PF_P },
		{ 0x5030, NPF_FINAL_ADDRESS | PF_U, NPF_FINAL_ADDRESS | PF_U | PF_P | PF_RSVD },
		{ 0x6040, NPF_FINAL_ADDRESS | PF_U | PF_I, NPF_FINAL_ADDRESS | PF_U | PF_I | PF_P },
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(svm_vmrun(0));
		svm_hardware_exits(SVM_CODE_NPF, cases[i].info, cases[i].at);
		assert_int_equal(svm_stage2_miss(n), OUTCOME_REFLECT);
		assert_int_equal(svm_machine.level, 2);
		assert_true(l2s->c.exit_code == SVM_CODE_NPF);
		assert_int_equal(l2s->c.exit_info1, cases[i].told);
		assert_int_equal(l2s->c.exit_info2, cases[i].at);
	}
	/* Where L2 maps what it has not, L1 is asked for it once, and L2 hears of it. */
	assert_true(svm_vmrun(0));
	svm_hardware_exits(SVM_CODE_NPF, NPF_FINAL_ADDRESS | PF_U, 0x1f0000);
	assert_int_equal(svm_stage2_miss(n), OUTCOME_REFLECT);
	assert_int_equal(svm_machine.touches, 1);
}

/* APM 2 "TLB Management" (15.16): what is not present is not cached, so that L1 may use what L2 has
 * made of its table by its next VMRUN, without a flush of anybody's. */
static void what_l2_mends_after_a_miss_is_filled_at_its_vmrun(void **state)
{
	u64 *leaf = (u64 *)svm_ram[PAGE_NPT + 3] + 3;
	u64 mended;

	(void)state;
	svm_vmcb_make(0, svm_guest_64);
	mended = *leaf | PTE_A;
	for (u32 level = 0; level < 3; level++)
		*(u64 *)svm_ram[PAGE_NPT + level] |= PTE_A;
	flush_of_entry(0);
	*leaf = 0;
	for (u32 i = 0; i < 3; i++) {
		struct nept_page12 page = { 0 };

		assert_int_equal(svm_machine.level, 2);
		if (i == 2)
			*leaf = mended;
		assert_true(svm_vmrun(0));
		assert_int_equal(svm_machine.run.vmcb->c.tlb_control, TLB_KEEP);
		nept_table_find(&n->current->npt13->nept.table, PA2(0x3000), &page);
		assert_int_equal(page.rights & NEPT_R, i == 2 ? NEPT_R : 0);
		svm_hardware_exits(SVM_CODE_NPF, NPF_FINAL_ADDRESS | PF_U, 0x3010);
		if (i < 2)
			assert_int_equal(svm_stage2_miss(n), OUTCOME_REFLECT);
	}
}

/* Reserved bits and what is told of a fetch follow L2's own EFER.NXE and CR4.SMEP. */
static void misses_follow_l2s_own_mode(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);
	u64 *leaf = (u64 *)svm_ram[PAGE_NPT + 3];
	u64 info = NPF_FINAL_ADDRESS | PF_U | PF_I;

	(void)state;
	leaf[3] = 0;
	leaf[6] |= PTE_NX;
	for (u32 mode = 0; mode < 8; mode++) {
		bool nx = mode & 1, smep = mode & 2;
		u64 fetch = nx || smep ? PF_I : 0;
		struct vmcb_save *save12 = &n->vmcb12.vmcb->s;

		save12->efer = (save12->efer & ~EFER_NXE) | (nx ? EFER_NXE : 0);
		save12->cr4 = (save12->cr4 & ~CR4_SMEP) | (smep ? CR4_SMEP : 0);
		l2s->c.clean = mode & 4 ? ~0U : 0;
		assert_true(svm_vmrun(0));
		svm_hardware_exits(SVM_CODE_NPF, info, 0x3000);
		assert_int_equal(svm_stage2_miss(n), OUTCOME_REFLECT);
		assert_int_equal(l2s->c.exit_info1, (info & ~PF_I) | fetch);
		assert_true(svm_vmrun(0));
		svm_hardware_exits(SVM_CODE_NPF, info, 0x6000);
		assert_int_equal(svm_stage2_miss(n), OUTCOME_REFLECT);
		assert_int_equal(l2s->c.exit_info1,
				 (info & ~PF_I) | fetch | PF_P | (nx ? 0 : PF_RSVD));
	}
}

/* An event that a miss interrupted is delivered again; L2's own is not lost. */
static void interrupted_events_are_delivered_again(void **state)
{
	u64 event = EVENT_VALID | EVENT_TYPE_INTR | 0x41;
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);

	(void)state;
	l2s->c.event_injection = event;
	assert_true(svm_vmrun(0));
	assert_int_equal(svm_machine.run.vmcb->c.event_injection, event);
	svm_machine.run.vmcb->c.exit_int_info = event;
	svm_hardware_exits(SVM_CODE_NPF, NPF_FINAL_ADDRESS | PF_U | PF_W, 0x2000);
	assert_int_equal(svm_stage2_miss(n), OUTCOME_RESUME);
	assert_int_equal(svm_machine.run.vmcb->c.event_injection, event);
	/* It arrives; L2 sees its field as hardware leaves it. */
	svm_machine.run.vmcb->c.exit_int_info = 0;
	svm_back_to_l2();
	assert_int_equal(l2s->c.event_injection & EVENT_VALID, 0);
	assert_int_equal(l2s->c.exit_int_info, 0);
}

/* QUIRK(bochs-2.7): an external interrupt of L3's own is known by the local APIC, not by what the
 * exit tells; and only where it can be one. */
static void a_lost_interrupt_is_delivered_again(void **state)
{
	u64 stale = EVENT_VALID | EVENT_TYPE_EXCEPTION | EXC_UD;
	u64 interrupt = EVENT_VALID | EVENT_TYPE_INTR | 0xde;
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);
	static const struct {
		bool is_bochs, told, open, intercepted;
		u8 in_service;
	} cases[] = {
		{ true, true, true, false, 0xde },  { true, true, true, false, 0 },
		{ true, true, true, true, 0xde },   { true, true, false, false, 0xde },
		{ true, false, true, false, 0xde }, { false, true, true, false, 0xde },
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 expected = cases[i].told ? stale : 0;

		n->is_bochs = cases[i].is_bochs;
		svm_machine.in_service = cases[i].in_service;
		l2s->c.intercept1 &= ~INTERCEPT1_INTR;
		l2s->c.intercept1 |= cases[i].intercepted ? INTERCEPT1_INTR : 0;
		l2s->s.rflags = RFLAGS_FIXED | (cases[i].open ? RFLAGS_IF : 0);
		l2s->c.clean = 0;
		assert_true(svm_vmrun(0));
		svm_hardware_exits(SVM_CODE_NPF, NPF_FINAL_ADDRESS | PF_U, 0x2000);
		svm_machine.run.vmcb->c.exit_int_info = cases[i].told ? stale : 0;
		assert_int_equal(svm_stage2_miss(n), OUTCOME_RESUME);
		assert_int_equal(svm_machine.run.vmcb->c.event_injection,
				 i == 0 ? interrupt : expected);
		svm_machine.run.vmcb->c.exit_int_info = 0;
		svm_back_to_l2();
		l2s->c.event_injection = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(flushes_are_those_that_l2_asks_for, make),
		cmocka_unit_test_setup(merged_tables_live_as_long_as_l2_says, make),
		cmocka_unit_test_setup(misses_of_l2s_own, make),
		cmocka_unit_test_setup(what_l2_mends_after_a_miss_is_filled_at_its_vmrun, make),
		cmocka_unit_test_setup(misses_follow_l2s_own_mode, make),
		cmocka_unit_test_setup(interrupted_events_are_delivered_again, make),
		cmocka_unit_test_setup(a_lost_interrupt_is_delivered_again, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
