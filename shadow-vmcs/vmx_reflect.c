/*
 * VM exits of L3 that L2 asked for: what L2 finds in vmcs23, and the state in which its exit
 * handler runs. SDM 3C chapter "VM Exits": information, guest state, MSRs saved, host state, MSRs
 * loaded.
 */
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_access.h"
#include "shadow-vmcs/vmx_exits.h"
#include "shadow-vmcs/vmx_nested.h"

/* Access rights that an exit loads (SDM 3C "Loading Host Segment and Descriptor-Table Registers"
 * (28.5.2)). */
#define HOST_CODE_AR(l) (0x9bU | (u32)AR_G | ((l) ? (u32)AR_L : (u32)AR_DB))
#define HOST_DATA_AR    (0x93U | (u32)AR_G | (u32)AR_DB)
#define HOST_TR_AR      0x8bU
#define HOST_TR_LIMIT   0x67U

/* Control-register bits that an exit does not change, or forces (28.5.1). */
#define CR0_KEPT (CR0_CD | CR0_NW | CR0_ET)

/* Each function counts its writes in `written`, mostly when it is compiled, and adds them once. */
#define PUT(NAME, value)                \
	do {                            \
		vmcs_poke(NAME, value); \
		written++;              \
	} while (0)

/* A host field as v23 keeps it, which has no more bits than the field. */
#define HOST(NAME) (v->f[F_HOST_##NAME])

static u32 data_ar(u64 selector)
{
	return HOST_DATA_AR | (selector ? 0 : (u32)AR_UNUSABLE);
}

void vmx_host_derive(struct vmx_host *host, const struct vmcs_fields *v, u32 entry_controls12)
{
	bool host64 = vmcs_get(v, EXIT_CONTROLS) & EXIT_HOST_64;

	host->cr0 = HOST(CR0) & ~CR0_KEPT;
	host->cr4 = host64 ? HOST(CR4) | CR4_PAE : HOST(CR4) & ~CR4_PCIDE;
	host->cs_ar = HOST_CODE_AR(host64);
	/* In 64-bit mode a null SS is usable for CPL 0. */
	host->ss_ar = host64 ? HOST_DATA_AR : data_ar(HOST(SS_SELECTOR));
	host->ds_ar = data_ar(HOST(DS_SELECTOR));
	host->es_ar = data_ar(HOST(ES_SELECTOR));
	host->fs_ar = data_ar(HOST(FS_SELECTOR));
	host->gs_ar = data_ar(HOST(GS_SELECTOR));
	host->entry_controls = (entry_controls12 & ~ENTRY_GUEST_64) | (host64 ? ENTRY_GUEST_64 : 0);
}

