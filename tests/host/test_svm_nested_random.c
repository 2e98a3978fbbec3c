/*
 * A hostile L2: random VMCBs, operands, permission maps, nested tables, MSRs and exits in random
 * order, and a second CPU that changes a VMCB while it is read. Whatever L2 does, L1 neither
 * crashes nor hands hardware anything of L2's that was not checked.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/svm_exits.h"
#include "shadow-vmcs/svm_maps.h"
#include "tests/host/svm_machine.h"

#define MACHINES 60
#define STEPS    3000
#define RACES    40000
#define VMCBS    6U

static struct svm_nested *const n = &svm_machine.n;
static struct fake_random random_numbers;
static u32 entered, refused, reflected;

static u32 below(u32 limit)
{
	return fake_below(&random_numbers, limit);
}

static u64 any(void)
{
	return fake_random(&random_numbers);
}

static u64 odd_value(u64 old)
{
	switch (below(6)) {
	case 0:
		return any();
	case 1:
		return ~0ULL;
	case 2:
		return old ^ BIT(below(64));
	case 3:
		return L1_BASE + below(20) * PAGE_SIZE;
	case 4:
		return svm_page(below(RAM_PAGES + 2)).v;
	default:
		return 0;
	}
}

static void change_a_field(struct vmcb *vmcb)
{
	const struct svm_field *field = &svm_fields[below((u32)svm_field_count)];
	u32 size = field->size < 8 ? field->size : 8;
	u8 *at = (u8 *)vmcb + field->offset;
	u64 value = 0;

	memcpy(&value, at, size);
	value = odd_value(value);
	memcpy(at, &value, size);
}

static void change_memory(void)
{
	struct vmcb *vmcb = svm_vmcb_of_l2(below(VMCBS));

	switch (below(8)) {
	case 0:
		svm_vmcb_make(below(VMCBS), svm_variants[below((u32)svm_variant_count)]);
		break;
	case 1:
		memset(vmcb, 0xff, sizeof(*vmcb));
		break;
	case 2:
		svm_ram[below(RAM_PAGES)][below(PAGE_SIZE)] = (u8)any();
		break;
	case 3:
		vmcb->c.clean = (u32)any();
		break;
	default:
		change_a_field(vmcb);
	}
}

static void l2_acts(void)
{
	static const u32 insns[] = { SVM_EXIT_VMLOAD, SVM_EXIT_VMSAVE, SVM_EXIT_STGI,
				     SVM_EXIT_CLGI,   SVM_EXIT_SKINIT, SVM_EXIT_INVLPGA };
	static const u32 msrs[] = { MSR_EFER, MSR_VM_CR, MSR_VM_HSAVE_PA, MSR_SVM_KEY, MSR_PAT };
	u64 value;
	bool ok;

	svm_machine.regs.r[REG_RCX] = fake_once_in(&random_numbers, 4) ? any() : below(20);
	switch (below(4)) {
	case 0:
		svm_execute(insns[below(ARRAY_SIZE(insns))], odd_value(0));
		break;
	case 1:
		if (svm_wrmsr(n, msrs[below(ARRAY_SIZE(msrs))], odd_value(EFER_SVME), &ok))
			svm_rdmsr(n, msrs[below(ARRAY_SIZE(msrs))], &value, &ok);
		n->svme = true;
		break;
	case 2:
		svm_execute(SVM_EXIT_VMRUN, odd_value(0));
		break;
	default:
		svm_execute(SVM_EXIT_VMRUN, svm_page(PAGE_VMCB + below(VMCBS)).v);
	}
	if (svm_machine.level == 3)
		entered++;
	else
		refused++;
}

static u64 random_exit_code(void)
{
	static const u64 codes[] = {
		SVM_CODE_NPF,   SVM_CODE_NPF,     SVM_EXIT_MSR, SVM_EXIT_IOIO, SVM_EXIT_VMMCALL,
		SVM_EXIT_CPUID, SVM_CODE_INVALID, 0x401,        0xffffffff,    SVM_EXIT_SHUTDOWN
	};

	return below(3) ? codes[below(ARRAY_SIZE(codes))] : below(0xc0);
}

/* As l1-hypervisor/svm/svm_backend.c goes about an exit of L3. */
static void l3_exits(void)
{
	u64 code = random_exit_code();
	u32 exit = svm_exit_of(code);
	struct vmcb *vmcb = svm_machine.run.vmcb;

	svm_hardware_exits(code, any(), below(2) ? below(0x200000) : any() & BITS(51, 0));
	if (exit == SVM_EXIT_NPF)
		vmcb->c.exit_info1 = (any() & (PF_P | PF_W | PF_I)) | PF_U | NPF_FINAL_ADDRESS;
	vmcb->c.exit_int_info = below(4) ? 0 : any();
	svm_machine.regs.r[REG_RCX] = any();
	if (svm_l2_wants(n, exit)) {
		svm_reflect(n);
		reflected++;
	} else if (exit == SVM_EXIT_NPF && n->current->npt13) {
		svm_stage2_miss(n);
	} else if (exit == SVM_EXIT_IOIO) {
		svm_merge_iopm(n);
	}
	vmcb->c.event_injection &= svm_event_is_legal(vmcb->c.event_injection) ? ~0ULL
									       : ~EVENT_VALID;
}

