/*
 * VMRUN of L2 and the way back, field by field: what L3 runs on, what L2 finds in its VMCB
 * afterwards, which groups are looked at again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/svm_exits.h"
#include "shadow-vmcs/svm_maps.h"
#include "tests/host/svm_machine.h"

#define FEATURES (SVM_FEATURE_NPT | SVM_FEATURE_FLUSH_BY_ASID)

static struct svm_nested *const n = &svm_machine.n;

static int make(void **state)
{
	(void)state;
	svm_machine_make(FEATURES);
	return 0;
}

static u64 field_of(const void *vmcb, const struct svm_field *field)
{
	u64 value = 0;

	memcpy(&value, (const u8 *)vmcb + field->offset, field->size < 8 ? field->size : 8);
	return value;
}

static void set_field(void *vmcb, const struct svm_field *field, u64 value)
{
	memcpy((u8 *)vmcb + field->offset, &value, field->size < 8 ? field->size : 8);
}

static bool is_state(const struct svm_field *field)
{
	return field->offset >= 0x400 && field->group != VMCB_VLS && field->group != CLEAN_CET;
}

/* "VMRUN ... loads guest state": every field of the save area but those of VMLOAD. */
static void the_state_of_l3_is_loaded(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);

	(void)state;
	l2s->s.cr2 = 0x123;
	l2s->s.rsp = 0x456;
	l2s->s.rax = 0x789;
	assert_true(svm_vmrun(0));
	assert_int_equal(svm_machine.regs.r[REG_RAX], 0x789);
	for (size_t i = 0; i < svm_field_count; i++)
		if (is_state(&svm_fields[i]))
			assert_int_equal(field_of(svm_machine.run.vmcb, &svm_fields[i]),
					 field_of(l2s, &svm_fields[i]));
}

/* "#VMEXIT ... stores the guest state", and says why; L2 goes on behind its VMRUN. */
static void the_state_of_l3_is_stored(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64), *vmcb13;
	struct vmcb_save before = n->vmcb12.vmcb->s;
	struct fake_random random = { 9 };

	(void)state;
	assert_true(svm_vmrun(0));
	vmcb13 = svm_machine.run.vmcb;
	for (size_t i = 0; i < svm_field_count; i++)
		if (is_state(&svm_fields[i]) && svm_fields[i].group != CLEAN_LBR)
			set_field(vmcb13, &svm_fields[i], fake_random(&random) & 0x7f);
	vmcb13->c.next_rip = 0x77;
	vmcb13->c.exit_int_info = EVENT_VALID | EVENT_TYPE_EXCEPTION | EXC_GP;
	vmcb13->c.int_state = 3;
	vmcb13->c.insn_bytes_low = 0x1122;
	vmcb13->c.insn_bytes_high = 0x3344;
	svm_machine.regs.r[REG_RAX] = 0x5150;
	vmcb13->s.rax = 0x5150;
	svm_hardware_exits(SVM_EXIT_VMMCALL, 0x11, 0x22);
	svm_reflect(n);
	for (size_t i = 0; i < svm_field_count; i++)
		if (is_state(&svm_fields[i]) && svm_fields[i].group != CLEAN_LBR)
			assert_int_equal(field_of(l2s, &svm_fields[i]),
					 field_of(vmcb13, &svm_fields[i]));
	assert_int_equal(l2s->c.exit_code, SVM_EXIT_VMMCALL);
	assert_int_equal(l2s->c.exit_info1, 0x11);
	assert_int_equal(l2s->c.exit_info2, 0x22);
	assert_int_equal(l2s->c.next_rip, 0x77);
	assert_int_equal(l2s->c.exit_int_info, vmcb13->c.exit_int_info);
	assert_int_equal(l2s->c.int_state, 3);
	assert_int_equal(l2s->c.insn_bytes_low, 0x1122);
	assert_int_equal(l2s->c.insn_bytes_high, 0x3344);

	assert_ptr_equal(svm_machine.run.vmcb, n->vmcb12.vmcb);
	assert_int_equal(svm_machine.regs.r[REG_RAX], svm_page(PAGE_VMCB).v);
	/* "DR7 is 400h"; CR2 and DR6 nobody restores; the rest is L2's as it was. */
	before.rip = 0xffffffff81000003;
	before.rax = svm_page(PAGE_VMCB).v;
	before.dr7 = 0x400;
	before.dr6 = vmcb13->s.dr6;
	before.cr2 = vmcb13->s.cr2;
	assert_memory_equal(&n->vmcb12.vmcb->s, &before, sizeof(before));
	assert_false(svm_gif(n));
}

