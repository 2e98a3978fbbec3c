/*
 * vmcs13 = vmcs12 merged with vmcs23: which field comes from where, or how both are combined. Pure.
 *
 * Intercepts are OR-ed. L3's state is L2's to choose. What L1 needs for itself (64-bit host, EFER
 * and debug state saved and loaded, EPT) is always on, and L2's values fill what that loads.
 */
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmx_nested.h"

/* Secondary controls that L3 has only if L2 says so, though L2 itself may run with them. */
#define PROC2_L2_DECIDES (PROC2_UNRESTRICTED_GUEST | PROC2_RDTSCP | PROC2_INVPCID | PROC2_XSAVES)

static void copy_group(const struct vmcs_fields *from, enum vmcs_group wanted,
		       struct vmcs_fields *to)
{
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) \
	if ((group) == wanted)                                           \
		to->f[F_##NAME] = from->f[F_##NAME];
#include "shadow-vmcs/vmcs_fields.def"
}

/* Every access to a port exits, and L2's bitmaps are asked then. */
static u32 merge_io(u32 proc23)
{
	return proc23 & (PROC_IO_BITMAPS | PROC_UNCONDITIONAL_IO) ? PROC_UNCONDITIONAL_IO
								  : PROC_IO_BITMAPS;
}

/* vmcs13 saves and loads DR7, for the exits that L1 serves. Unless L2 does so too, what L3 writes
 * to it must be gone at L2's next entry, so L1 has to know whether it writes. */
static u32 watch_dr(const struct vmcs_fields *v23)
{
	bool kept = (vmcs_get(v23, EXIT_CONTROLS) & EXIT_SAVE_DEBUG) &&
		    (vmcs_get(v23, ENTRY_CONTROLS) & ENTRY_LOAD_DEBUG);

	return kept ? 0 : PROC_MOV_DR;
}

static void merge_controls(const struct vmx_merge_in *in, struct vmcs_fields *v13)
{
	const struct vmcs_fields *a = in->v12;
	const struct vmcs_fields *b = in->v23;
	u32 proc23 = vmcs_get(b, PROC_CONTROLS);
	u32 proc = vmcs_get(a, PROC_CONTROLS) | proc23 | PROC_MSR_BITMAPS | PROC_SECONDARY;

	copy_group(b, VG_CTRL, v13);
	vmcs_set(v13, PIN_CONTROLS, vmcs_get(a, PIN_CONTROLS) | vmcs_get(b, PIN_CONTROLS));
	proc &= ~(PROC_IO_BITMAPS | PROC_UNCONDITIONAL_IO);
	vmcs_set(v13, PROC_CONTROLS, proc | merge_io(proc23) | watch_dr(b));
	/* Whether VPIDs are used at all is L1's way of keeping translations apart. */
	vmcs_set(v13, PROC_CONTROLS2,
		 (vmcs_get(a, PROC_CONTROLS2) & ~(PROC2_L2_DECIDES | PROC2_VMCS_SHADOWING)) |
			 (vmcs_active_proc2(b) & ~PROC2_VPID));
	vmcs_set(v13, EXCEPTION_BITMAP,
		 vmcs_get(a, EXCEPTION_BITMAP) | vmcs_get(b, EXCEPTION_BITMAP));
}

/* SDM 3C "Loading Guest Control Registers, Debug Registers, and MSRs" (27.3.2.1): without "load
 * IA32_EFER", LMA and LME follow "IA-32e mode guest" and the rest stays L2's own. */
static u64 guest_efer(const struct vmx_merge_in *in)
{
	u32 entry = vmcs_get(in->v23, ENTRY_CONTROLS);
	u64 efer = vmcs_get(in->v12, GUEST_EFER);

	if (entry & ENTRY_LOAD_EFER)
		return vmcs_get(in->v23, GUEST_EFER);
	if (entry & ENTRY_GUEST_64)
		return efer | EFER_LMA | EFER_LME;
	efer &= ~EFER_LMA;
	return vmcs_get(in->v23, GUEST_CR0) & CR0_PG ? efer & ~EFER_LME : efer;
}

