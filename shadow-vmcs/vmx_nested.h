/*
 * Nested VMX for one virtual CPU of L2: what L2 has done with VMX, the VMCSs that it made for its
 * guests (vmcs23), and the merged ones (vmcs13) that L3 runs on.
 *
 * Every VMCS of L2 that is in use has a slot: its fields in memory (vmcs23), a hardware VMCS for L3
 * (vmcs13), and with shadowing a hardware shadow VMCS that L2's VMREAD and VMWRITE reach. A slot
 * says for each group of fields where the truth is.
 *
 * Assumes the CPU that it was created on. Refuses to know the core: what it needs of it comes
 * through struct vmx_core.
 */
#ifndef SHADOW_VMCS_VMX_NESTED_H
#define SHADOW_VMCS_VMX_NESTED_H

#include "l1-hypervisor/leaf/outcome.h"
#include "l1-hypervisor/leaf/regs.h"
#include "l1-hypervisor/leaf/types.h"
#include "nested-ept/cache.h"
#include "shadow-vmcs/bitmap.h"
#include "shadow-vmcs/vmcs_fields.h"
#include "shadow-vmcs/vmx_caps.h"
#include "shadow-vmcs/vmx_check.h"

#define VMX_SLOTS 4
#define VMX_VPIDS 8
#define VPID_L2   1
#define VPID_L3   2 /* the first of VMX_VPIDS */
#define NO_VMCS   PA2(~0ULL)

/* The groups of L3's state and exit information, which hardware keeps in vmcs13. */
#define VG_IN_13                                                                                \
	(BIT(VG_RIP) | BIT(VG_IP) | BIT(VG_CR) | BIT(VG_PDPTE) | BIT(VG_SEG) | BIT(VG_TABLES) | \
	 BIT(VG_MSR) | BIT(VG_SWITCH) | BIT(VG_INFO))

/* The groups that an exit handler changes at nearly every exit. */
#define VG_RUN (BIT(VG_RIP) | BIT(VG_IP) | BIT(VG_EVENT))

struct vcpu;

/* The entry stubs: by VMRESUME, and by VMLAUNCH for a VMCS that is clear. */
void vmx_resume(struct vcpu *vcpu);
void vmx_launch(struct vcpu *vcpu);

/* What L3 does without an exit, since one has shown that it does it, until its next entry: accesses
 * to ports by merged I/O bitmaps, and to debug registers. */
#define PASSES_PORTS 1U
#define PASSES_DR    2U

/* A VMCS region of L1's and the stub that enters it when it is loaded: vmx_launch until its first
 * exit has been reflected. */
struct hw_vmcs {
	pa1_t region;
	void (*enter)(struct vcpu *vcpu);
};

/* What an exit loads that follows from v23's host fields and exit controls. */
struct vmx_host {
	u64 cr0, cr4; /* CR0 without the bits that an exit leaves alone */
	u32 cs_ar, ss_ar, ds_ar, es_ar, fs_ar, gs_ar;
	u32 entry_controls; /* of vmcs12 */
};

struct vmx_slot {
	pa2_t at; /* L2's VMCS region; NO_VMCS when the slot is free */
	u64 last_use;
	bool launched; /* as L2 sees it */
	struct vmcs_fields v23;
	u32 stale;     /* groups that changed in vmcs23 since they were merged into vmcs13 */
	u32 unchecked; /* groups that changed since an entry last passed its checks */
	u32 in_13;     /* groups whose truth is in vmcs13 and not in v23 */
	bool steady;   /* an entry with nothing new but RIP can only fail for RIP */
	struct hw_vmcs vmcs13;
	struct hw_vmcs shadow;
	struct vmcs_fields published; /* what the shadow VMCS holds, for exposed rows */
	bool all_published;           /* false: publish every exposed row at the next chance */
	bool event_changed;           /* L1 changed a row of VG_EVENT since it was published */
	struct vmx_host host;         /* as of the last full entry */
	bool plain_exit;              /* an exit does no more than load host state */
	u64 eptp13;                   /* as merged last */
	struct nept_slot *ept13;      /* NULL when L3 runs on ept12 */
	u64 ept13_key;                /* it is still the same one while its key is this */
	bool missed;                  /* L2 was told of an EPT violation, and may have mended it */
	u64 missed_at, missed_info;
	u16 vpid13;
	u8 passes;                            /* PASSES_...: of what L1 alone intercepts */
	u64 efer13;                           /* as merged last */
	const struct bitmap_page *msr_page23; /* L2's MSR bitmap, or one of ones */
};