/* "Intercepts are OR-ed": each bit of L2's words reaches hardware, and L1's stay. */
static void intercepts_are_joined(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);

	(void)state;
	for (u32 bit = 0; bit < 5 * 32; bit++) {
		u32 exit = bit;
		u8 *byte = &l2s->c.bytes[bit / 8];
		u8 old = *byte;

		*byte |= (u8)BIT(bit % 8);
		l2s->c.clean = 0;
		assert_true(svm_vmrun(0));
		assert_true(svm_machine.run.vmcb->c.bytes[bit / 8] >> (bit % 8) & 1);
		if (exit != SVM_EXIT_MSR && exit != SVM_EXIT_IOIO)
			assert_true(svm_l2_wants(n, exit));
		svm_back_to_l2();
		*byte = old;
	}
	l2s->c.clean = 0;
	assert_true(svm_vmrun(0));
	assert_false(svm_l2_wants(n, SVM_EXIT_CPUID) && !(l2s->c.intercept1 & INTERCEPT1_CPUID));
	assert_int_equal(svm_machine.run.vmcb->c.tsc_offset, 1000);
}

/* What VMRUN refuses shows L2 its exit code and nothing else. */
static void refused_states(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);
	struct vmcb before;

	(void)state;
	l2s->s.cr0 |= BIT(32);
	before = *l2s;
	assert_false(svm_vmrun(0));
	before.c.exit_code = SVM_CODE_INVALID;
	before.c.exit_info1 = before.c.exit_info2 = before.c.exit_int_info = 0;
	assert_memory_equal(l2s, &before, sizeof(before));
	assert_int_equal(svm_machine.regs.r[REG_RAX], svm_page(PAGE_VMCB).v);
	assert_int_equal(n->vmcb12.vmcb->s.rip, 0xffffffff81000003);
	assert_false(svm_gif(n));
	/* And it is checked as a whole again, whatever the clean field says. */
	l2s->s.cr0 &= ~BIT(32);
	l2s->c.clean = ~0U;
	assert_true(svm_vmrun(0));
}

/* QEMU and Bochs store the host's state when they refuse: that is L1's. */
static void what_the_platform_refuses(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);
	struct vmcb before;

	(void)state;
	assert_true(svm_vmrun(0));
	before = *l2s;
	memset(&svm_machine.run.vmcb->s, 0xee, sizeof(struct vmcb_save));
	svm_machine.regs.r[REG_RAX] = 0xeeee;
	svm_hardware_exits((u32)SVM_CODE_INVALID, 0xee, 0xee);
	assert_true(svm_l2_wants(n, svm_exit_of((u32)SVM_CODE_INVALID)));
	svm_reflect(n);
	before.c.exit_code = SVM_CODE_INVALID;
	assert_memory_equal(l2s, &before, sizeof(before));
	assert_int_equal(svm_machine.regs.r[REG_RAX], svm_page(PAGE_VMCB).v);
	l2s->c.clean = ~0U;
	assert_true(svm_vmrun(0));
	assert_int_equal(svm_machine.run.vmcb->s.rip, l2s->s.rip);
}

/* APM 2 "VMCB Clean Bits" (15.15.2): "the hypervisor must clear the clean bit of a field that it
 * changes"; a group whose bit is clear is read again, each of them alone. */
static void clean_bits_say_what_is_read_again(void **state)
{
	static const enum vmcb_group groups[] = { CLEAN_CR, CLEAN_DR, CLEAN_DT, CLEAN_SEG,
						  CLEAN_CR2 };
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);

	(void)state;
	for (u32 copy_all = 0; copy_all < 2; copy_all++) {
		n->ways.copy_all = copy_all;
		for (u32 i = 0; i < ARRAY_SIZE(groups); i++) {
			l2s->c.clean = 0;
			assert_true(svm_vmrun(0));
			svm_back_to_l2();
			l2s->s.cr3 ^= 0x1000;
			l2s->s.dr7 ^= 1;
			l2s->s.idtr.base ^= 0x1000;
			l2s->s.ss.selector ^= 8;
			l2s->s.cr2 ^= 0x1000;
			l2s->s.rip ^= 0x1000;
			l2s->c.clean = ~BIT32(groups[i]);
			assert_true(svm_vmrun(0));
			for (size_t f = 0; f < svm_field_count; f++) {
				const struct svm_field *field = &svm_fields[f];

				if (is_state(field) && (copy_all || field->group == groups[i] ||
							field->group == VMCB_ALWAYS))
					assert_int_equal(field_of(svm_machine.run.vmcb, field),
							 field_of(l2s, field));
			}
			assert_int_equal(svm_machine.run.vmcb->s.cr3 == l2s->s.cr3,
					 copy_all || groups[i] == CLEAN_CR);
			assert_int_equal(svm_machine.run.vmcb->s.dr7 == l2s->s.dr7,
					 copy_all || groups[i] == CLEAN_DR);
			/* Hardware is told of what is new, and of all that L1 chose anew. */
			assert_int_equal(svm_machine.run.vmcb->c.clean & BIT32(groups[i]), 0);
			svm_back_to_l2();
		}
	}
}

