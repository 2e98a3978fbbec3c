/*
 * VMLAUNCH and VMRESUME of L2: check vmcs23, merge, and make L3 what the CPU runs next. The order
 * is that of SDM 3C "VM Entries": controls and host state, guest state, MSR list.
 */
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"
#include "shadow-vmcs/vmx_exits.h"
#include "shadow-vmcs/vmx_nested.h"

/* Makes v23 true where the rules that are due will look. */
static void collect_for_checks(struct vmx_nested *n, struct vmx_slot *s)
{
	u32 due = s->unchecked;

	if (!due)
		return;
	if (due & ~(u32)VG_RUN) {
		vmx_collect(n, s, VG_IN_13);
		return;
	}
	vmx_collect_run_inputs(n, s);
}

/* What of L2's own state an entry of L3 may inherit; vmcs12 is loaded. */
static void read_inherited(struct vmx_nested *n, struct vmx_slot *s)
{
	u32 entry = vmcs_get(&s->v23, ENTRY_CONTROLS);
	u64 efer = vmcs_read(GUEST_EFER);
	u64 dr7 = 0;
	u64 debugctl = 0;

	if (!(entry & ENTRY_LOAD_DEBUG)) {
		dr7 = vmcs_read(GUEST_DR7);
		debugctl = vmcs_read(GUEST_DEBUGCTL);
	}
	if (efer != vmcs_get(&n->v12, GUEST_EFER) || dr7 != vmcs_get(&n->v12, GUEST_DR7) ||
	    debugctl != vmcs_get(&n->v12, GUEST_DEBUGCTL)) {
		vmcs_set(&n->v12, GUEST_EFER, efer);
		vmcs_set(&n->v12, GUEST_DR7, dr7);
		vmcs_set(&n->v12, GUEST_DEBUGCTL, debugctl);
		for (u32 i = 0; i < VMX_SLOTS; i++)
			n->slot[i].stale |= BIT(VG_MSR);
	}
	/* The rules about the host state depend on the mode L2 is in. */
	if (n->env.long_mode != !!(efer & EFER_LMA)) {
		n->env.long_mode = !!(efer & EFER_LMA);
		s->unchecked |= BIT(VG_HOST) | BIT(VG_SWITCH);
	}
}

/* One word of the MSR bitmap for reads and the one for writes, as L2 has them for `msrs`; the other
 * MSRs of the words exit. */
static inline void merge_msr_words(struct bitmap_page *to, const struct bitmap_page *page23,
				   u32 read, u64 msrs)
{
	u32 write = read + MSR_BITMAP_WRITE_LOW / 64;

	to->word[read] = ~msrs | page23->word[read];
	to->word[write] = ~msrs | page23->word[write];
}

/* The task priority of a virtual x2APIC is the processor's to serve, threshold and all: it is let
 * through from such an entry to the exit that L2 sees. Those are never light or plain. */
static bool has_virtual_x2apic(const struct vmx_slot *s)
{
	return vmcs_active_proc2(&s->v23) & PROC2_X2APIC;
}

static void show_x2apic(struct vmx_nested *n, const struct vmx_slot *s)
{
	merge_msr_words(n->msr_bitmap13, s->msr_page23, MSR_X2APIC_TPR / 64,
			BIT(MSR_X2APIC_TPR % 64));
}

void vmx_hide_x2apic(struct vmx_nested *n)
{
	n->msr_bitmap13->word[MSR_X2APIC_TPR / 64] = ~0ULL;
	n->msr_bitmap13->word[(MSR_X2APIC_TPR + MSR_BITMAP_WRITE_LOW) / 64] = ~0ULL;
}

/* L2's MSR bitmap: of ones when every MSR exits, or when L2 has no memory there. */
static const struct bitmap_page *msr_page(const struct vmx_nested *n, const struct vmx_slot *s)
{
	static const struct bitmap_page ones = { .word = { [0 ... BITMAP_WORDS - 1] = ~0ULL } };
	u64 at = vmcs_get(&s->v23, MSR_BITMAP);

	if ((vmcs_get(&s->v23, PROC_CONTROLS) & PROC_MSR_BITMAPS) &&
	    n->core->is_ram(PA2(at), PAGE_SIZE))
		return n->core->pointer(PA2(at));
	return &ones;
}