static void whatever_l2_does_is_safe(void **state)
{
	(void)state;
	for (u32 machine = 0; machine < MACHINES; machine++) {
		static const u32 features[] = { SVM_FEATURE_NPT,
						SVM_FEATURE_NPT | SVM_FEATURE_FLUSH_BY_ASID, ~0U };

		random_numbers.state = machine;
		svm_machine_make(features[machine % 3]);
		n->ways.copy_all = below(2);
		n->ways.flush = fake_once_in(&random_numbers, 4);
		for (u32 i = 0; i < VMCBS; i++)
			svm_vmcb_make(i, svm_variants[below((u32)svm_variant_count)]);
		for (u32 step = 0; step < STEPS; step++) {
			if (below(2))
				change_memory();
			if (svm_machine.level == 3)
				l3_exits();
			else
				l2_acts();
			if (svm_machine.level == 3)
				svm_assert_safe();
			else
				assert_ptr_equal(svm_machine.run.vmcb, n->vmcb12.vmcb);
		}
	}
	assert_true(entered > MACHINES * STEPS / 50);
	assert_true(refused > MACHINES * STEPS / 50);
	assert_true(reflected > MACHINES * STEPS / 50);
}

/* Another CPU of L2's, which changes fields that the checks look at between good and bad. */
static bool racing;

static void *change_behind_the_back(void *vmcb_of_l2)
{
	volatile struct vmcb *vmcb = vmcb_of_l2;

	while (__atomic_load_n(&racing, __ATOMIC_RELAXED)) {
		vmcb->c.asid ^= 1;
		vmcb->s.cr0 ^= BIT(32);
		vmcb->s.efer ^= EFER_SVME;
		vmcb->c.intercept2 ^= INTERCEPT2_VMRUN;
		vmcb->c.msrpm_base ^= BIT(63);
		vmcb->c.event_injection ^= EVENT_VALID | 7ULL << 8;
		vmcb->c.nested_control ^= NESTED_NP_ENABLE | BIT(1);
		vmcb->c.clean ^= ~0U;
		vmcb->s.g_pat ^= 2;
	}
	return NULL;
}

/* "Copy it once, check the copy, use the copy": what L3 runs on passes the checks as it is. */
static void a_vmcb_is_read_once(void **state)
{
	u32 ran = 0;
	pthread_t other;

	(void)state;
	svm_machine_make(SVM_FEATURE_NPT);
	svm_vmcb_make(0, svm_guest_64);
	__atomic_store_n(&racing, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&other, NULL, change_behind_the_back, svm_vmcb_of_l2(0)),
			 0);
	/* On a busy host the other may rest for long between two states, and all of one's are bad.
	 */
	for (u32 i = 0; i < RACES || !ran; i++) {
		struct svm_verdict verdict;

		svm_execute(SVM_EXIT_VMRUN, svm_page(PAGE_VMCB).v);
		if (svm_machine.level == 2)
			continue;
		ran++;
		svm_assert_safe();
		assert_true(svm_check(&n->current->v23, &n->current->vmcb13.vmcb->s, &n->env, ~0U,
				      &verdict));
		svm_hardware_exits(SVM_EXIT_SHUTDOWN, 0, 0);
		svm_reflect(n);
	}
	__atomic_store_n(&racing, false, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_l2_does_is_safe),
		cmocka_unit_test(a_vmcb_is_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