/* Each slot is a VMCB's own: clean bits of one say nothing of another's. */
static void more_vmcbs_than_slots(void **state)
{
	(void)state;
	for (u32 i = 0; i < SVM_SLOTS + 2; i++) {
		svm_vmcb_make(i, svm_guest_64)->s.cr3 = 0x1000 * (i + 1);
		svm_vmcb_of_l2(i)->c.clean = ~0U;
	}
	for (u32 round = 0; round < 3; round++)
		for (u32 i = 0; i < SVM_SLOTS + 2; i++) {
			assert_true(svm_vmrun(i));
			assert_int_equal(svm_machine.run.vmcb->s.cr3, 0x1000 * (i + 1));
			assert_int_equal(svm_machine.run.vmcb->c.asid, i + 2);
			svm_back_to_l2();
		}
}

/* The MSR map that L3 runs on exits where L1 or L2 wants to know; whoever it was is asked then. */
static void msr_maps(void **state)
{
	static const u32 msrs[] = { 0x10,       0x174,      0x1d9,      0x277,
				    0x1fff,     0xc0000080, 0xc0000081, 0xc0000102,
				    0xc0001fff, 0xc0010015, 0xc0010117, 0xc0011fff };
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);

	(void)state;
	l2s->c.intercept1 |= INTERCEPT1_MSR;
	for (u32 i = 0; i < ARRAY_SIZE(msrs); i++) {
		for (u32 write = 0; write < 2; write++) {
			u32 bit;

			assert_true(svm_msrpm_bit(msrs[i], &bit));
			memset(svm_ram[PAGE_MSRPM], 0, MSRPM_SIZE);
			(&svm_ram[PAGE_MSRPM][0])[(bit + write) / 8] = (u8)BIT((bit + write) % 8);
			assert_true(svm_vmrun(0));
			assert_true(n->maps.msrpm13[(bit + write) / 8] >> ((bit + write) % 8) & 1);
			svm_machine.regs.r[REG_RCX] = msrs[i];
			svm_hardware_exits(SVM_EXIT_MSR, write, 0);
			assert_true(svm_l2_wants(n, SVM_EXIT_MSR));
			svm_hardware_exits(SVM_EXIT_MSR, !write, 0);
			assert_false(svm_l2_wants(n, SVM_EXIT_MSR));
			svm_back_to_l2();
		}
	}
	/* "MSRs outside of the ranges are always intercepted" if L2 intercepts MSRs at all. */
	assert_true(svm_vmrun(0));
	svm_machine.regs.r[REG_RCX] = 0x40000000;
	svm_hardware_exits(SVM_EXIT_MSR, 0, 0);
	assert_true(svm_l2_wants(n, SVM_EXIT_MSR));
	svm_back_to_l2();
	/* What an earlier entry merged is gone with L2's interest. */
	memset(svm_ram[PAGE_MSRPM], 0xff, MSRPM_SIZE);
	assert_true(svm_vmrun(0));
	svm_back_to_l2();
	l2s->c.intercept1 &= ~INTERCEPT1_MSR;
	l2s->c.clean = ~BIT32(CLEAN_INTERCEPTS);
	assert_true(svm_vmrun(0));
	assert_int_equal(n->maps.msrpm13[0x800 + 0x102 / 4], 0);
	svm_hardware_exits(SVM_EXIT_MSR, 0, 0);
	assert_false(svm_l2_wants(n, SVM_EXIT_MSR));
}