/* Only the MSRs that guests access most are let through. All others exit to L1 first, which asks
 * L2's bitmap then; so a change of the bitmap needs no notice. */
static void merge_msr_bitmap(struct bitmap_page *to, const struct bitmap_page *page23)
{
	merge_msr_words(to, page23, MSR_TSC / 64, BIT(MSR_TSC % 64));
	merge_msr_words(to, page23, MSR_SYSENTER_CS / 64,
			BITS(MSR_SYSENTER_EIP % 64, MSR_SYSENTER_CS % 64));
	merge_msr_words(to, page23, (MSR_BITMAP_READ_HIGH + MSR_EFER % MSR_BITMAP_RANGE) / 64,
			BITS(MSR_SFMASK % 64, MSR_EFER % 64));
	merge_msr_words(to, page23, (MSR_BITMAP_READ_HIGH + MSR_FS_BASE % MSR_BITMAP_RANGE) / 64,
			BITS(MSR_KERNEL_GS_BASE % 64, MSR_FS_BASE % 64));
}

/* A page that L2 gives to hardware; what is not L2's memory becomes a page of nothing. */
static u64 page_for_hardware(const struct vmx_nested *n, u64 at)
{
	return n->core->is_ram(PA2(at), PAGE_SIZE) ? at : n->core->absent.v;
}

/* The APIC-access page is only compared with where L3's accesses lead: that is where ept12 leads,
 * or for what ept12 will map late, the same address. */
static u64 apic_access_page(const struct vmx_nested *n, u64 at)
{
	const struct nept_lookup12 *lookup = &n->cache.config.lookup12;
	struct nept_page12 page;

	lookup->find(lookup->ctx, PA2(at), &page);
	return page.rights ? page.base.v | (at & (BIT(page.shift) - 1)) : at;
}

static void fill_merge_in(const struct vmx_nested *n, const struct vmx_slot *s,
			  struct vmx_merge_in *in)
{
	const struct vmcs_fields *v = &s->v23;

	*in = (struct vmx_merge_in){
		.v12 = &n->v12,
		.v23 = v,
		.eptp13 = s->eptp13,
		.vpid13 = s->vpid13,
		.msr_bitmap13 = n->msr_bitmap13_at.v,
		.io_bitmap_a13 = n->io_bitmaps13_at.v,
		.io_bitmap_b13 = n->io_bitmaps13_at.v + PAGE_SIZE,
	};
	if (s->stale & BIT(VG_APIC)) {
		in->virtual_apic13 = page_for_hardware(n, vmcs_get(v, VIRTUAL_APIC_ADDR));
		in->apic_access13 = apic_access_page(n, vmcs_get(v, APIC_ACCESS_ADDR));
	}
}

/* Whether L3 runs on the same tables and VPID as at its last entry. */
static inline bool stage2_is_same(const struct vmx_nested *n, const struct vmx_slot *s)
{
	return s->ept13 && s->ept13->key == s->ept13_key && vmx_vpid_is_ours(n, s);
}

static void note_stage2(struct vmx_nested *n, struct vmx_slot *s)
{
	u16 vpid = s->vpid13;
	u64 eptp;

	vmx_choose_stage2(n, s);
	eptp = s->ept13 ? nept_root_pointer(&s->ept13->nept) : n->core->eptp12;
	if (eptp != s->eptp13 || vpid != s->vpid13)
		s->stale |= BIT(VG_STAGE2);
	s->eptp13 = eptp;
}

/* With PAE paging and without EPT of L2's the processor takes the PDPTEs from the VMCS, because
 * vmcs13 uses EPT, where L2 means those in memory at CR3, as they are at this entry. */
static void load_pdptes(struct vmx_nested *n, struct vmx_slot *s)
{
	struct vmcs_fields *v = &s->v23;
	u64 entries[4];

	if (s->ept13 || (vmcs_get(v, ENTRY_CONTROLS) & ENTRY_GUEST_64))
		return;
	vmx_collect(n, s, BIT(VG_CR) | BIT(VG_PDPTE));
	if (!(vmcs_get(v, GUEST_CR0) & CR0_PG) || !(vmcs_get(v, GUEST_CR4) & CR4_PAE))
		return;
	if (!n->core->read(PA2(vmcs_get(v, GUEST_CR3) & 0xffffffe0), entries, sizeof(entries)))
		return;
	for (int i = 0; i < 4; i++)
		v->f[F_GUEST_PDPTE0 + i] = entries[i];
	s->stale |= BIT(VG_PDPTE);
}

