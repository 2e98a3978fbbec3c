/*
 * Nested SVM for one virtual CPU of L2: what L2 has done with SVM, the VMCBs that it runs its
 * guests on (vmcb23, in its memory), and the merged ones (vmcb13) that L3 really runs on.
 *
 * Every VMCB of L2 that was used lately has a slot: the copy of its controls that was checked, and
 * a vmcb13 that also holds L3's state. A clean bit of L2's says that a group is as in the slot.
 *
 * Assumes the CPU that it was created on, and that GIF is clear whenever L1 runs. Refuses to know
 * the core: what it needs of it comes through struct svm_core.
 */
#ifndef SHADOW_VMCS_SVM_NESTED_H
#define SHADOW_VMCS_SVM_NESTED_H

#include "l1-hypervisor/leaf/outcome.h"
#include "l1-hypervisor/leaf/regs.h"
#include "l1-hypervisor/leaf/types.h"
#include "nested-ept/cache.h"
#include "shadow-vmcs/svm_bits.h"
#include "shadow-vmcs/svm_caps.h"
#include "shadow-vmcs/svm_check.h"
#include "shadow-vmcs/vmcb.h"

#define SVM_SLOTS 4
#define NO_VMCB   PA2(~0ULL)

/* L2's ASID. The ASID n of L2 for its guests is n + 1 of hardware's, which is why L2 is offered one
 * less than there are. */
#define ASID_L2 1U

/* What the entry stub runs, and the GS bases: VMRUN and #VMEXIT leave that register alone, and L1
 * has its own structure there. */
struct svm_run {
	struct vmcb *vmcb;
	u64 vmcb_at;
	u64 gs_guest, gs_host;
	bool fsgsbase; /* by RDGSBASE and WRGSBASE, not by MSR */
};

/* A VMCB of L1's. */
struct hw_vmcb {
	struct vmcb *vmcb;
	pa1_t at;
};

struct svm_slot {
	pa2_t at;           /* L2's VMCB, a page of its RAM; NO_VMCB when the slot is free */
	struct vmcb *live;  /* where L1 sees it */
	const u64 *msrpm23; /* where L1 sees L2's MSR map, or what is to be merged in its place */
	u64 last_use;
	struct vmcb_control v23; /* L2's controls: the copy that was checked */
	struct hw_vmcb vmcb13;
	u32 stale;               /* groups in which vmcb13 may differ from what L2 means */
	struct nept_slot *npt13; /* NULL when L3 runs on npt12 */
	u64 npt13_key;           /* it is still the same one while its key is this */
	u64 npt13_removals;      /* of its table at the last flush */
	u64 pool_given;          /* of the pool of all tables at the last flush */
	bool iopm_is_merged;     /* vmcb13 runs on the merged I/O map until the next entry */
	u64 injected;            /* the event that the last entry injected */
	bool flush_due;          /* the ASID may still have translations of another table */
	bool gif_closed;         /* by L3 itself, until its STGI or #VMEXIT */
	u32 held;                /* what L2 intercepts of the events that wait for that */
	u64 taken;               /* what its int_control gets back then */
	u8 tpr;                  /* the physical one when it closed */
	bool svme_is_off; /* L3 has cleared its EFER.SVME since its VMRUN; hardware's is on */
	bool missed;      /* L2 was told of a nested page fault, and may have mended it */
	u64 missed_at, missed_info;
};

/* What nested SVM needs of the core. Pointers of L2 are checked by the callee. */
struct svm_core {
	bool (*is_ram)(pa2_t at, u64 length);
	void *(*pointer)(pa2_t at); /* of memory that is_ram() said yes for */
	/* L3 needs these rights at an address of L2's that npt12 denies: true when it has them now.
	 */
	bool (*touch)(pa2_t at, u32 rights);
	const struct nept_memory *memory;
	u64 ncr3_12;
	u32 physical_bits;
	/* The PIC's interrupts wait at this CPU's local APIC, or no longer. */
	void (*hold_pic)(bool on);
	/* The vector of the interrupt that the local APIC has given to this CPU last and that is
	 * not ended yet; 0 if there is none. */
	u8 (*in_service)(void);
	/* Something that ends L2. Does not return. */
	void (*abort)(const char *sentence);
};

struct svm_ways {
	bool copy_all;    /* vmcb=copy-all: L2's clean bits are not believed */
	bool virtual_vls; /* vls=virtual */
	bool virtual_gif; /* gif=virtual */
	bool shadow;      /* npt=shadow-on-npt: L2 is not offered nested paging */
	bool flush;       /* tlb=flush */
};

/* L1's permission maps for L2 (12) and those that L3 runs on (13), all of hardware's layout. */
struct svm_maps {
	u8 *msrpm12, *msrpm13; /* MSRPM_SIZE bytes */
	u8 *iopm12, *iopm13;   /* IOPM_SIZE bytes; 13 is merged for string instructions only */
	u8 *ones;              /* IOPM_SIZE bytes: everything exits */
	pa1_t msrpm12_at, msrpm13_at, iopm12_at, iopm13_at, ones_at;
};

struct svm_nested {
	struct regs *regs;
	struct fault *fault;
	u32 *level;
	struct svm_run *run;
	const struct svm_core *core;
	const struct svm_caps *platform;
	struct svm_caps offered;
	struct svm_check_env env;
	bool enabled;   /* nested=on */
	bool kvm_below; /* the platform is Linux's KVM: svm_gif.c */
	bool is_bochs;  /* the platform is Bochs: svm_stage2.c */
	struct svm_ways ways;
	struct svm_maps maps;