/* An access exits by the bit of each port that it touches. */
static void port_maps(void **state)
{
	(void)state;
	svm_vmcb_make(0, svm_guest_64);
	svm_ram[PAGE_IOPM][0x70 / 8] = 1 << (0x71 % 8);
	svm_ram[PAGE_IOPM + 2][0] = 1; /* behind the last port */
	assert_true(svm_vmrun(0));
	for (u32 port = 0x6c; port < 0x76; port++)
		for (u32 size = 1; size <= 4; size *= 2) {
			svm_hardware_exits(SVM_EXIT_IOIO,
					   (u64)port << IOIO_PORT_SHIFT | size << IOIO_SIZE_SHIFT,
					   0);
			assert_int_equal(svm_l2_wants(n, SVM_EXIT_IOIO),
					 port <= 0x71 && port + size > 0x71);
		}
	svm_hardware_exits(SVM_EXIT_IOIO, 0xffffULL << IOIO_PORT_SHIFT | 2 << IOIO_SIZE_SHIFT, 0);
	assert_true(svm_l2_wants(n, SVM_EXIT_IOIO));
	/* A string instruction runs on merged bits: L1's port and L2's. */
	svm_merge_iopm(n);
	assert_int_equal(svm_machine.run.vmcb->c.iopm_base, n->maps.iopm13_at.v);
	assert_true(svm_iopm_exits(n->maps.iopm13, 0xf4, 1));
	assert_true(svm_iopm_exits(n->maps.iopm13, 0x71, 1));
	assert_false(svm_iopm_exits(n->maps.iopm13, 0x72, 4));
	svm_assert_safe();
}

/* APM 3, the operands of VMRUN, VMLOAD and VMSAVE. */
static void operands_are_checked(void **state)
{
	static const u32 insns[] = { SVM_EXIT_VMRUN, SVM_EXIT_VMLOAD, SVM_EXIT_VMSAVE };

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(insns); i++) {
		static const u64 bad[] = { 0x100001, 0x100ff8, BIT(40), BIT(63) };

		for (u32 k = 0; k < ARRAY_SIZE(bad); k++) {
			assert_int_equal(svm_execute(insns[i], bad[k]), OUTCOME_EXCEPTION);
			assert_int_equal(svm_machine.fault.vector, EXC_GP);
			assert_true(svm_machine.fault.has_error_code);
		}
	}
	assert_int_equal(fake_svm.vmloads + fake_svm.vmsaves, 0);
	/* Where L2 has no RAM there is nothing to load but ones, and nothing is stored. */
	assert_int_equal(svm_execute(SVM_EXIT_VMSAVE, L1_BASE), OUTCOME_ADVANCE);
	assert_int_equal(fake_svm.vmsaves, 0);
	assert_int_equal(svm_execute(SVM_EXIT_VMLOAD, L1_BASE), OUTCOME_ADVANCE);
	assert_int_equal(fake_svm.vls_at.v, n->maps.ones_at.v);
	assert_int_equal(svm_execute(SVM_EXIT_VMLOAD, svm_page(3).v), OUTCOME_ADVANCE);
	assert_int_equal(fake_svm.vls_at.v, svm_page(3).v);
	assert_int_equal(svm_execute(SVM_EXIT_VMSAVE, svm_page(4).v), OUTCOME_ADVANCE);
	assert_int_equal(fake_svm.vls_at.v, svm_page(4).v);
	assert_int_equal(svm_execute(SVM_EXIT_VMRUN, L1_BASE), OUTCOME_RESUME);
	assert_int_equal(svm_machine.level, 2);
	/* In 32-bit code rAX has 32 bits. */
	n->vmcb12.vmcb->s.cs.attributes = SEG_P | SEG_DB;
	assert_int_equal(svm_execute(SVM_EXIT_VMSAVE, BIT(40) | svm_page(5).v), OUTCOME_ADVANCE);
	assert_int_equal(fake_svm.vls_at.v, svm_page(5).v);
	assert_int_equal(svm_execute(SVM_EXIT_SKINIT, 0), OUTCOME_EXCEPTION);
	assert_int_equal(svm_machine.fault.vector, EXC_UD);
}

/* APM 2 "Interrupt Masking in EFLAGS" (15.21.1): the host's IF at VMRUN is L2's while L3 runs. */
static void interrupts_are_masked_as_l2_has_it(void **state)
{
	(void)state;
	svm_vmcb_make(0, svm_guest_64);
	assert_true(svm_vmrun(0));
	assert_true(fake_svm.interrupts);
	svm_back_to_l2();
	assert_false(fake_svm.interrupts);
	n->vmcb12.vmcb->s.rflags &= ~RFLAGS_IF;
	assert_true(svm_vmrun(0));
	assert_false(fake_svm.interrupts);
}

/* APM 2 "TSC Ratio MSR (C000_0104h)" (15.30.5): "the guest's TSC is the host's multiplied by the
 * ratio, plus TSC_OFFSET"; the host is L2, with the offset that L1 gave it. */