static void publish_msrs(const struct vmx_nested *n, struct vmx_slot *s)
{
	vmx_publish_rest(&n->v13, BIT(VG_MSR));
	s->efer13 = vmcs_get(&n->v13, GUEST_EFER);
}

static void merge_and_publish(struct vmx_nested *n, struct vmx_slot *s, u32 groups)
{
	struct vmx_merge_in in;

	vmx_load(n, &s->vmcs13);
	vmx_publish_run(&s->v23, groups);
	if (likely(!(groups & ~(u32)VG_RUN)))
		return;
	fill_merge_in(n, s, &in);
	vmx_merge(&in, groups, &n->v13);
	vmx_publish_rest(&n->v13, groups & ~BIT32(VG_MSR));
	if (groups & BIT(VG_MSR))
		publish_msrs(n, s);
	if (groups & BIT(VG_HOST))
		vmcs_write(HOST_PAT, vmcs_get(&n->v13, HOST_PAT));
}

/* The number of the entry of L2's MSR list that could not be loaded, or 0. */
static u32 load_msrs(struct vmx_nested *n, struct vmx_slot *s)
{
	struct vmx_msr_state state = { &n->v13,
				       vmcs_get(&s->v23, ENTRY_CONTROLS) & ENTRY_LOAD_PAT };
	u32 count = vmcs_get(&s->v23, ENTRY_MSR_LOAD_COUNT);
	struct vmx_merge_in in;
	u32 failed;

	if (likely(!count))
		return 0;
	vmx_collect(n, s, BIT(VG_MSR) | BIT(VG_CR));
	fill_merge_in(n, s, &in);
	vmx_merge(&in, BIT(VG_MSR) | BIT(VG_CR), &n->v13);
	failed = vmx_msr_load_list(n, PA2(vmcs_get(&s->v23, ENTRY_MSR_LOAD_ADDR)), count, &state);
	vmx_load(n, &s->vmcs13);
	publish_msrs(n, s);
	return failed;
}

static bool check_vmfail(struct vmx_nested *n, struct vmx_slot *s, u32 groups)
{
	struct vmx_verdict verdict;
	enum vmxerr error = VMXERR_ENTRY_CONTROLS;

	if (vmx_check_controls(&s->v23, &n->offered, &n->env, groups, &verdict)) {
		error = VMXERR_ENTRY_HOST_STATE;
		if (vmx_check_host(&s->v23, &n->offered, &n->env, groups, &verdict))
			return true;
	}
	s->v23.f[F_INSTRUCTION_ERROR] = error;
	vmx_load(n, &n->vmcs12);
	return false;
}

/* What changed since vmcs13 was merged last, besides what L2 wrote. */
static u32 stale_groups(struct vmx_nested *n, struct vmx_slot *s)
{
	if (s->passes)
		s->stale |= BIT(VG_CTRL);
	if (s->passes & PASSES_DR)
		s->stale |= BIT(VG_MSR);
	s->passes = 0;
	note_stage2(n, s);
	/* Controls decide about these too. */
	if (s->stale & BIT(VG_SWITCH))
		s->stale |= BIT(VG_CTRL);
	if (s->stale & BIT(VG_CTRL))
		s->stale |= BIT(VG_TSC) | BIT(VG_APIC);
	if (s->stale & (BIT(VG_SWITCH) | BIT(VG_CR)))
		s->stale |= BIT(VG_MSR);
	if (n->ways.full)
		s->stale = VG_ALL;
	/* A group that is merged must be true in v23 first. */
	if (s->stale & s->in_13)
		vmx_collect(n, s, s->stale);
	load_pdptes(n, s);
	return s->stale;
}

/* Whether this entry has nothing new but RIP, so that RIP is all there is to check and to write. */
static inline bool is_light(const struct vmx_nested *n, const struct vmx_slot *s)
{
	return s->steady && !((s->stale | s->unchecked) & ~BIT32(VG_RIP)) && !n->ways.full &&
	       !s->passes && stage2_is_same(n, s);
}