static void merge_switch(const struct vmx_merge_in *in, struct vmcs_fields *v13)
{
	const struct vmcs_fields *a = in->v12;
	const struct vmcs_fields *b = in->v23;
	u32 exit23 = vmcs_get(b, EXIT_CONTROLS);
	u32 entry23 = vmcs_get(b, ENTRY_CONTROLS);

	/* An exit that L1 serves must not change L3's PAT: hardware loads L2's only where the next
	 * entry loads L3's again, else L1 does when L3 ends. */
	if (!(entry23 & ENTRY_LOAD_PAT))
		exit23 &= ~EXIT_LOAD_PAT;
	vmcs_set(v13, EXIT_CONTROLS, vmcs_get(a, EXIT_CONTROLS) | exit23);
	vmcs_set(v13, ENTRY_CONTROLS, (vmcs_get(a, ENTRY_CONTROLS) & ~ENTRY_GUEST_64) | entry23);
	/* MSR lists are L1's work: hardware would read L2's memory after it was checked. */
	vmcs_set(v13, EXIT_MSR_STORE_COUNT, 0);
	vmcs_set(v13, EXIT_MSR_LOAD_COUNT, 0);
	vmcs_set(v13, ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_set(v13, EXIT_MSR_STORE_ADDR, 0);
	vmcs_set(v13, EXIT_MSR_LOAD_ADDR, 0);
	vmcs_set(v13, ENTRY_MSR_LOAD_ADDR, 0);
}

static void merge_msrs(const struct vmx_merge_in *in, struct vmcs_fields *v13)
{
	bool load_debug = vmcs_get(in->v23, ENTRY_CONTROLS) & ENTRY_LOAD_DEBUG;
	const struct vmcs_fields *debug = load_debug ? in->v23 : in->v12;

	copy_group(in->v23, VG_MSR, v13);
	vmcs_set(v13, GUEST_DR7, vmcs_get(debug, GUEST_DR7));
	vmcs_set(v13, GUEST_DEBUGCTL, vmcs_get(debug, GUEST_DEBUGCTL));
	vmcs_set(v13, GUEST_EFER, guest_efer(in));
}

static void merge_addresses(const struct vmx_merge_in *in, u32 groups, struct vmcs_fields *v13)
{
	if (groups & BIT(VG_BITMAPS)) {
		vmcs_set(v13, MSR_BITMAP, in->msr_bitmap13);
		vmcs_set(v13, IO_BITMAP_A, in->io_bitmap_a13);
		vmcs_set(v13, IO_BITMAP_B, in->io_bitmap_b13);
	}
	if (groups & BIT(VG_STAGE2)) {
		vmcs_set(v13, EPTP, in->eptp13);
		vmcs_set(v13, VPID, in->vpid13);
	}
	if (groups & BIT(VG_APIC)) {
		copy_group(in->v23, VG_APIC, v13);
		vmcs_set(v13, VIRTUAL_APIC_ADDR, in->virtual_apic13);
		vmcs_set(v13, APIC_ACCESS_ADDR, in->apic_access13);
	}
	/* SDM 3C "Time-Stamp Counter Offset" (25.6.5): offsets of both levels add up. */
	if (groups & BIT(VG_TSC)) {
		u64 offset12 = vmcs_get(in->v12, TSC_OFFSET);
		bool used = vmcs_get(in->v23, PROC_CONTROLS) & PROC_TSC_OFFSETTING;

		vmcs_set(v13, TSC_OFFSET, offset12 + (used ? vmcs_get(in->v23, TSC_OFFSET) : 0));
	}
}

void vmx_merge(const struct vmx_merge_in *in, u32 groups, struct vmcs_fields *v13)
{
	if (groups & BIT(VG_RIP))
		copy_group(in->v23, VG_RIP, v13);
	if (groups & BIT(VG_IP))
		copy_group(in->v23, VG_IP, v13);
	if (groups & BIT(VG_EVENT))
		copy_group(in->v23, VG_EVENT, v13);
	if (!(groups & ~(u32)VG_RUN))
		return;
	if (groups & BIT(VG_CTRL))
		merge_controls(in, v13);
	/* An owned bit of CR0 and CR4 keeps L2's value; VMX's own demands on the rest hold for L3
	 * as they would under L2 alone, so L1 owns no bit here. */
	if (groups & BIT(VG_CRMASK))
		copy_group(in->v23, VG_CRMASK, v13);
	if (groups & BIT(VG_SWITCH))
		merge_switch(in, v13);
	if (groups & BIT(VG_CR))
		copy_group(in->v23, VG_CR, v13);
	if (groups & BIT(VG_PDPTE))
		copy_group(in->v23, VG_PDPTE, v13);
	if (groups & BIT(VG_SEG))
		copy_group(in->v23, VG_SEG, v13);
	if (groups & BIT(VG_TABLES))
		copy_group(in->v23, VG_TABLES, v13);
	if (groups & BIT(VG_MSR))
		merge_msrs(in, v13);
	/* L1 itself does not care which PAT it runs with, so hardware loads L2's at the exit. */
	if (groups & BIT(VG_HOST))
		vmcs_set(v13, HOST_PAT, vmcs_get(in->v23, HOST_PAT));
	merge_addresses(in, groups, v13);
}
