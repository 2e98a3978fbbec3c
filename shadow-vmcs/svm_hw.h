/*
 * The SVM instructions that L1 executes for L2, and what else of the CPU the nested core changes,
 * with every use counted. Needs EFER.SVME, and that GIF is clear: GS is a guest's in between.
 */
#ifndef SHADOW_VMCS_SVM_HW_H
#define SHADOW_VMCS_SVM_HW_H

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/percpu.h"
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/svm_nested.h"

static inline u64 gs_base_read(const struct svm_run *run)
{
	u64 base;

	if (unlikely(!run->fsgsbase))
		return rdmsr(MSR_GS_BASE);
	__asm__ volatile("rdgsbase %0" : "=r"(base));
	return base;
}

static inline void gs_base_write(const struct svm_run *run, u64 base)
{
	if (likely(run->fsgsbase))
		__asm__ volatile("wrgsbase %0" : : "r"(base) : "memory");
	else
		wrmsr(MSR_GS_BASE, base);
}

/* VMLOAD from a page in RAM. The guest's GS base goes to where the entry stub takes it. */
static inline void svm_vmload(struct svm_run *run, pa1_t at)
{
	count_access(vmloads, 1);
	__asm__ volatile("vmload %0" : : "a"(at.v) : "memory");
	run->gs_guest = gs_base_read(run);
	gs_base_write(run, run->gs_host);
}

/* VMSAVE to a page in RAM, with the guest's GS base. */
static inline void svm_vmsave(struct svm_run *run, pa1_t at)
{
	count_access(vmsaves, 1);
	gs_base_write(run, run->gs_guest);
	__asm__ volatile("vmsave %0" : : "a"(at.v) : "memory");
	gs_base_write(run, run->gs_host);
}

static inline void svm_invlpga(u64 address, u32 asid)
{
	count_access(invlpgas, 1);
	__asm__ volatile("invlpga %0, %1" : : "a"(address), "c"(asid) : "memory");
}

/* The next VMRUN of this VMCB flushes, `how` being one of TLB_... The exit that follows takes the
 * request back. One for everything includes the others. */
static inline void svm_flush(struct vmcb *vmcb, u32 how)
{
	count_access(tlb_flushes, 1);
	if (vmcb->c.tlb_control != TLB_FLUSH_ALL)
		vmcb->c.tlb_control = how;
}

/* Words of permission maps that were merged. */
static inline void svm_count_map_words(u64 words)
{
	count_access(map_words, words);
}

/* APM 2 "Interrupt Masking in EFLAGS" (15.21.1): while V_INTR_MASKING is set, RFLAGS.IF at VMRUN,
 * which is L1's, masks physical interrupts. L1 itself takes none, since GIF is clear. */
static inline void svm_host_interrupts(bool on)
{
	if (on)
		__asm__ volatile("sti" : : : "memory");
	else
		__asm__ volatile("cli" : : : "memory");
}

/* The physical task priority: CR8. */
static inline u8 svm_tpr_read(void)
{
	u64 tpr;

	__asm__ volatile("mov %%cr8, %0" : "=r"(tpr));
	return (u8)tpr;
}

static inline void svm_tpr_write(u8 tpr)
{
	__asm__ volatile("mov %0, %%cr8" : : "r"((u64)tpr) : "memory");
}

/* What guests' time-stamp counters are multiplied with. Only with that feature. */
static inline void svm_tsc_ratio_write(u64 ratio)
{
	wrmsr(MSR_TSC_RATIO, ratio);
}

#endif
