/*
 * L3's own GIF, where L2 lets it have STGI and CLGI: what it holds, and what is left of it behind
 * STGI and #VMEXIT. L2's closed GIF where KVM is below. And what comes before L2's intercepts of
 * SVM instructions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shadow-vmcs/svm_exits.h"
#include "tests/host/svm_machine.h"

#define FEATURES (SVM_FEATURE_NPT | SVM_FEATURE_FLUSH_BY_ASID | SVM_FEATURE_NRIPS)
#define HELD     (INTERCEPT1_INTR | INTERCEPT1_NMI)
#define TPR      5

static struct svm_nested *const n = &svm_machine.n;
static struct vmcb *l2s;

static int make(void **state)
{
	(void)state;
	svm_machine_make(FEATURES);
	l2s = svm_vmcb_make(0, svm_guest_64);
	l2s->c.intercept2 &= ~(INTERCEPT2_STGI | INTERCEPT2_CLGI);
	return 0;
}

static const struct vmcb_control *c13(void)
{
	return &n->current->vmcb13.vmcb->c;
}

static void insn_of_l3(u32 exit)
{
	assert_int_equal(svm_machine.level, 3);
	assert_false(svm_l2_wants(n, exit));
	assert_int_equal(svm_execute(exit, 0), OUTCOME_ADVANCE);
}

/* APM 2 "Global Interrupt Flag, STGI and CLGI Instructions" (15.17): "GIF = 0 ... interrupts, NMIs
 * and SMIs are held pending". */
static void clgi_holds_events_until_stgi(void **state)
{
	u32 wanted = INTERCEPT1_INTR | INTERCEPT1_SMI;

	(void)state;
	l2s->c.intercept1 |= wanted;
	assert_true(svm_vmrun(0));
	insn_of_l3(SVM_EXIT_CLGI);
	assert_int_equal(c13()->intercept1 & (HELD | INTERCEPT1_SMI), HELD | INTERCEPT1_SMI);
	assert_false(svm_l2_wants(n, SVM_EXIT_INTR));
	assert_false(svm_l2_wants(n, SVM_EXIT_NMI));
	assert_false(svm_l2_wants(n, SVM_EXIT_SMI));
	assert_true(c13()->int_control & INT_V_MASKING);
	assert_false(fake_svm.interrupts);
	svm_assert_safe();
	insn_of_l3(SVM_EXIT_STGI);
	assert_int_equal(c13()->intercept1 & (HELD | INTERCEPT1_SMI), wanted);
	assert_true(svm_l2_wants(n, SVM_EXIT_INTR));
	assert_false(svm_l2_wants(n, SVM_EXIT_NMI));
	assert_true(svm_l2_wants(n, SVM_EXIT_SMI));
	assert_int_equal(c13()->int_control, l2s->c.int_control);
	assert_true(fake_svm.interrupts);
}

/* The same section: virtual interrupts wait too. Behind STGI they come at once, where RFLAGS.IF,
 * the TPR and L2's intercept let them: "Injecting Virtual (INTR) Interrupts" (15.21.4). */
static void clgi_holds_a_virtual_interrupt(void **state)
{
	static const struct {
		u64 rflags, tpr;
		u32 intercept1;
		bool comes;
	} cases[] = {
		{ RFLAGS_IF, 2, 0, true },
		{ RFLAGS_IF, 3, 0, false },
		{ 0, 2, 0, false },
		{ RFLAGS_IF, 2, INTERCEPT1_VINTR, false },
	};
	u64 irq = INT_V_IRQ | 3ULL << INT_V_PRIO_SHIFT | 0x31ULL << INT_VECTOR_SHIFT;
	u32 intercept1 = l2s->c.intercept1;

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		l2s->c.int_control = irq | cases[i].tpr | INT_V_MASKING;
		l2s->c.intercept1 = intercept1 | cases[i].intercept1;
		l2s->c.event_injection = 0;
		l2s->s.rflags = RFLAGS_FIXED | cases[i].rflags;
		l2s->c.clean = 0;
		assert_true(svm_vmrun(0));
		insn_of_l3(SVM_EXIT_CLGI);
		assert_false(c13()->int_control & INT_V_IRQ);
		insn_of_l3(SVM_EXIT_STGI);
		assert_int_equal(c13()->int_control,
				 l2s->c.int_control & ~(cases[i].comes ? INT_V_IRQ : 0));
		assert_int_equal(c13()->event_injection,
				 cases[i].comes ? EVENT_VALID | EVENT_TYPE_INTR | 0x31 : 0);
		svm_back_to_l2();
	}
}

