/*
 * One virtual CPU's VMX state: created, and its ways changed between two entries.
 */
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/vmx/vmx.h"
#include "nested-ept/ept.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"

#define PAGES_FOR(type) (ALIGN_UP(sizeof(type), PAGE_SIZE) / PAGE_SIZE)

static const void *guest_pointer(pa2_t at)
{
	return physical(at.v);
}

static void read_or_ones(void *ctx, pa2_t at, void *to, size_t size)
{
	(void)ctx;
	if (!guest_read(at, to, size))
		memset(to, 0xff, size);
}

static void init_core(struct vmx_core *core)
{
	*core = (struct vmx_core){
		.read = guest_read,
		.write = guest_write,
		.is_ram = guest_memory_is_ram,
		.pointer = guest_pointer,
		.touch = stage2_touch,
		.memory = &guest_memory,
		.rdmsr = vmx_guest_rdmsr,
		.wrmsr = vmx_guest_wrmsr,
		.absent = stage2_absent_page(),
		.eptp12 = stage2_root_pointer(),
		.physical_bits = vmx_physical_bits(),
		.abort = end_with_error,
	};
}

/* Bits of IA32_EFER and IA32_DEBUGCTL that this CPU has (SDM 4 "Model-Specific Registers"). */
static void init_check_env(struct vmx_nested *n)
{
	u32 extended = cpuid(0x80000001, 0).edx;

	n->env = (struct vmx_check_env){
		.physical_reserved = ~BITS(vmx_physical_bits() - 1, 0),
		.linear_width = 48,
		.has_sgx = cpuid(7, 0).ebx & BIT(2),
		.has_rtm = cpuid(7, 0).ebx & BIT(11),
		.efer_allowed = EFER_SCE | EFER_LME | EFER_LMA |
				(extended & BIT(20) ? EFER_NXE : 0),
		.debugctl_allowed = BITS(1, 0) | BITS(15, 6),
		.read = read_or_ones,
	};
}

static void init_cache(struct vmx_nested *n)
{
	struct nept_features features = {
		.physical_bits = n->core->physical_bits,
		.max_shift = NEPT_SHIFT_1G,
		.execute_only = vmx_cap(vmx_platform(), MSR_VMX_EPT_VPID_CAP) &
				EPT_CAP_EXECUTE_ONLY,
	};

	stage2_make_cache(&n->cache, &nept_format_ept, &features);
}

static void init_slots(struct vmx_vcpu *v)
{
	struct vmx_nested *n = &v->nested;
	bool shadowing = vmx_cap_may(vmx_platform(), MSR_VMX_PROCBASED_CTLS2) &
			 PROC2_VMCS_SHADOWING;

	for (u32 i = 0; i < VMX_SLOTS; i++) {
		struct vmx_slot *s = &n->slot[i];

		s->at = NO_VMCS;
		s->vmcs13 = vmx_region_new(false);
		if (shadowing)
			s->shadow = vmx_region_new(true);
		vmx_load(n, &s->vmcs13);
		vmx_write_host_state(v->vcpu);
		vmcs_write(LINK_POINTER, ~0ULL);
	}
	for (u32 i = 0; i < VMX_VPIDS; i++)
		n->vpid23[i] = ~0U;
}

static void init_pages(struct vmx_nested *n)
{
	n->msr_bitmap12 = memory_pages(1);
	n->msr_bitmap13 = memory_pages(1);
	memset(n->msr_bitmap13, 0xff, PAGE_SIZE);
	n->io_bitmaps12 = memory_pages(2);
	n->io_bitmaps13 = memory_pages(2);
	n->vmread_bitmap = memory_pages(1);
	n->rows_offered = memory_pages(VMCS_ENCODINGS / PAGE_SIZE);
	n->vmwrite_bitmap = memory_pages(1);
	n->msr_bitmap13_at = physical_of(n->msr_bitmap13);
	n->io_bitmaps13_at = physical_of(n->io_bitmaps13);
}

static void choose_fields(struct vmx_nested *n, const struct ways *ways)
{
	static const struct vmcs_expose nothing;
	struct vmcs_expose set = ways->vmcs == WAY_VMCS_SHADOW ? ways->exposed : nothing;

	vmx_caps_limit_expose(&n->offered, &set);
	vmx_exposure_make(&n->exposure, &set);
	vmcs_expose_bitmaps(&set, n->vmread_bitmap, n->vmwrite_bitmap);
}

/* Puts the ways into effect. L2's current VMCS is taken along; vmcs12 is loaded afterwards. */
static void apply_ways(struct vmx_vcpu *v, const struct ways *ways)
{
	struct vmx_nested *n = &v->nested;
	struct vmx_offer offer = { .ept = ways->ept == WAY_EPT_NESTED_LAZY };

	v->ways = *ways;
	vmx_caps_offer(vmx_platform(), &offer, &n->offered);
	n->ways.access = ways->vmcs == WAY_VMCS_SHADOW ? &vmx_access_shadow : &vmx_access_trap;
	n->ways.full = ways->merge == WAY_MERGE_FULL;
	n->ways.flush = ways->tlb == WAY_TLB_FLUSH;
	choose_fields(n, ways);
	vmx_slot_offer(n);
	vmx_load(n, &n->vmcs12);
	vmx_vmcs12_ways(v);
	for (u32 i = 0; i < VMX_SLOTS; i++) {
		n->slot[i].stale = VG_ALL;
		n->slot[i].unchecked = VG_ALL;
		n->slot[i].all_published = false;
	}
}

void vmx_vcpu_init(struct vcpu *vcpu, const struct options *options)
{
	struct vmx_vcpu *v = memory_pages(PAGES_FOR(struct vmx_vcpu));
	struct vmx_nested *n = &v->nested;

	vmx_cpu_enable();
	vcpu->backend_state = v;
	v->vcpu = vcpu;
	v->nested_on = options->nested;
	v->ways = options->ways;
	init_core(&v->core);
	n->regs = &vcpu->regs;
	vcpu->regs.r[REG_RSP] = REG_RSP_POISON;
	n->fault = &vcpu->fault;
	n->level = &vcpu->level;
	n->enter = &vcpu->enter;
	n->core = &v->core;
	n->platform = vmx_platform();
	n->enabled = options->nested;
	init_pages(n);
	init_check_env(n);
	init_cache(n);
	init_slots(v);
	n->vmcs12 = vmx_region_new(false);
	vmx_load(n, &n->vmcs12);
	/* It runs before it is loaded again. */
	n->vmcs12.enter = vmx_resume;
	vmx_vmcs12_init(v);
	apply_ways(v, &options->ways);
}

bool vmx_set_ways(struct vcpu *vcpu, const struct ways *ways, struct refusal *why)
{
	struct vmx_vcpu *v = vmx_of(vcpu);
	struct vmx_nested *n = &v->nested;
	struct vmx_slot *current = n->current;

	if (!vmx_ways_possible(ways, why))
		return false;
	vmx_set_current(n, NULL);
	for (u32 i = 0; i < VMX_SLOTS; i++)
		vmx_collect(n, &n->slot[i], VG_ALL);
	apply_ways(v, ways);
	/* Some ways keep no account of what L2 invalidates for others: what is left of a time
	 * before must not be used again. */
	nept_cache_drop_all(&n->cache);
	vmx_forget_translations();
	if (current)
		vmx_set_current(n, current);
	return true;
}

void vmx_drop_stage2(struct vcpu *vcpu)
{
	nept_cache_drop_all(&vmx_of(vcpu)->nested.cache);
}