	struct hw_vmcb vmcb12;
	/* The controls of vmcb12 for the merge: without what a closed GIF of L2's adds to it. */
	struct vmcb_control v12;
	u8 tpr;         /* the physical TPR (CR8) that vmcb12's V_TPR stands for, if known */
	bool has_vm_cr; /* the platform has the MSR VM_CR: else L2 has none either */
	bool svme;      /* EFER.SVME as L2 has it; hardware's is always on */
	bool gif;       /* L2's GIF with gif=trap; with gif=virtual it is in vmcb12 */
	u64 vm_cr;      /* MSR VM_CR as L2 has it */
	u64 hsave_pa;   /* MSR VM_HSAVE_PA as L2 has it */
	u64 tsc_ratio;  /* MSR TSC_RATIO as L2 has it, which counts while L3 runs */
	bool scales;    /* it is not 1 */

	struct svm_slot *current; /* what L3 runs on, while *level is 3, or ran on last */
	struct svm_slot slot[SVM_SLOTS];
	u64 clock;
	u64 mode; /* L2's paging at its last VMRUN, as svm_entry.c compares it */
	struct nept_features features23; /* of L2's nested tables */
	struct nept_cache cache;         /* npt13s, by nested CR3 and ASID of L2 */
};

/* A group of a VMCB has changed: hardware must not use what it may have kept of it. */
static inline void svm_changed(struct vmcb *vmcb, enum vmcb_group group)
{
	vmcb->c.clean &= ~BIT32(group);
}

/* --- svm_insn.c: the instructions of L2 --- */

/* Emulates the SVM instruction that exited with `exit` (an enum svm_exit) at vcpu level 2, or at
 * level 3 where L2 does not intercept it: VMRUN, VMLOAD, VMSAVE, STGI, CLGI, INVLPGA, SKINIT. The
 * caller has not advanced RIP yet; OUTCOME_ADVANCE asks it to. After VMRUN that is done already:
 * `next_rip` is where L2 goes on. */
enum outcome svm_insn(struct svm_nested *n, u32 exit, u64 next_rip);

/* Whether L2's global interrupt flag is set. */
bool svm_gif(const struct svm_nested *n);
/* Whether EFER.SVME of whoever runs is set, as that guest has it. */
bool svm_svme(const struct svm_nested *n);
void svm_set_gif(struct svm_nested *n, bool on);
/* Makes vmcb12 agree with the ways and with L2's EFER.SVME; an open GIF stays open. */
void svm_gif_ways(struct svm_nested *n);
/* An interrupt, or an NMI that L1 has taken if L2's GIF is closed, made L2 exit: from now on it
 * reaches L2 by itself, or waits until the GIF opens. */
void svm_gif_event(struct svm_nested *n);
/* A virtual interrupt that L1 did not ask for made L2 exit. */
void svm_gif_window(struct svm_nested *n);
/* STGI and CLGI of L3, where L2 lets it have them. */
void svm_set_gif_of_l3(struct svm_nested *n, bool on);

/* L3 ends while it has closed the machine. */
void svm_end_gif_of_l3(struct svm_nested *n);

/* --- svm_msr.c: EFER, VM_CR, VM_HSAVE_PA and their kin, as L2 has them --- */

/* False for an MSR that is not SVM's. `*ok` false is #GP. */
bool svm_rdmsr(struct svm_nested *n, u32 msr, u64 *value, bool *ok);
bool svm_wrmsr(struct svm_nested *n, u32 msr, u64 value, bool *ok);

/* --- svm_route.c, svm_reflect.c: out of L3 --- */

/* Whether L2 asked for the exit of L3 that vmcb13 holds. */
bool svm_l2_wants(const struct svm_nested *n, u32 exit);
/* L3 ends with the exit that vmcb13 holds; L2 goes on behind its VMRUN. */
void svm_reflect(struct svm_nested *n);
/* As svm_reflect() with exit information of our own. */
void svm_reflect_as(struct svm_nested *n, u64 code, u64 info1, u64 info2);

/* --- svm_stage2.c --- */

/* L3's own memory, as its page tables speak of it, for what L1 reads there for L3. */
struct nept_memory svm_l3_memory(struct svm_nested *n);
/* L3 missed in the merged table: filled, or for L2 (OUTCOME_REFLECT: done). */
enum outcome svm_stage2_miss(struct svm_nested *n);
/* An event whose delivery a miss interrupted, or 0: the next entry of L3 delivers it. */
void svm_inject_again(struct svm_slot *s, u64 event);
/* Forgets all merged tables. */
void svm_drop_stage2(struct svm_nested *n);
/* L2 executed INVLPGA for one of its ASIDs, or for 0, its own. */
void svm_drop_page(struct svm_nested *n, u64 address, u32 asid23);

/* --- svm_slot.c --- */

/* The slot of L2's VMCB at `at`, a page of its RAM: found, or the least recently used one with
 * everything stale. */
struct svm_slot *svm_slot_get(struct svm_nested *n, pa2_t at);
/* Everything is stale, everywhere: the ways or what L2 is offered have changed. */
void svm_slot_forget_all(struct svm_nested *n);

#endif