/* APM 2 "#VMEXIT" (15.6): "clears the GIF"; what L3 held with its own is as if it never had. */
static void an_exit_ends_it(void **state)
{
	(void)state;
	l2s->c.intercept1 |= INTERCEPT1_NMI;
	l2s->c.int_control = INT_V_IRQ | 0x31ULL << INT_VECTOR_SHIFT;
	assert_true(svm_vmrun(0));
	insn_of_l3(SVM_EXIT_CLGI);
	svm_back_to_l2();
	assert_int_equal(l2s->c.int_control, INT_V_IRQ | 0x31ULL << INT_VECTOR_SHIFT);
	l2s->c.clean = ~0U;
	assert_true(svm_vmrun(0));
	assert_true(c13()->int_control & INT_V_IRQ);
	assert_false(c13()->int_control & INT_V_MASKING);
	assert_int_equal(c13()->intercept1 & HELD, INTERCEPT1_NMI);
	assert_true(svm_l2_wants(n, SVM_EXIT_NMI));
}

/* CR8 is the physical TPR unless V_INTR_MASKING is set: APM 2 "Virtualizing APIC.TPR" (15.21.2).
 * V_TPR stands for it meanwhile, and neither STGI nor an exit loses what L3 wrote. */
static void the_tpr_is_the_physical_one(void **state)
{
	static const u32 ends[] = { SVM_EXIT_STGI, SVM_EXIT_VMMCALL };

	(void)state;
	for (u32 i = 0; i < 2 * ARRAY_SIZE(ends); i++) {
		u32 end = ends[i / 2];

		l2s->c.int_control = 0xc;
		fake_svm.tpr = TPR;
		/* L2 may have closed its own before VMRUN, as hypervisors do. */
		svm_set_gif(n, i % 2);
		assert_true(svm_vmrun(0));
		insn_of_l3(SVM_EXIT_CLGI);
		assert_int_equal(c13()->int_control & INT_V_TPR, TPR);
		n->current->vmcb13.vmcb->c.int_control ^= INT_V_TPR & (TPR ^ (TPR + 1));
		if (end == SVM_EXIT_STGI)
			insn_of_l3(SVM_EXIT_STGI);
		else
			svm_back_to_l2();
		assert_int_equal(fake_svm.tpr, TPR + 1);
		assert_int_equal(c13()->int_control & INT_V_TPR, 0xc);
		if (svm_machine.level == 3)
			svm_back_to_l2();
		svm_set_gif(n, true);
		assert_int_equal(fake_svm.tpr, TPR + 1);
	}
}

/* Where L2 masks interrupts, V_TPR is L3's own. */
static void a_masked_tpr_is_l3s(void **state)
{
	(void)state;
	l2s->c.int_control = INT_V_MASKING | 0xc;
	fake_svm.tpr = TPR;
	assert_true(svm_vmrun(0));
	insn_of_l3(SVM_EXIT_CLGI);
	assert_int_equal(c13()->int_control & INT_V_TPR, 0xc);
	insn_of_l3(SVM_EXIT_STGI);
	assert_int_equal(c13()->int_control, INT_V_MASKING | 0xc);
	assert_int_equal(fake_svm.tpr, TPR);
}

/* A KVM below must have no interrupt to give while L2's GIF is closed: nothing of the local APIC's,
 * by the TPR, and of the PIC's when one has shown. L2 sees its own TPR. */
static void a_kvm_below_has_nothing_to_give(void **state)
{
	struct vmcb_control *c12 = &n->vmcb12.vmcb->c;

	(void)state;
	n->kvm_below = true;
	fake_svm.tpr = TPR;
	svm_set_gif(n, false);
	assert_int_equal(fake_svm.tpr, 15);
	assert_int_equal(c12->int_control & INT_V_TPR, TPR);
	assert_true(c12->intercept1 & INTERCEPT1_VINTR);
	assert_false(svm_machine.pic_is_held);
	c12->int_control |= INT_V_IRQ;
	svm_gif_window(n);
	assert_false(c12->int_control & INT_V_IRQ);
	assert_true(svm_machine.pic_is_held);
	/* While L3 runs they count again; also where L2 masks its interrupts. */
	for (u32 masking = 0; masking < 2; masking++) {
		l2s->c.int_control = masking ? INT_V_MASKING : 0;
		l2s->c.clean = 0;
		assert_true(svm_vmrun(0));
		assert_int_equal(fake_svm.tpr, TPR);
		assert_false(svm_machine.pic_is_held);
		svm_back_to_l2();
		assert_int_equal(fake_svm.tpr, 15);
		assert_int_equal(c12->int_control & INT_V_TPR, TPR);
	}
	/* An entry that does not come about changes nothing. */
	l2s->s.cr0 |= BIT(32);
	l2s->c.clean = 0;
	assert_false(svm_vmrun(0));
	assert_int_equal(fake_svm.tpr, 15);
	assert_int_equal(c12->int_control & INT_V_TPR, TPR);
	svm_gif_window(n);
	c12->int_control |= INT_V_IRQ;
	svm_set_gif(n, true);
	assert_int_equal(fake_svm.tpr, TPR);
	assert_false(svm_machine.pic_is_held);
	assert_int_equal(c12->int_control & (INT_V_IRQ | INT_V_MASKING | INT_V_TPR), 0);
	assert_false(c12->intercept1 & INTERCEPT1_VINTR);
}

/* A KVM that does not say who it is shows by that exit; an L3 that has closed the machine is held
 * from it the same way, also where L2 masks its interrupts. */
