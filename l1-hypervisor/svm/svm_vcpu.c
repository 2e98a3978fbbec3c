/*
 * One virtual CPU's SVM state: created, and its ways changed between two entries.
 */
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/cpuid.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/svm/svm.h"
#include "nested-ept/npt.h"

#define PAGES_FOR(type) (ALIGN_UP(sizeof(type), PAGE_SIZE) / PAGE_SIZE)

static void *guest_pointer(pa2_t at)
{
	return physical(at.v);
}

static void init_core(struct svm_core *core)
{
	*core = (struct svm_core){
		.is_ram = guest_memory_is_ram,
		.pointer = guest_pointer,
		.touch = stage2_touch,
		.memory = &guest_memory,
		.ncr3_12 = stage2_root_pointer(),
		.physical_bits = svm_physical_bits(),
		.hold_pic = svm_hold_pic,
		.in_service = svm_in_service,
		.abort = end_with_error,
	};
}

enum cpuid_register { EBX, ECX, EDX };

/* Bits that exist when CPUID says so, for CR4 and for EFER: APM 3 "Obtaining Processor Information
 * Via the CPUID Instruction" (Appendix E). */
struct feature_bits {
	u32 leaf;
	enum cpuid_register reg;
	u32 bit;
	u64 bits;
};

static const struct feature_bits cr4_features[] = {
	{ 1, EDX, 1, CR4_VME | CR4_PVI }, { 1, EDX, 2, CR4_DE },
	{ 1, EDX, 3, CR4_PSE },           { 1, EDX, 4, CR4_TSD },
	{ 1, EDX, 6, CR4_PAE },           { 1, EDX, 7, CR4_MCE },
	{ 1, EDX, 13, CR4_PGE },          { 1, EDX, 24, CR4_OSFXSR },
	{ 1, EDX, 25, CR4_OSXMMEXCPT },   { 1, ECX, 17, CR4_PCIDE },
	{ 1, ECX, 26, CR4_OSXSAVE },      { 7, EBX, 0, CR4_FSGSBASE },
	{ 7, EBX, 7, CR4_SMEP },          { 7, EBX, 20, CR4_SMAP },
	{ 7, ECX, 2, CR4_UMIP },          { 7, ECX, 3, CR4_PKE },
};

static const struct feature_bits efer_features[] = {
	{ 0x80000001, EDX, 11, EFER_SCE },
	{ 0x80000001, EDX, 20, EFER_NXE },
	{ 0x80000001, EDX, 29, EFER_LME | EFER_LMA },
	{ 0x80000001, ECX, 2, EFER_SVME },
	{ 0x80000001, EDX, 25, EFER_FFXSR },
	{ 0x80000001, ECX, 17, EFER_TCE },
};

static u64 bits_of(const struct feature_bits *features, u32 count)
{
	u64 bits = 0;

	for (u32 i = 0; i < count; i++) {
		struct cpuid_regs regs = cpuid(features[i].leaf, 0);
		u32 words[] = { [EBX] = regs.ebx, [ECX] = regs.ecx, [EDX] = regs.edx };

		if (words[features[i].reg] & BIT(features[i].bit))
			bits |= features[i].bits;
	}
	return bits;
}

static void init_check_env(struct svm_nested *n)
{
	n->env = (struct svm_check_env){
		.physical_reserved = ~BITS(svm_physical_bits() - 1, 0),
		.cr4_allowed = CR4_PCE | bits_of(cr4_features, ARRAY_SIZE(cr4_features)),
		.efer_allowed = bits_of(efer_features, ARRAY_SIZE(efer_features)),
	};
}

static void init_cache(struct svm_nested *n)
{
	n->features23 = (struct nept_features){
		.physical_bits = n->core->physical_bits,
		.max_shift = svm_max_shift(),
	};
	stage2_make_cache(&n->cache, &nept_format_npt, &n->features23);
}

static u8 *new_map(u32 size, u8 fill, pa1_t *at)
{
	u8 *map = memory_pages(ALIGN_UP(size, PAGE_SIZE) / PAGE_SIZE);

	memset(map, fill, size);
	*at = physical_of(map);
	return map;
}