static inline void load_host_segments(const struct vmcs_fields *v, const struct vmx_host *host)
{
	u32 written = 0;

#define HOST_SEGMENT(NAME, base, ar)                         \
	PUT(GUEST_##NAME##_SELECTOR, HOST(NAME##_SELECTOR)); \
	PUT(GUEST_##NAME##_BASE, base);                      \
	PUT(GUEST_##NAME##_LIMIT, 0xffffffff);               \
	PUT(GUEST_##NAME##_AR, ar);
	HOST_SEGMENT(CS, 0, host->cs_ar)
	HOST_SEGMENT(SS, 0, host->ss_ar)
	HOST_SEGMENT(DS, 0, host->ds_ar)
	HOST_SEGMENT(ES, 0, host->es_ar)
	HOST_SEGMENT(FS, HOST(FS_BASE), host->fs_ar)
	HOST_SEGMENT(GS, HOST(GS_BASE), host->gs_ar)
#undef HOST_SEGMENT
	PUT(GUEST_TR_SELECTOR, HOST(TR_SELECTOR));
	PUT(GUEST_TR_BASE, HOST(TR_BASE));
	PUT(GUEST_TR_LIMIT, HOST_TR_LIMIT);
	PUT(GUEST_TR_AR, HOST_TR_AR);
	PUT(GUEST_LDTR_SELECTOR, 0);
	PUT(GUEST_LDTR_AR, AR_UNUSABLE);
	PUT(GUEST_GDTR_BASE, HOST(GDTR_BASE));
	PUT(GUEST_GDTR_LIMIT, 0xffff);
	PUT(GUEST_IDTR_BASE, HOST(IDTR_BASE));
	PUT(GUEST_IDTR_LIMIT, 0xffff);
	count_access(vmwrites, written);
}

/* CR0 and CR4 of L2: L1's own bits are forced in hardware, and L2 sees its own in the shadow. */
static inline void load_host_control_registers(const struct vmcs_fields *v,
					       const struct vmx_host *host)
{
	u64 cr0 = host->cr0 | (vmcs_read(GUEST_CR0) & CR0_KEPT);
	u32 written = 0;

	PUT(GUEST_CR0, cr0);
	PUT(CR0_SHADOW, cr0);
	PUT(GUEST_CR3, HOST(CR3));
	PUT(GUEST_CR4, host->cr4);
	PUT(CR4_SHADOW, host->cr4);
	count_access(vmwrites, written);
}

static inline void load_host_msrs(const struct vmcs_fields *v, const struct vmx_host *host,
				  u64 efer3)
{
	u32 controls = vmcs_get(v, EXIT_CONTROLS);
	u64 efer = HOST(EFER);
	u32 written = 0;

	if (unlikely(!(controls & EXIT_LOAD_EFER)))
		efer = controls & EXIT_HOST_64 ? efer3 | EFER_LMA | EFER_LME
					       : efer3 & ~(EFER_LMA | EFER_LME);
	PUT(GUEST_EFER, efer);
	PUT(ENTRY_CONTROLS, host->entry_controls);
	PUT(GUEST_SYSENTER_CS, HOST(SYSENTER_CS));
	PUT(GUEST_SYSENTER_ESP, HOST(SYSENTER_ESP));
	PUT(GUEST_SYSENTER_EIP, HOST(SYSENTER_EIP));
	PUT(GUEST_DEBUGCTL, 0);
	PUT(GUEST_DR7, 0x400);
	count_access(vmwrites, written);
}

/* For when hardware does not: an entry failed, or it did not load L3's PAT (see vmx_merge.c). */
static void load_host_pat(struct vmx_nested *n, const struct vmcs_fields *v)
{
	if (vmcs_get(v, EXIT_CONTROLS) & EXIT_LOAD_PAT)
		(void)n->core->wrmsr(MSR_PAT, vmcs_get(v, HOST_PAT));
}

/* SDM 3C "Checking and Loading Host Page-Directory-Pointer-Table Entries" (28.5.4). */
static void load_host_pdptes(struct vmx_nested *n, const struct vmcs_fields *v)
{
	u64 entries[4];

	if ((vmcs_get(v, EXIT_CONTROLS) & EXIT_HOST_64) || !(vmcs_get(v, HOST_CR4) & CR4_PAE))
		return;
	if (!n->core->read(PA2(vmcs_get(v, HOST_CR3) & 0xffffffe0), entries, sizeof(entries)) ||
	    !vmx_pdptes_are_valid(entries, &n->env))
		n->core->abort("L2 ended by a VMX abort: the PDPTEs of its host state are not "
			       "there or not valid");
	vmcs_write(GUEST_PDPTE0, entries[0]);
	vmcs_write(GUEST_PDPTE1, entries[1]);
	vmcs_write(GUEST_PDPTE2, entries[2]);
	vmcs_write(GUEST_PDPTE3, entries[3]);
}

/* SDM 3C "Loading Host State" (28.5). vmcs12 is loaded. L2 was active when it made L3 run, and is
 * again. */
static inline void load_host_state(const struct vmcs_fields *v, const struct vmx_host *host,
				   u64 efer3, u32 interruptibility)
{
	u32 written = 0;

	load_host_control_registers(v, host);
	load_host_msrs(v, host, efer3);
	load_host_segments(v, host);
	PUT(GUEST_RIP, HOST(RIP));
	PUT(GUEST_RSP, HOST(RSP));
	PUT(GUEST_RFLAGS, RFLAGS_FIXED);
	PUT(GUEST_INTERRUPTIBILITY, interruptibility);
	PUT(GUEST_PENDING_DEBUG, 0);
	count_access(vmwrites, written);
}

/* SDM 3C "Updating Non-Register State" (28.5.5): an NMI's exit blocks further NMIs; another exit
 * leaves them as they were, unless L3's blocking was only virtual. */
static u32 interruptibility_after(const struct vmcs_fields *v, bool nmi, u32 interruptibility3)
{
	if (nmi)
		return INTERRUPTIBILITY_NMI;
	if (vmcs_get(v, PIN_CONTROLS) & PIN_VIRTUAL_NMI)
		return 0;
	return interruptibility3 & INTERRUPTIBILITY_NMI;
}

static void store_msrs(struct vmx_nested *n, struct vmx_slot *s)
{
	u32 count = vmcs_get(&s->v23, EXIT_MSR_STORE_COUNT);
	struct vmcs_fields fields;
	struct vmx_msr_state state = { &fields,
				       vmcs_get(&s->v23, ENTRY_CONTROLS) & ENTRY_LOAD_PAT };

	if (likely(!count))
		return;
	vmx_collect(n, s, BIT(VG_MSR) | BIT(VG_SEG));
	fields = s->v23;
	/* L3's, also where L2 does not have them saved in the VMCS. */
	vmx_load(n, &s->vmcs13);
	vmcs_set(&fields, GUEST_EFER, vmcs_read(GUEST_EFER));
	vmcs_set(&fields, GUEST_DEBUGCTL, vmcs_read(GUEST_DEBUGCTL));
	vmcs_set(&fields, GUEST_PAT, vmcs_read(GUEST_PAT));
	if (!vmx_msr_store_list(n, PA2(vmcs_get(&s->v23, EXIT_MSR_STORE_ADDR)), count, &state))
		n->core->abort("L2 ended by a VMX abort: an MSR of its exit MSR-store list cannot "
			       "be stored");
}

static void load_msrs(struct vmx_nested *n, const struct vmcs_fields *v)
{
	static const u8 rows[] = { F_GUEST_EFER,         F_GUEST_SYSENTER_CS, F_GUEST_SYSENTER_ESP,
				   F_GUEST_SYSENTER_EIP, F_GUEST_DEBUGCTL,    F_GUEST_CR0 };
	u32 count = vmcs_get(v, EXIT_MSR_LOAD_COUNT);
	struct vmcs_fields fields;
	struct vmx_msr_state state = { &fields, false };

	if (likely(!count))
		return;
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		fields.f[rows[i]] = vmread_raw(vmcs_table[rows[i]].encoding);
	if (vmx_msr_load_list(n, PA2(vmcs_get(v, EXIT_MSR_LOAD_ADDR)), count, &state))
		n->core->abort("L2 ended by a VMX abort: an MSR of its exit MSR-load list cannot "
			       "be loaded");
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		vmwrite_raw(vmcs_table[rows[i]].encoding, fields.f[rows[i]]);
}

/* From L3 to L2's exit handler, when v23 tells (or vmcs13 still holds) why. */
static inline void leave_l3(struct vmx_nested *n, struct vmx_slot *s, u64 efer3,
			    u32 interruptibility)
{
	n->ways.access->publish(n, s);
	vmx_load(n, &n->vmcs12);
	load_host_state(&s->v23, &s->host, efer3, interruptibility);
	*n->level = 2;
}

/* The rest of an exit that is not plain, before and after L2's state is loaded. */
static void leave_l3_beyond_state(struct vmx_nested *n, struct vmx_slot *s)
{
	load_host_pdptes(n, &s->v23);
	load_msrs(n, &s->v23);
	vmx_hide_x2apic(n);
	vmx_flush_for_switch(n, s);
}

static void collect_beyond_state(struct vmx_nested *n, struct vmx_slot *s, u64 efer3)
{
	/* Unless L2 has it saved, the next entry begins with the EFER of this one. */
	if (efer3 != s->efer13)
		s->stale |= BIT(VG_MSR);
	if (n->ways.full)
		vmx_collect(n, s, VG_IN_13);
	store_msrs(n, s);
	if (unlikely(!(vmcs_get(&s->v23, ENTRY_CONTROLS) & ENTRY_LOAD_PAT)))
		load_host_pat(n, &s->v23);
}

static void reflect(struct vmx_nested *n, bool nmi)
{
	struct vmx_slot *s = n->current;
	u64 efer3 = vmcs_peek(GUEST_EFER);
	u32 interruptibility =
		interruptibility_after(&s->v23, nmi, (u32)vmcs_peek(GUEST_INTERRUPTIBILITY));

	count_access(vmreads, 2);
	s->vmcs13.enter = vmx_resume;
	if (unlikely(s->v23.f[F_ENTRY_INTR_INFO] & INTR_INFO_VALID)) {
		s->v23.f[F_ENTRY_INTR_INFO] &= ~(u64)INTR_INFO_VALID;
		s->event_changed = true;
	}
	if (unlikely(!s->plain_exit))
		collect_beyond_state(n, s, efer3);
	leave_l3(n, s, efer3, interruptibility);
	if (unlikely(!s->plain_exit))
		leave_l3_beyond_state(n, s);
}

/* A failed entry leaves L3's state, and whether the VMCS is launched, as they were. Ours is
 * cleared, so that it can be launched again. Leaves vmcs12 loaded, which knows the instruction that
 * failed. */
static void undo_entry(struct vmx_nested *n, struct vmx_slot *s)
{
	vmx_collect(n, s, VG_IN_13);
	(void)vmclear_raw(s->vmcs13.region);
	s->vmcs13.enter = vmx_launch;
	n->loaded = NULL;
	s->unchecked = VG_ALL;
	vmx_load(n, &n->vmcs12);
	if (vmcs_read(EXIT_REASON) == VMX_EXIT_VMLAUNCH)
		s->launched = false;
}

/* Hardware found in the merged state what L1's checks of vmcs23 did not. */
static void reflect_refused(struct vmx_nested *n, u32 reason)
{
	u64 qualification = vmcs_read(EXIT_QUALIFICATION);

	undo_entry(n, n->current);
	vmx_reflect_entry_failure(n, reason, qualification);
}

void vmx_reflect_vmfail(struct vmx_nested *n, u32 error)
{
	struct vmx_slot *s = n->current;

	undo_entry(n, s);
	s->v23.f[F_INSTRUCTION_ERROR] = error;
	*n->level = 2;
}

/* The exits that say that hardware refused the entry. */
#define REFUSALS                                                          \
	(BIT(VMX_EXIT_ENTRY_GUEST_STATE) | BIT(VMX_EXIT_ENTRY_MSR_LOAD) | \
	 BIT(VMX_EXIT_ENTRY_MACHINE_CHECK))

/* What a few exits need beyond reflection: refused entries, and NMIs, which L2 then has blocked. */
__attribute__((noinline)) static void reflect_rare(struct vmx_nested *n, u64 reason)
{
	if (reason == VMX_EXIT_EXCEPTION_NMI)
		reflect(n, (vmcs_read(EXIT_INTR_INFO) & INTR_INFO_TYPE) == INTR_TYPE_NMI);
	else
		reflect_refused(n, (u32)reason);
}

void vmx_reflect(struct vmx_nested *n, u64 reason)
{
	if (unlikely(reason < 64 && ((REFUSALS | BIT(VMX_EXIT_EXCEPTION_NMI)) & BIT(reason))))
		reflect_rare(n, reason);
	else
		reflect(n, false);
}

/* SDM 3C "Basic VM-Exit Information" (28.2.1). */
void vmx_reflect_stage2(struct vmx_nested *n, u32 reason, u64 qualification)
{
	struct vmx_slot *s = n->current;

	vmx_collect(n, s, BIT(VG_INFO));
	vmcs_set(&s->v23, EXIT_REASON, reason);
	vmcs_set(&s->v23, EXIT_QUALIFICATION, qualification);
	reflect(n, false);
}

void vmx_reflect_nmi(struct vmx_nested *n)
{
	struct vmx_slot *s = n->current;

	/* It may have come before the first entry. */
	void (*due)(struct vcpu * vcpu) = *n->enter;

	vmx_collect(n, s, BIT(VG_INFO));
	vmcs_set(&s->v23, EXIT_REASON, VMX_EXIT_EXCEPTION_NMI);
	vmcs_set(&s->v23, EXIT_QUALIFICATION, 0);
	vmcs_set(&s->v23, EXIT_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_NMI | EXC_NMI);
	reflect(n, true);
	s->vmcs13.enter = due;
}

/* SDM 3C "VM-Entry Failures During or After Loading Guest State" (27.8): only the reason and the
 * qualification are written, no state is saved, and host state is loaded as at an exit. */
void vmx_reflect_entry_failure(struct vmx_nested *n, u32 reason, u64 qualification)
{
	struct vmx_slot *s = n->current;
	u32 blocking;

	vmx_collect(n, s, BIT(VG_INFO));
	vmcs_set(&s->v23, EXIT_REASON, reason | EXIT_REASON_ENTRY_FAILURE);
	vmcs_set(&s->v23, EXIT_QUALIFICATION, qualification);
	load_host_pat(n, &s->v23);
	vmx_host_derive(&s->host, &s->v23, vmcs_get(&n->v12, ENTRY_CONTROLS));
	vmx_load(n, &n->vmcs12);
	blocking = vmcs_read(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI;
	leave_l3(n, s, vmcs_get(&n->v12, GUEST_EFER), blocking);
	leave_l3_beyond_state(n, s);
}