/* What nested VMX needs of the core. Pointers of L2 are checked by the callee. */
struct vmx_core {
	bool (*read)(pa2_t at, void *to, u64 length);
	bool (*write)(pa2_t at, const void *from, u64 length);
	bool (*is_ram)(pa2_t at, u64 length);
	const void *(*pointer)(pa2_t at); /* of memory that is_ram() said yes for */
	/* L3 needs these rights at an address of L2's that ept12 denies: true when it has them now.
	 */
	bool (*touch)(pa2_t at, u32 rights);
	const struct nept_memory *memory;
	bool (*rdmsr)(u32 msr, u64 *value);
	bool (*wrmsr)(u32 msr, u64 value);
	pa1_t absent; /* a page that stands for memory that L2 does not have */
	u64 eptp12;
	u32 physical_bits;
	/* Something that ends L2: a VMX abort. Does not return. */
	void (*abort)(const char *sentence);
};

struct vmx_access;

struct vmx_ways {
	const struct vmx_access *access; /* vmcs= */
	bool full;                       /* merge=full */
	bool flush;                      /* tlb=flush */
};

/* A row of the field table that hardware shadowing exposes. */
struct vmx_exposed {
	u32 group_bit;
	u16 encoding;
	u16 row;
};

/* The exposed set as loops want it: what L2 may read, first the rows that an exit changes, then
 * those that L1 changes otherwise, then the rest; and what L2 may write. */
struct vmx_exposure {
	struct vmx_exposed readable[VMCS_ROWS], writable[VMCS_ROWS];
	u32 exit_count; /* of readable: rows of VG_IN_13 */
	u32 live_count; /* of readable: rows that change without L2 writing them */
	u32 readable_count, writable_count;
	u32 collect_first; /* groups of exposed rows that are collected whole */
	bool is_readable[VMCS_ROWS];
};

struct vmx_nested {
	struct regs *regs;
	struct fault *fault;
	u32 *level;
	void (**enter)(struct vcpu *vcpu); /* the core's choice of entry stub: by the loaded VMCS */
	struct vmx_check_env env;
	const struct vmx_core *core;
	const struct vmx_caps *platform;
	struct vmx_caps offered;
	bool enabled; /* nested=on */
	struct vmx_ways ways;

	struct hw_vmcs vmcs12;
	struct hw_vmcs *loaded;
	struct vmcs_fields v12; /* the controls of vmcs12, for the merge */

	bool on; /* L2 executed VMXON */
	bool init_pending;
	pa2_t vmxon_region;
	struct vmx_slot *current;
	/* Row + 1 of each encoding that exists for L2; a table of nothing without a current VMCS.
	 */
	const u8 *rows;
	u8 *rows_offered; /* VMCS_ENCODINGS of them */
	struct vmx_slot slot[VMX_SLOTS];
	u64 clock;

	struct vmx_exposure exposure;
	struct bitmap_page *vmread_bitmap, *vmwrite_bitmap;
	struct bitmap_page *msr_bitmap12, *msr_bitmap13;
	struct bitmap_page *io_bitmaps12, *io_bitmaps13; /* two pages each: A, B */
	pa1_t msr_bitmap13_at, io_bitmaps13_at;

	struct nept_cache cache;
	u32 vpid23[VMX_VPIDS];  /* which VPID of L2 each of ours stands for; ~0 for none */
	struct vmcs_fields v13; /* scratch of the merge */
};

void vmx_load_other(struct vmx_nested *n, struct hw_vmcs *hw);

/* Makes `hw` the current VMCS unless it is. */
static inline void vmx_load(struct vmx_nested *n, struct hw_vmcs *hw)
{
	if (n->loaded != hw)
		vmx_load_other(n, hw);
}