static void the_tsc_of_l3_is_l2s_scaled(void **state)
{
	u64 value, ratio = TSC_RATIO_ONE * 5 / 2;
	bool ok;

	(void)state;
	svm_machine_make(FEATURES | SVM_FEATURE_TSC_RATIO);
	svm_vmcb_make(0, svm_guest_64)->c.tsc_offset = -7ULL;
	assert_true(svm_vmrun(0));
	assert_int_equal(svm_machine.run.vmcb->c.tsc_offset, 1000 - 7);
	svm_back_to_l2();
	assert_int_equal(fake_svm.tsc_ratio, 0);
	assert_true(svm_wrmsr(n, MSR_TSC_RATIO, ratio, &ok) && ok);
	assert_true(svm_rdmsr(n, MSR_TSC_RATIO, &value, &ok) && ok && value == ratio);
	/* L2 itself goes on without it. */
	assert_int_equal(fake_svm.tsc_ratio, 0);
	svm_vmcb_of_l2(0)->c.clean = ~0U;
	assert_true(svm_vmrun(0));
	assert_int_equal(svm_machine.run.vmcb->c.tsc_offset, 2500 - 7);
	assert_true(fake_svm.tsc_ratio == ratio);
	svm_back_to_l2();
	assert_true(fake_svm.tsc_ratio == TSC_RATIO_ONE);
	/* "Bits 63:40 are reserved": #GP, and nothing changes. */
	assert_true(svm_wrmsr(n, MSR_TSC_RATIO, BIT(40), &ok) && !ok);
	assert_true(svm_rdmsr(n, MSR_TSC_RATIO, &value, &ok) && value == ratio);
}

/* Without the feature there is no such MSR. */
static void no_tsc_ratio(void **state)
{
	u64 value;
	bool ok;

	(void)state;
	assert_true(svm_rdmsr(n, MSR_TSC_RATIO, &value, &ok) && !ok);
	assert_true(svm_wrmsr(n, MSR_TSC_RATIO, TSC_RATIO_ONE, &ok) && !ok);
}

/* L3's PAT is L2's when L2 does without nested paging, also after L2 has changed it. */
static void pat_without_nested_paging(void **state)
{
	(void)state;
	svm_vmcb_make(0, svm_guest_pae)->s.g_pat = ~0ULL;
	for (u64 pat = 0x0007040600070406; pat < 0x0007040600070408; pat++) {
		n->vmcb12.vmcb->s.g_pat = pat;
		svm_vmcb_of_l2(0)->c.clean = ~0U;
		assert_true(svm_vmrun(0));
		assert_int_equal(svm_machine.run.vmcb->s.g_pat, pat);
		assert_int_equal(svm_machine.run.vmcb->c.ncr3, svm_machine.core.ncr3_12);
		svm_back_to_l2();
		assert_int_equal(n->vmcb12.vmcb->s.g_pat, pat);
	}
	assert_int_equal(svm_vmcb_of_l2(0)->s.g_pat, ~0ULL);
}

/* EFER.LMA is the processor's to set. */
static void lma_follows_from_the_mode(void **state)
{
	struct vmcb *l2s = svm_vmcb_make(0, svm_guest_64);

	(void)state;
	l2s->s.efer &= ~EFER_LMA;
	assert_true(svm_vmrun(0));
	assert_true(svm_machine.run.vmcb->s.efer & EFER_LMA);
	svm_back_to_l2();
	l2s = svm_vmcb_make(1, svm_guest_real);
	l2s->s.efer |= EFER_LMA;
	l2s->s.cpl = 0xff;
	assert_true(svm_vmrun(1));
	assert_false(svm_machine.run.vmcb->s.efer & EFER_LMA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_state_of_l3_is_loaded, make),
		cmocka_unit_test_setup(the_state_of_l3_is_stored, make),
		cmocka_unit_test_setup(intercepts_are_joined, make),
		cmocka_unit_test_setup(refused_states, make),
		cmocka_unit_test_setup(what_the_platform_refuses, make),
		cmocka_unit_test_setup(clean_bits_say_what_is_read_again, make),
		cmocka_unit_test_setup(more_vmcbs_than_slots, make),
		cmocka_unit_test_setup(msr_maps, make),
		cmocka_unit_test_setup(port_maps, make),
		cmocka_unit_test_setup(operands_are_checked, make),
		cmocka_unit_test_setup(interrupts_are_masked_as_l2_has_it, make),
		cmocka_unit_test_setup(the_tsc_of_l3_is_l2s_scaled, make),
		cmocka_unit_test_setup(no_tsc_ratio, make),
		cmocka_unit_test_setup(pat_without_nested_paging, make),
		cmocka_unit_test_setup(lma_follows_from_the_mode, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
