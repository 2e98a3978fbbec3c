/*
 * Stands in for shadow-vmcs/svm_hw.h when that room is compiled for the host tests: the same names,
 * but what is executed is only counted, in fake_svm.
 */
#ifndef SHADOW_VMCS_SVM_HW_H
#define SHADOW_VMCS_SVM_HW_H

#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/svm_nested.h"

/* What the core had the CPU execute. */
struct fake_svm {
	u32 vmloads, vmsaves, flushes, invlpgas;
	u64 map_words;
	pa1_t vls_at; /* of the last VMLOAD or VMSAVE */
	u64 invlpga_address;
	u32 invlpga_asid;
	bool interrupts; /* RFLAGS.IF */
	u8 tpr;
	u64 tsc_ratio; /* 0: it was never written */
};

extern struct fake_svm fake_svm;

static inline void svm_vmload(struct svm_run *run, pa1_t at)
{
	(void)run;
	fake_svm.vmloads++;
	fake_svm.vls_at = at;
}

static inline void svm_vmsave(struct svm_run *run, pa1_t at)
{
	(void)run;
	fake_svm.vmsaves++;
	fake_svm.vls_at = at;
}

static inline void svm_invlpga(u64 address, u32 asid)
{
	fake_svm.invlpgas++;
	fake_svm.invlpga_address = address;
	fake_svm.invlpga_asid = asid;
}

static inline void svm_flush(struct vmcb *vmcb, u32 how)
{
	fake_svm.flushes++;
	vmcb->c.tlb_control = how;
}

static inline void svm_count_map_words(u64 words)
{
	fake_svm.map_words += words;
}

static inline void svm_host_interrupts(bool on)
{
	fake_svm.interrupts = on;
}

static inline u8 svm_tpr_read(void)
{
	return fake_svm.tpr;
}

static inline void svm_tpr_write(u8 tpr)
{
	fake_svm.tpr = tpr;
}

static inline void svm_tsc_ratio_write(u64 ratio)
{
	fake_svm.tsc_ratio = ratio;
}

#endif