/* --- vmx_insn.c: the instructions of L2 --- */

/* Emulates the VMX instruction that exited with `reason` while L2 ran. vmcs12 is loaded. */
enum outcome vmx_insn(struct vmx_nested *n, u32 reason);

/* --- vmx_slot.c --- */

/* The slot of the VMCS at `at`: found, or taken from the least recently used one and filled from
 * L2's memory. NULL when that memory cannot be read. */
struct vmx_slot *vmx_slot_get(struct vmx_nested *n, pa2_t at);
/* Writes the slot of `at`, if any, back to L2's memory and frees it (VMCLEAR). */
void vmx_slot_clear(struct vmx_nested *n, pa2_t at);
/* Every slot is written back: VMXOFF. */
void vmx_slot_clear_all(struct vmx_nested *n);
/* The fields that exist for L2 have changed with n->offered. */
void vmx_slot_offer(struct vmx_nested *n);
/* Makes a slot, or none, L2's current VMCS. Leaves vmcs12 loaded. */
void vmx_set_current(struct vmx_nested *n, struct vmx_slot *slot);

/* Layout of a VMCS region in L2's memory (SDM 3C "Format of the VMCS Region"); what follows the
 * abort indicator is ours. */
struct vmx_region {
	u32 revision;
	u32 abort;
	u32 launched;
	u32 reserved;
	struct vmcs_fields fields;
};

/* --- vmx_entry.c, vmx_merge.c: into L3 --- */

/* VMLAUNCH or VMRESUME of L2 after the checks of the instruction itself. */
enum outcome vmx_enter_l3(struct vmx_nested *n, bool launch);

/* Inputs of the merge that are not fields. */
struct vmx_merge_in {
	const struct vmcs_fields *v12; /* controls and guest EFER, DR7, DEBUGCTL of vmcs12 */
	const struct vmcs_fields *v23;
	u64 eptp13;
	u16 vpid13;
	u64 msr_bitmap13, io_bitmap_a13, io_bitmap_b13;
	u64 virtual_apic13, apic_access13;
};

/* Fills the rows of `groups` in v13. Pure. */
void vmx_merge(const struct vmx_merge_in *in, u32 groups, struct vmcs_fields *v13);

/* --- vmx_reflect.c: out of L3 --- */

/* Whether L2 asked for the exit `reason` of L3; vmcs13 is loaded. In vmx_route.c. */
bool vmx_l2_wants(const struct vmx_nested *n, u32 reason);
/* L3 makes a string I/O access that L2 does not want: the I/O bitmaps are merged until the next
 * entry, and L3 tries again. */
void vmx_merge_io_bitmaps(struct vmx_nested *n);
/* L3 accesses a debug register, which L2 does not want: it tries again, and L1 remembers. */
void vmx_pass_dr(struct vmx_nested *n);
/* L3 ends with the exit that vmcs13 holds; L2 goes on in its exit handler. */
void vmx_reflect(struct vmx_nested *n, u64 reason);
/* As vmx_reflect() for an NMI that came while L1 ran. */
void vmx_reflect_nmi(struct vmx_nested *n);
/* As vmx_reflect() with exit information of our own: an EPT violation of ept23. */
void vmx_reflect_stage2(struct vmx_nested *n, u32 reason, u64 qualification);
/* Hardware refused to enter vmcs13 with a VM-instruction error: so fails L2's instruction. */
void vmx_reflect_vmfail(struct vmx_nested *n, u32 error);
/* The entry failed (SDM 3C "VM-Entry Failures During or After Loading Guest State"). */
void vmx_reflect_entry_failure(struct vmx_nested *n, u32 reason, u64 qualification);

/* Derives it, before the slot's exits can be served. */
void vmx_host_derive(struct vmx_host *host, const struct vmcs_fields *v, u32 entry_controls12);

/* --- vmx_sync.c: between v23 and vmcs13 --- */