static bool enter_light(struct vmx_nested *n, struct vmx_slot *s)
{
	struct vmcs_fields *v = &s->v23;

	vmx_load(n, &s->vmcs13);
	count_access(vmreads, 2);
	vmcs_set(v, GUEST_CS_AR, vmcs_peek(GUEST_CS_AR));
	vmcs_set(v, ENTRY_CONTROLS,
		 (vmcs_get(v, ENTRY_CONTROLS) & ~ENTRY_GUEST_64) |
			 (vmcs_peek(ENTRY_CONTROLS) & ENTRY_GUEST_64));
	if (unlikely(!vmx_check_rip(v, &n->env)))
		return false;
	if (s->stale)
		vmcs_write(GUEST_RIP, v->f[F_GUEST_RIP]);
	return true;
}

static bool has_all(u32 controls, u32 wanted)
{
	return (controls & wanted) == wanted;
}

/* Whether exits from this entry on only load host state, the usual case: no MSR lists, no PDPTEs,
 * no flush, a PAT that hardware loads, and an EFER that L2 has saved and loaded. */
static bool exit_is_plain(const struct vmx_nested *n, const struct vmx_slot *s)
{
	const struct vmcs_fields *v = &s->v23;

	return !vmcs_get(v, EXIT_MSR_STORE_COUNT) && !vmcs_get(v, EXIT_MSR_LOAD_COUNT) &&
	       has_all(vmcs_get(v, EXIT_CONTROLS), EXIT_HOST_64 | EXIT_SAVE_EFER) &&
	       has_all(vmcs_get(v, ENTRY_CONTROLS), ENTRY_LOAD_PAT | ENTRY_LOAD_EFER) &&
	       !vmx_switch_flushes(n, s) && !has_virtual_x2apic(s) && !n->ways.full;
}

/* Everything that an entry may need; false when it failed, and then `*outcome` says how. */
static bool enter_full(struct vmx_nested *n, struct vmx_slot *s, enum outcome *outcome)
{
	struct vmx_verdict verdict;
	u32 failed_msr;

	/* What L3 inherits follows from the entry controls, and those are known only now. */
	if (s->stale & BIT(VG_SWITCH)) {
		vmx_load(n, &n->vmcs12);
		read_inherited(n, s);
	}
	if (n->ways.full)
		s->unchecked = VG_ALL;
	collect_for_checks(n, s);
	n->env.current_vmcs = s->at;
	*outcome = OUTCOME_VMFAIL_VALID;
	if (!check_vmfail(n, s, s->unchecked))
		return false;
	*outcome = OUTCOME_REFLECT;
	if (!vmx_check_guest(&s->v23, &n->offered, &n->env, s->unchecked, &verdict)) {
		vmx_reflect_entry_failure(n, VMX_EXIT_ENTRY_GUEST_STATE, verdict.qualification);
		return false;
	}
	merge_and_publish(n, s, stale_groups(n, s));
	s->stale = 0;
	failed_msr = load_msrs(n, s);
	if (failed_msr) {
		s->stale = BIT(VG_MSR);
		vmx_reflect_entry_failure(n, VMX_EXIT_ENTRY_MSR_LOAD, failed_msr);
		return false;
	}
	s->steady = vmx_check_is_steady(&s->v23, &n->env) &&
		    !vmcs_get(&s->v23, ENTRY_MSR_LOAD_COUNT) && !has_virtual_x2apic(s);
	s->msr_page23 = msr_page(n, s);
	if (has_virtual_x2apic(s))
		show_x2apic(n, s);
	s->plain_exit = exit_is_plain(n, s);
	vmx_host_derive(&s->host, &s->v23, vmcs_get(&n->v12, ENTRY_CONTROLS));
	return true;
}

enum outcome vmx_enter_l3(struct vmx_nested *n, bool launch)
{
	struct vmx_slot *s = n->current;
	enum outcome outcome;

	read_inherited(n, s);
	n->ways.access->collect(n, s);
	if (!(is_light(n, s) && enter_light(n, s)) && !enter_full(n, s, &outcome))
		return outcome;
	s->unchecked = 0;
	s->stale = 0;
	s->in_13 = VG_IN_13;
	s->launched |= launch;
	merge_msr_bitmap(n->msr_bitmap13, s->msr_page23);
	if (unlikely(vmx_switch_flushes(n, s)))
		vmx_flush_for_switch(n, s);
	if (unlikely(s->missed))
		vmx_fill_ahead(s);
	vmx_flush_ept13(n, s);
	*n->level = 3;
	return OUTCOME_RESUME;
}
