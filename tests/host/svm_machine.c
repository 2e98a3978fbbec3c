/*
 * The CPU with nested SVM: created as l1-hypervisor/svm/svm_vcpu.c does it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "nested-ept/npt.h"
#include "shadow-vmcs/svm_exits.h"
#include "tests/host/merged_machine.h"
#include "tests/host/svm_machine.h"

/* The first pages of the RAM are reached without a call. */
#define PLAIN_PAGES 20U

#define NEXT_RIP 0xffffffff81000003ULL

/* L1's own pages, in the order of their addresses from L1_BASE on. */
enum {
	OWN_VMCB12,
	OWN_VMCB13,
	OWN_MSRPM12 = OWN_VMCB13 + SVM_SLOTS,
	OWN_MSRPM13 = OWN_MSRPM12 + 2,
	OWN_IOPM12 = OWN_MSRPM13 + 2,
	OWN_IOPM13 = OWN_IOPM12 + 3,
	OWN_ONES = OWN_IOPM13 + 3,
	OWN_PAGES = OWN_ONES + 3
};

struct fake_svm fake_svm;
struct svm_machine svm_machine;
u8 svm_ram[RAM_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));

static u8 own[OWN_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static struct nept_pool pool;
static struct nept_table npt12;
static struct nept_memory memory;

static bool is_ram(pa2_t at, u64 length)
{
	return at.v >= RAM_BASE && at.v < RAM_BASE + sizeof(svm_ram) &&
	       length <= RAM_BASE + sizeof(svm_ram) - at.v;
}

static void *pointer(pa2_t at)
{
	assert_true(is_ram(at, 1));
	return (u8 *)svm_ram + (at.v - RAM_BASE);
}

static u64 *entry(void *ctx, pa2_t at)
{
	(void)ctx;
	return is_ram(at, 8) ? pointer(at) : NULL;
}

static bool touch(pa2_t at, u32 rights)
{
	(void)at;
	(void)rights;
	svm_machine.touches++;
	return false;
}

static void hold_pic(bool on)
{
	svm_machine.pic_is_held = on;
}

static u8 in_service(void)
{
	return svm_machine.in_service;
}

static void aborted(const char *sentence)
{
	fail_msg("L2 was ended: %s", sentence);
}

static pa1_t own_at(u32 page)
{
	return PA1(L1_BASE + page * PAGE_SIZE);
}

static struct hw_vmcb own_vmcb(u32 page)
{
	return (struct hw_vmcb){ (struct vmcb *)own[page], own_at(page) };
}

static void make_stage2(struct svm_nested *n)
{
	struct nept_features features = { .physical_bits = SVM_GUEST_WIDTH,
					  .max_shift = NEPT_SHIFT_1G };
	struct nept_cache_config config = { .format = &nept_format_npt,
					    .memory = memory,
					    .lookup12 = { &npt12, nept_table_find },
					    .pool = &pool };
	struct nept_range all = { PA2(RAM_BASE), PA1(RAM_BASE), sizeof(svm_ram), NEPT_RWX,
				  MEMTYPE_WB };

	merged_pool_init(&pool, POOL_PAGES);
	assert_true(nept_table_init(&npt12, &nept_format_npt, &pool));
	assert_true(nept_map(&npt12, &all, NEPT_SHIFT_1G));
	svm_machine.core.ncr3_12 = nept_table_root(&npt12).v;
	n->features23 = features;
	nept_format_npt.make_rules(&features, &config.rules);
	assert_true(nept_cache_init(&n->cache, &config));
}

static void make_maps(struct svm_maps *maps)
{
	*maps = (struct svm_maps){
		.msrpm12 = own[OWN_MSRPM12],
		.msrpm13 = own[OWN_MSRPM13],
		.iopm12 = own[OWN_IOPM12],
		.iopm13 = own[OWN_IOPM13],
		.ones = own[OWN_ONES],
		.msrpm12_at = own_at(OWN_MSRPM12),
		.msrpm13_at = own_at(OWN_MSRPM13),
		.iopm12_at = own_at(OWN_IOPM12),
		.iopm13_at = own_at(OWN_IOPM13),
		.ones_at = own_at(OWN_ONES),
	};
	memset(maps->msrpm13, 0xff, MSRPM_SIZE);
	memset(maps->ones, 0xff, IOPM_SIZE);
	/* What L1 asks for: EFER, VM_HSAVE_PA, a port. */
	maps->msrpm12[0x800 + 0x80 / 4] = 3;
	maps->msrpm12[0x1000 + 0x117 / 4] = 3 << 6;
	maps->iopm12[0xf4 / 8] = 1 << (0xf4 % 8);
}

static void make_vmcb12(struct svm_nested *n)
{
	struct vmcb_save *s = &n->vmcb12.vmcb->s;
	struct svm_guest g;

	n->v12.intercept1 = INTERCEPT1_INIT | INTERCEPT1_CPUID | INTERCEPT1_INVD |
			    INTERCEPT1_INVLPGA | INTERCEPT1_IOIO | INTERCEPT1_MSR |
			    INTERCEPT1_SHUTDOWN;
	n->v12.intercept2 = INTERCEPT2_SVM;
	n->v12.asid = ASID_L2;
	n->v12.nested_control = NESTED_NP_ENABLE;
	n->v12.ncr3 = svm_machine.core.ncr3_12;
	n->v12.tsc_offset = 1000;
	n->vmcb12.vmcb->c = n->v12;
	svm_guest_64(&g);
	*s = g.vmcb.s;
	s->rflags |= RFLAGS_IF;
	svm_gif_ways(n);
}

void svm_machine_make(u32 features)
{
	struct svm_machine *m = &svm_machine;
	struct svm_nested *n = &m->n;
	struct svm_offer offer = { .npt = true };
	struct svm_guest g;

	memset(m, 0, sizeof(*m));
	memset(own, 0, sizeof(own));
	memset(svm_ram, 0, sizeof(svm_ram));
	memset(&fake_svm, 0, sizeof(fake_svm));
	memory = (struct nept_memory){ .entry = entry,
				       .plain = (u8 *)svm_ram,
				       .plain_from = RAM_BASE,
				       .plain_size = PLAIN_PAGES * PAGE_SIZE };
	m->level = 2;
	m->core = (struct svm_core){ .is_ram = is_ram,
				     .pointer = pointer,
				     .touch = touch,
				     .memory = &memory,
				     .physical_bits = SVM_GUEST_WIDTH,
				     .hold_pic = hold_pic,
				     .in_service = in_service,
				     .abort = aborted };
	m->platform = (struct svm_caps){ true, 16, features };
	svm_caps_offer(&m->platform, &offer, &n->offered);
	svm_guest_64(&g);
	n->env = g.env;
	n->env.asids = n->offered.asids;
	n->regs = &m->regs;
	n->fault = &m->fault;
	n->level = &m->level;
	n->run = &m->run;
	n->core = &m->core;
	n->platform = &m->platform;
	n->enabled = n->svme = n->gif = n->has_vm_cr = true;
	n->tsc_ratio = TSC_RATIO_ONE;
	n->vmcb12 = own_vmcb(OWN_VMCB12);
	m->run.vmcb = n->vmcb12.vmcb;
	m->run.vmcb_at = n->vmcb12.at.v;
	make_stage2(n);
	make_maps(&n->maps);
	for (u32 i = 0; i < SVM_SLOTS; i++) {
		n->slot[i].at = NO_VMCB;
		n->slot[i].vmcb13 = own_vmcb(OWN_VMCB13 + i);
	}
	n->current = &n->slot[0];
	svm_slot_forget_all(n);
	make_vmcb12(n);
}

struct vmcb *svm_vmcb_of_l2(u32 index)
{
	return (struct vmcb *)svm_ram[PAGE_VMCB + index];
}

/* npt23: 4-KByte pages, L3's 0 to 2 MiB at RAM_BASE; what is beyond L2's RAM leads nowhere. */
static void make_npt23(void)
{
	u64 *table[4];

	for (u32 i = 0; i < 4; i++)
		table[i] = (u64 *)svm_ram[PAGE_NPT + i];
	for (u32 i = 0; i < 3; i++)
		table[i][0] = svm_page(PAGE_NPT + 1 + i).v | PTE_P | PTE_W | PTE_U;
	for (u32 i = 0; i < 512; i++)
		table[3][i] = (RAM_BASE + i * PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
}

struct vmcb *svm_vmcb_make(u32 index, svm_variant *variant)
{
	struct vmcb *vmcb = svm_vmcb_of_l2(index);
	struct svm_guest g;

	variant(&g);
	*vmcb = g.vmcb;
	vmcb->c.intercept1 |= INTERCEPT1_IOIO;
	vmcb->c.intercept2 |= INTERCEPT2_VMMCALL;
	vmcb->c.msrpm_base = svm_page(PAGE_MSRPM).v;
	vmcb->c.iopm_base = svm_page(PAGE_IOPM).v;
	vmcb->c.ncr3 = svm_page(PAGE_NPT).v;
	vmcb->c.asid = 1 + index;
	vmcb->c.tlb_control = 0;
	make_npt23();
	return vmcb;
}

enum outcome svm_execute(u32 exit, u64 rax)
{
	svm_machine.regs.r[REG_RAX] = rax;
	svm_machine.run.vmcb->s.rip = NEXT_RIP - 3;
	return svm_insn(&svm_machine.n, exit, NEXT_RIP);
}

bool svm_vmrun(u32 index)
{
	enum outcome outcome = svm_execute(SVM_EXIT_VMRUN, svm_page(PAGE_VMCB + index).v);

	if (outcome == OUTCOME_REFLECT) {
		assert_int_equal(svm_machine.level, 2);
		assert_true(svm_vmcb_of_l2(index)->c.exit_code == SVM_CODE_INVALID);
		return false;
	}
	assert_int_equal(outcome, OUTCOME_RESUME);
	assert_int_equal(svm_machine.level, 3);
	svm_assert_safe();
	return true;
}

void svm_hardware_exits(u64 code, u64 info1, u64 info2)
{
	struct vmcb_control *c = &svm_machine.run.vmcb->c;

	c->exit_code = code;
	c->exit_info1 = info1;
	c->exit_info2 = info2;
	c->event_injection &= ~EVENT_VALID;
	c->clean = CLEAN_ALL;
	c->tlb_control = TLB_KEEP;
}

void svm_back_to_l2(void)
{
	svm_hardware_exits(SVM_EXIT_VMMCALL, 0, 0);
	assert_true(svm_l2_wants(&svm_machine.n, SVM_EXIT_VMMCALL));
	svm_reflect(&svm_machine.n);
	assert_int_equal(svm_machine.level, 2);
}

void svm_assert_safe(void)
{
	const struct svm_nested *n = &svm_machine.n;
	const struct vmcb_control *c = &n->run->vmcb->c;
	bool from_pool = c->ncr3 - POOL_BASE1 < POOL_PAGES * PAGE_SIZE && !(c->ncr3 & PAGE_MASK);
	u32 all_features = n->offered.features;

	assert_ptr_equal(n->run->vmcb, n->current->vmcb13.vmcb);
	assert_int_equal(n->run->vmcb_at, n->current->vmcb13.at.v);
	/* Every intercept of L1's. */
	assert_int_equal(n->v12.intercept1 & ~c->intercept1, 0);
	assert_int_equal(n->v12.intercept2 & ~c->intercept2, 0);
	/* No pointer of L2's. */
	assert_true(c->iopm_base == n->maps.iopm12_at.v || c->iopm_base == n->maps.iopm13_at.v ||
		    c->iopm_base == n->maps.ones_at.v);
	assert_int_equal(c->msrpm_base, n->maps.msrpm13_at.v);
	assert_true(from_pool);
	assert_int_equal(c->nested_control, NESTED_NP_ENABLE);
	assert_int_equal(c->avic_bar | c->avic_backing | c->avic_logical | c->avic_physical, 0);
	assert_int_equal(c->ghcb | c->vmsa, 0);
	/* Neither the host's ASID nor L2's, nor one that there is not. */
	assert_true(c->asid > ASID_L2 || n->ways.flush);
	assert_true(c->asid < n->platform->asids);
	/* Nothing of features that L2 is not offered. */
	assert_int_equal(c->virt_ext & ~(all_features & SVM_FEATURE_LBR ? VIRT_EXT_LBR : 0), 0);
	assert_int_equal(c->int_control & INT_AVIC_ENABLE, 0);
	if (!(all_features & SVM_FEATURE_VGIF))
		assert_int_equal(c->int_control & (INT_V_GIF | INT_V_GIF_ENABLE), 0);
	assert_true(c->tlb_control == TLB_KEEP || c->tlb_control == TLB_FLUSH_ALL ||
		    (c->tlb_control == TLB_FLUSH_ASID &&
		     (n->platform->features & SVM_FEATURE_FLUSH_BY_ASID)));
	/* What the platform may be asked to run. */
	assert_true(n->run->vmcb->s.efer & EFER_SVME);
	assert_true(n->run->vmcb->s.cpl <= 3);
	assert_true(svm_event_is_legal(c->event_injection));
	/* Every exit of the permission maps that L1 asks for. */
	for (u32 i = 0; i < MSRPM_SIZE; i++)
		assert_int_equal(n->maps.msrpm12[i] & ~n->maps.msrpm13[i], 0);
}