/* What an exit handler reads first: RIP and its like, and the exit information. */
void vmx_collect_exit(struct vmx_nested *n, struct vmx_slot *s);
/* Brings those of `groups` into v23 whose truth is in vmcs13, and loads it if there are any. */
void vmx_collect(struct vmx_nested *n, struct vmx_slot *s, u32 groups);
/* Those fields that rules about RIP, RFLAGS and events look at, in whichever group they are, for an
 * entry with nothing else to check. */
void vmx_collect_run_inputs(struct vmx_nested *n, struct vmx_slot *s);
/* Writes `groups` of v13 to the loaded VMCS: those that nearly every entry changes, VG_RUN, which
 * are in v13 as in v23; and all others. */
void vmx_publish_run(const struct vmcs_fields *v23, u32 groups);
void vmx_publish_rest(const struct vmcs_fields *v13, u32 groups);
/* One field of v23, wherever its truth is. Both leave vmcs12 loaded. */
u64 vmx_read23(struct vmx_nested *n, struct vmx_slot *s, int row);
void vmx_write23(struct vmx_nested *n, struct vmx_slot *s, int row, u64 value);
/* The same, but vmcs13 may be the one that is loaded afterwards. */
u64 vmx_peek23(struct vmx_nested *n, struct vmx_slot *s, int row);
void vmx_set23(struct vmx_nested *n, struct vmx_slot *s, int row, u64 value);

/* --- vmx_msr_list.c --- */

/* A guest's MSRs that hardware switches with the VMCS: the rows of VG_MSR, for RDMSR also the bases
 * of FS and GS, and for EFER's sake CR0. */
struct vmx_msr_state {
	struct vmcs_fields *fields;
	bool has_pat; /* else the guest's PAT is in the processor */
};

/* Loads `count` MSRs from L2's list at `at`; 0, or the number (from 1) of the entry that failed. */
u32 vmx_msr_load_list(struct vmx_nested *n, pa2_t at, u32 count, struct vmx_msr_state *state);
/* Stores MSRs into it. False when one cannot be. */
bool vmx_msr_store_list(struct vmx_nested *n, pa2_t at, u32 count,
			const struct vmx_msr_state *state);

/* --- vmx_stage2.c --- */

/* Which ept13 or ept12 and which VPID the slot runs on; issues the invalidations that are due. */
void vmx_choose_stage2(struct vmx_nested *n, struct vmx_slot *s);
/* Whether the VPID that was chosen for L3 still stands for L2's. */
static inline bool vmx_vpid_is_ours(const struct vmx_nested *n, const struct vmx_slot *s)
{
	u32 vpid23 = vmcs_get(&s->v23, VPID);

	return n->vpid23[vpid23 % VMX_VPIDS] == vpid23 || n->ways.flush ||
	       s->vpid13 == VPID_L3 + VMX_VPIDS;
}

/* Whether a switch between L2 and L3 invalidates mappings of VPIDs. */
static inline bool vmx_switch_flushes(const struct vmx_nested *n, const struct vmx_slot *s)
{
	return !n->ways.flush && !(vmcs_active_proc2(&s->v23) & PROC2_VPID);
}

/* L3's accesses to the task priority of an x2APIC exit again. */
void vmx_hide_x2apic(struct vmx_nested *n);

/* What the switch between L2 and L3 invalidates, and what changes of ept13 made stale. */
void vmx_flush_for_switch(struct vmx_nested *n, const struct vmx_slot *s);
void vmx_flush_ept13(struct vmx_nested *n, struct vmx_slot *s);
/* After an EPT violation that was L2's: L3 will make the same access, and L2 has mended its table
 * by now; so ept13 is filled from it before L3 misses again. */
void vmx_fill_ahead(struct vmx_slot *s);
/* L2 executed INVEPT for one EPTP (or all: NULL), or INVVPID. */
void vmx_drop_ept13(struct vmx_nested *n, const u64 *eptp23);
void vmx_drop_vpid(struct vmx_nested *n, enum invvpid_type type, u16 vpid23, u64 address);
/* L3 missed in the merged table: filled, or for L2. vmcs13 is loaded. */
enum outcome vmx_stage2_miss(struct vmx_nested *n, u32 reason);

#endif
