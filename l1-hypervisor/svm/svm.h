/*
 * The SVM backend's own parts: the CPU (EFER.SVME, capabilities), vmcb12, and the exits of L2 that
 * L1 serves. The nesting is in shadow-vmcs/.
 */
#ifndef L1_SVM_H
#define L1_SVM_H

#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/vcpu.h"
#include "shadow-vmcs/svm_hw.h"
#include "shadow-vmcs/svm_length.h"
#include "shadow-vmcs/svm_nested.h"

struct svm_vcpu {
	struct svm_nested nested;
	struct vcpu *vcpu;
	struct svm_core core;
	struct ways ways;
	struct svm_sites sites;       /* of L2's code */
	struct nept_memory l3_memory; /* by L3's physical addresses */
	bool pic_is_held;
	u32 lint0; /* of the local APIC, as L2 has it, while the PIC is held there */
};

static inline struct svm_vcpu *svm_of(struct vcpu *vcpu)
{
	return vcpu->backend_state;
}

/* --- svm_cpu.c --- */

/* What CPUID tells of the platform, read once. */
const struct svm_caps *svm_platform(void);
bool svm_is_there(void);
/* Whether SVM can be used here with what L2 needs: nested paging. */
bool svm_probe(const struct options *options, struct refusal *why);
/* Whether the platform can do these ways. */
bool svm_ways_possible(const struct ways *ways, struct refusal *why);
/* Width of physical addresses on this CPU. */
u32 svm_physical_bits(void);
/* The largest pages that nested tables may have, as an enum of nested-ept/format.h. */
u32 svm_max_shift(void);
/* Builds npt12, with the largest pages that the CPU has. */
void svm_machine_init(const struct memory_map *map);
/* SVM on this CPU: EFER.SVME, the host save area, GIF clear. */
void svm_cpu_enable(void);
/* Whether the platform is Bochs, once SVM is enabled. */
bool svm_is_bochs(void);
/* The entry stub that suits this CPU. */
void svm_choose_stub(struct vcpu *vcpu);
/* A VMCB of L1's, all zeros. */
struct hw_vmcb svm_vmcb_new(void);
/* Lets what hardware holds back reach L1 now: an NMI is pending afterwards, an SMI is over. */
void svm_take_held(void);

/* --- svm_vmcb12.c --- */

/* Fills the controls of vmcb12. */
void svm_vmcb12_init(struct svm_vcpu *v);
/* What of vmcb12 follows from the ways and from L2's EFER.SVME. */
void svm_vmcb12_ways(struct svm_vcpu *v);
void svm_start(struct vcpu *vcpu, const struct load_plan *plan);
void svm_wait_for_sipi(struct vcpu *vcpu);
void svm_start_up(struct vcpu *vcpu, u8 vector);

/* --- svm_handle.c, svm_msr.c: exits of L2 by the handler column of svm_exits.def --- */

typedef enum outcome svm_handler(struct vcpu *vcpu, u32 exit);
svm_handler svm_handle_cpuid, svm_handle_msr, svm_handle_io, svm_handle_npf, svm_handle_shutdown,
	svm_handle_vmmcall, svm_handle_svm, svm_handle_nmi, svm_handle_intr, svm_handle_vintr,
	svm_handle_init, svm_handle_invd, svm_handle_invalid, svm_handle_none;

/* Adds to a permission map the MSRs that L1 answers for and those that L2 does not have. In
 * svm_msr.c. */
void svm_intercept_msrs(u8 *msrpm);

/* Exits of L3 that L2 does not want: L1 serves them for L3. */
enum outcome svm_handle_for_l3(struct vcpu *vcpu, u32 exit);
/* The most frequent one: a miss in npt13 or npt12. */
svm_handler svm_handle_npf_of_l3;

/* Makes `fault` the outcome. */
enum outcome svm_fault(struct vcpu *vcpu, u8 vector, bool has_error_code, u32 error_code);

/* --- svm_vcpu.c --- */

void svm_vcpu_init(struct vcpu *vcpu, const struct options *options);
bool svm_set_ways(struct vcpu *vcpu, const struct ways *ways, struct refusal *why);
void svm_forget_stage2(struct vcpu *vcpu);

/* --- svm_apic.c --- */

/* Whether the nested page fault at `at` was a store to the local APIC that L1 watches; it is done.
 */
bool svm_apic_store(struct vcpu *vcpu, u64 at);
/* Masks the local interrupt of this CPU that the PIC's come by, or takes that back. */
void svm_hold_pic(bool on);
/* The highest vector in service at the local APIC, or 0. */
u8 svm_in_service(void);

/* --- svm_finish.c --- */

/* Applies what an outcome does to the guest that runs: the only place that raises exceptions, and
 * with svm_advance() moves RIP. */
void svm_finish(struct vcpu *vcpu, enum outcome outcome);
void svm_prepare(struct vcpu *vcpu);
/* An interrupt shadow, RFLAGS.RF, a single step: what an instruction's end does beyond moving RIP.
 */
void svm_advance_rare(struct vcpu *vcpu);

/* svm_find_end() where L1 has not seen the instruction before, or need not remember it. */
bool svm_find_new_end(struct vcpu *vcpu, u32 exit);

/* Finds where the instruction that exited ends, in vcpu->next_rip. False when the guest's code is
 * not that instruction any more: it is to run again, nothing having been done. */
static inline __attribute__((always_inline)) bool svm_find_end(struct vcpu *vcpu, u32 exit)
{
	if (likely(vcpu->level == 2 &&
		   svm_known_next_rip(&svm_of(vcpu)->sites, vcpu->run.vmcb, exit, &vcpu->next_rip)))
		return true;
	return svm_find_new_end(vcpu, exit);
}

/* An emulated instruction ends as every instruction does, at vcpu->next_rip. */
static inline void svm_advance(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu->run.vmcb;

	vmcb->s.rip = vcpu->next_rip;
	if (unlikely(vmcb->c.int_state & INT_STATE_SHADOW) ||
	    unlikely(vmcb->s.rflags & (RFLAGS_TF | RFLAGS_RF)))
		svm_advance_rare(vcpu);
}

#endif