/* The words of msrpm13 that are not merged stay as they are here: every access exits. */
static void init_maps(struct svm_maps *maps)
{
	maps->msrpm12 = new_map(MSRPM_SIZE, 0, &maps->msrpm12_at);
	maps->msrpm13 = new_map(MSRPM_SIZE, 0xff, &maps->msrpm13_at);
	maps->iopm12 = new_map(IOPM_SIZE, 0, &maps->iopm12_at);
	maps->iopm13 = new_map(IOPM_SIZE, 0, &maps->iopm13_at);
	maps->ones = new_map(IOPM_SIZE, 0xff, &maps->ones_at);
}

static void init_slots(struct svm_nested *n)
{
	for (u32 i = 0; i < SVM_SLOTS; i++) {
		n->slot[i].at = NO_VMCB;
		n->slot[i].vmcb13 = svm_vmcb_new();
	}
	n->current = &n->slot[0];
	svm_slot_forget_all(n);
}

/* L2 finds VM_CR as the platform has it, if it can be read. */
static void init_msrs(struct svm_nested *n)
{
	n->has_vm_cr = rdmsr_safe(MSR_VM_CR, &n->vm_cr);
	n->vm_cr = n->has_vm_cr ? n->vm_cr & ~VM_CR_RESERVED : 0;
}

/* Puts the ways into effect. L2's GIF is open. */
static void apply_ways(struct svm_vcpu *v, const struct ways *ways)
{
	struct svm_nested *n = &v->nested;
	struct svm_offer offer = { .npt = ways->npt == WAY_NPT_NESTED_LAZY };

	v->ways = *ways;
	svm_caps_offer(svm_platform(), &offer, &n->offered);
	n->env.asids = n->offered.asids;
	n->ways = (struct svm_ways){
		.copy_all = ways->vmcb == WAY_VMCB_COPY_ALL,
		.virtual_vls = ways->vls == WAY_VLS_VIRTUAL,
		.virtual_gif = ways->gif == WAY_GIF_VIRTUAL,
		.shadow = ways->npt == WAY_NPT_SHADOW_ON_NPT,
		.flush = ways->tlb == WAY_TLB_FLUSH,
	};
	svm_vmcb12_ways(v);
	svm_slot_forget_all(n);
}

void svm_vcpu_init(struct vcpu *vcpu, const struct options *options)
{
	struct svm_vcpu *v = memory_pages(PAGES_FOR(struct svm_vcpu));
	struct svm_nested *n = &v->nested;

	svm_cpu_enable();
	svm_choose_stub(vcpu);
	vcpu->backend_state = v;
	v->vcpu = vcpu;
	v->l3_memory = svm_l3_memory(n);
	init_core(&v->core);
	vcpu->regs.r[REG_RSP] = REG_RSP_POISON;
	n->regs = &vcpu->regs;
	n->fault = &vcpu->fault;
	n->level = &vcpu->level;
	n->run = &vcpu->run;
	n->core = &v->core;
	n->platform = svm_platform();
	n->enabled = options->nested;
	n->kvm_below = cpuid_kvm_is_below();
	n->is_bochs = svm_is_bochs();
	n->gif = true;
	n->tsc_ratio = TSC_RATIO_ONE;
	init_maps(&n->maps);
	init_check_env(n);
	init_cache(n);
	init_slots(n);
	init_msrs(n);
	n->vmcb12 = svm_vmcb_new();
	vcpu->run.vmcb = n->vmcb12.vmcb;
	vcpu->run.vmcb_at = n->vmcb12.at.v;
	svm_vmcb12_init(v);
	apply_ways(v, &options->ways);
}

bool svm_set_ways(struct vcpu *vcpu, const struct ways *ways, struct refusal *why)
{
	struct svm_vcpu *v = svm_of(vcpu);
	struct svm_nested *n = &v->nested;
	bool gif = svm_gif(n);

	if (!svm_ways_possible(ways, why))
		return false;
	svm_set_gif(n, true);
	apply_ways(v, ways);
	svm_set_gif(n, gif);
	/* Some ways keep no account of what L2 flushes for others: what is left of a time before
	 * must not be used again. */
	nept_cache_drop_all(&n->cache);
	svm_flush(n->vmcb12.vmcb, TLB_FLUSH_ALL);
	return true;
}

void svm_forget_stage2(struct vcpu *vcpu)
{
	svm_drop_stage2(&svm_of(vcpu)->nested);
}