static void a_kvm_below_shows(void **state)
{
	(void)state;
	for (u32 masking = 0; masking < 2; masking++) {
		n->kvm_below = false;
		fake_svm.tpr = TPR;
		l2s->c.int_control = masking ? INT_V_MASKING : 0;
		l2s->c.clean = 0;
		assert_true(svm_vmrun(0));
		insn_of_l3(SVM_EXIT_CLGI);
		svm_gif_window(n);
		assert_true(n->kvm_below);
		assert_int_equal(fake_svm.tpr, 15);
		assert_true(svm_machine.pic_is_held);
		assert_true(c13()->int_state & INT_STATE_SHADOW);
		insn_of_l3(SVM_EXIT_STGI);
		assert_int_equal(fake_svm.tpr, TPR);
		assert_false(svm_machine.pic_is_held);
		svm_back_to_l2();
		svm_set_gif(n, true);
		assert_int_equal(fake_svm.tpr, TPR);
	}
}

/* APM 3, each instruction of SVM: "#UD: ... EFER.SVME was not set", "#GP: CPL was not zero", which
 * are no exits. */
static void faults_come_before_intercepts(void **state)
{
	static const u32 insns[] = { SVM_EXIT_VMRUN,  SVM_EXIT_VMLOAD, SVM_EXIT_VMSAVE,
				     SVM_EXIT_STGI,   SVM_EXIT_CLGI,   SVM_EXIT_SKINIT,
				     SVM_EXIT_INVLPGA };

	(void)state;
	l2s->c.intercept1 |= INTERCEPT1_INVLPGA;
	l2s->c.intercept2 |= INTERCEPT2_SVM;
	assert_true(svm_vmrun(0));
	for (u32 i = 0; i < ARRAY_SIZE(insns); i++) {
		assert_true(svm_l2_wants(n, insns[i]));
		n->current->svme_is_off = true;
		assert_false(svm_l2_wants(n, insns[i]));
		n->current->svme_is_off = false;
		svm_machine.run.vmcb->s.cpl = 3;
		assert_false(svm_l2_wants(n, insns[i]));
		assert_int_equal(svm_execute(insns[i], 0), OUTCOME_EXCEPTION);
		assert_int_equal(svm_machine.fault.vector, EXC_GP);
		svm_machine.run.vmcb->s.cpl = 0;
	}
	/* VMMCALL has neither condition. */
	n->current->svme_is_off = true;
	svm_machine.run.vmcb->s.cpl = 3;
	assert_true(svm_l2_wants(n, SVM_EXIT_VMMCALL));
}

/* With NRIPS "the next sequential instruction pointer" goes with an injected INT n, again and again
 * while its delivery misses; any other event has none. */
static void an_injected_int_has_its_next_rip(void **state)
{
	u64 software = EVENT_VALID | EVENT_TYPE_SOFTWARE | 0x80;

	(void)state;
	l2s->c.next_rip = 0x1234;
	l2s->c.event_injection = EVENT_VALID | EVENT_TYPE_INTR | 0x80;
	assert_true(svm_vmrun(0));
	assert_int_equal(c13()->next_rip, 0);
	svm_back_to_l2();
	l2s->c.next_rip = 0x1234;
	l2s->c.event_injection = software;
	assert_true(svm_vmrun(0));
	assert_int_equal(c13()->next_rip, 0x1234);
	svm_hardware_exits(SVM_EXIT_NPF, PF_U, 0x1000);
	n->current->vmcb13.vmcb->c.exit_int_info = software;
	n->current->vmcb13.vmcb->c.next_rip = 0;
	assert_int_equal(svm_stage2_miss(n), OUTCOME_RESUME);
	assert_int_equal(c13()->event_injection, software);
	assert_int_equal(c13()->next_rip, 0x1234);
}

/* Without NRIPS the field is nobody's, and L1 takes it for hardware's if it is not zero. */
static void without_nrips_there_is_none(void **state)
{
	(void)state;
	svm_machine_make(SVM_FEATURE_NPT);
	l2s = svm_vmcb_make(0, svm_guest_64);
	l2s->c.next_rip = 0x1234;
	l2s->c.event_injection = EVENT_VALID | EVENT_TYPE_SOFTWARE | 0x80;
	assert_true(svm_vmrun(0));
	assert_int_equal(c13()->next_rip, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(clgi_holds_events_until_stgi, make),
		cmocka_unit_test_setup(clgi_holds_a_virtual_interrupt, make),
		cmocka_unit_test_setup(an_exit_ends_it, make),
		cmocka_unit_test_setup(the_tpr_is_the_physical_one, make),
		cmocka_unit_test_setup(a_masked_tpr_is_l3s, make),
		cmocka_unit_test_setup(a_kvm_below_has_nothing_to_give, make),
		cmocka_unit_test_setup(a_kvm_below_shows, make),
		cmocka_unit_test_setup(faults_come_before_intercepts, make),
		cmocka_unit_test_setup(an_injected_int_has_its_next_rip, make),
		cmocka_unit_test_setup(without_nrips_there_is_none, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
