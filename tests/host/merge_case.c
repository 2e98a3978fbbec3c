/*
 * Random inputs of the merge; see merge_case.h.
 */
#include "tests/host/merge_case.h"

#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/entry.h"

static void randomize(struct fake_random *random, struct vmcs_fields *v)
{
	for (int row = 0; row < VMCS_ROWS; row++)
		v->f[row] = fake_random(random) & vmcs_value_mask(row);
}

bool merge_l2_wants_ports(const struct merge_case *m)
{
	return m->v23.f[F_PROC_CONTROLS] & (PROC_IO_BITMAPS | PROC_UNCONDITIONAL_IO);
}

void merge_make(struct fake_random *random, struct merge_case *m)
{
	randomize(random, &m->v12);
	randomize(random, &m->v23);
	randomize(random, &m->before);
	m->in = (struct vmx_merge_in){
		.v12 = &m->v12,
		.v23 = &m->v23,
		.eptp13 = fake_random(random),
		.vpid13 = (u16)fake_random(random),
		.msr_bitmap13 = fake_random(random),
		.io_bitmap_a13 = fake_random(random),
		.io_bitmap_b13 = fake_random(random),
		.virtual_apic13 = fake_random(random),
		.apic_access13 = fake_random(random),
	};
	m->v13 = m->before;
}

static void allow_controls(const struct vmx_caps *offered, struct vmcs_fields *v)
{
	static const struct {
		int row;
		u32 msr;
	} words[] = {
		{ F_PIN_CONTROLS, MSR_VMX_TRUE_PINBASED_CTLS },
		{ F_PROC_CONTROLS, MSR_VMX_TRUE_PROCBASED_CTLS },
		{ F_PROC_CONTROLS2, MSR_VMX_PROCBASED_CTLS2 },
		{ F_EXIT_CONTROLS, MSR_VMX_TRUE_EXIT_CTLS },
		{ F_ENTRY_CONTROLS, MSR_VMX_TRUE_ENTRY_CTLS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		v->f[words[i].row] |= vmx_cap_must(offered, words[i].msr);
		v->f[words[i].row] &= vmx_cap_may(offered, words[i].msr);
	}
}

void merge_make_allowed(struct fake_random *random, struct merge_case *m)
{
	struct vmx_caps platform, offered;
	struct vmx_offer offer = { .ept = true };

	entry_platform(&platform);
	vmx_caps_offer(&platform, &offer, &offered);
	merge_make(random, m);
	allow_controls(&offered, &m->v23);
	m->v12.f[F_PIN_CONTROLS] = vmx_cap_must(&platform, MSR_VMX_TRUE_PINBASED_CTLS);
	m->v12.f[F_PROC_CONTROLS] = vmx_cap_must(&platform, MSR_VMX_TRUE_PROCBASED_CTLS) |
				    PROC_MSR_BITMAPS | PROC_IO_BITMAPS | PROC_SECONDARY;
	m->v12.f[F_PROC_CONTROLS2] = PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED_GUEST |
				     PROC2_RDTSCP | PROC2_INVPCID | PROC2_XSAVES |
				     PROC2_VMCS_SHADOWING;
	m->v12.f[F_EXIT_CONTROLS] = vmx_cap_must(&platform, MSR_VMX_TRUE_EXIT_CTLS) | EXIT_HOST_64 |
				    EXIT_SAVE_DEBUG | EXIT_SAVE_EFER | EXIT_LOAD_EFER;
	m->v12.f[F_ENTRY_CONTROLS] = vmx_cap_must(&platform, MSR_VMX_TRUE_ENTRY_CTLS) |
				     ENTRY_LOAD_DEBUG | ENTRY_LOAD_EFER;
}
