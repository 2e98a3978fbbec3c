/*
 * One virtual CPU of L2, pinned to the physical CPU it runs on, and the table of operations by
 * which the core drives whichever vendor's backend the boot chose.
 */
#ifndef L1_VCPU_H
#define L1_VCPU_H

#include "l1-hypervisor/apic_base.h"
#include "l1-hypervisor/leaf/outcome.h"
#include "l1-hypervisor/leaf/percpu.h"
#include "l1-hypervisor/leaf/regs.h"
#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/loader.h"
#include "l1-hypervisor/options.h"
#include "l1-hypervisor/refusal.h"
#include "l1-hypervisor/stats.h"
#include "l1-hypervisor/trace.h"
#include "shadow-vmcs/svm_nested.h"

/* Work to do before the next entry, in this_cpu()->head.pending. */
#define PENDING_NMI             1U /* one reached this CPU while L1 ran; it is the guest's */
#define PENDING_ABSENT_PAGE     2U /* a page of absent memory was lent writable: take it back */
#define PENDING_ABSENT_PAGE_NEW 4U /* it was lent in this exit: let the store happen first */
#define PENDING_SMI             8U /* SVM: one was taken while a guest's GIF was closed */

struct vcpu {
	struct regs regs;              /* first: the entry stub pushes and pops it */
	u64 stack;                     /* L1's stack pointer in the entry stub's caller */
	void (*enter)(struct vcpu *v); /* the entry stub that is due */
	struct svm_run run;            /* SVM: what it runs */

	u32 level;          /* what runs or has just exited: 2 or 3 */
	u64 rip;            /* at the exit */
	u64 next_rip;       /* SVM: behind the instruction that exited */
	struct fault fault; /* for OUTCOME_EXCEPTION */
	struct apic_base apic_base;
	enum stats_mode stats_mode;
	void *backend_state;
	u32 index;
	enum stats_by by; /* who handled the last exit of L3 */
	struct trace trace;
	struct stats stats;
};

/* A counter of struct access_counters, as the log names it. */
struct access_name {
	const char *name;
	u32 offset;
};

#define ACCESS_NAMES 5
#define ACCESS_NAME(counter)                                         \
	{                                                            \
#counter, offsetof(struct access_counters, counter), \
	}

/*
 * A vendor's backend. All but is_there() and probe() run on the CPU of the virtual CPU that they
 * are given.
 */
struct backend {
	const char *name;
	enum vendor vendor;
	/* What L1 does for nesting, and is counted; a hypercall tells the first three. */
	struct access_name accesses[ACCESS_NAMES];
	/* Whether this CPU is of that vendor, and can run guests at all. */
	bool (*is_there)(void);
	/* Whether this machine can run L2 and do the ways that were asked for. */
	bool (*probe)(const struct options *options, struct refusal *why);
	/* Once, on CPU 0: builds L2's second-level table from its memory map. */
	void (*machine_init)(const struct memory_map *map);
	/* Whether a CPU of a guest's can wait for a start-up IPI without L1. */
	bool waits_for_sipi;
	/* Enables virtualization on this CPU and makes `vcpu` ready to start L2 or wait. */
	void (*vcpu_init)(struct vcpu *vcpu, const struct options *options);
	void (*start)(struct vcpu *vcpu, const struct load_plan *plan);
	void (*wait_for_sipi)(struct vcpu *vcpu);
	/* Ends the wait: L2's CPU begins in real mode at the page `vector`. */
	void (*start_up)(struct vcpu *vcpu, u8 vector);
	/* Serves the exit: decodes it into level, reason and rip, traces and counts it, asks whose
	 * it is, does what it asks for and applies the outcome to the guest. */
	void (*handle)(struct vcpu *vcpu);
	/* Prepares for the next entry what is pending. */
	void (*prepare)(struct vcpu *vcpu);
	/* The ways that are set, and their names for a line of the log. */
	const struct ways *(*ways)(struct vcpu *vcpu);
	void (*log_ways)(const struct ways *ways);
	/* Changes the ways between two entries; refuses what the platform lacks. */
	bool (*set_ways)(struct vcpu *vcpu, const struct ways *ways, struct refusal *why);
	/* Forgets the merged stage-2 tables of this CPU. */
	void (*drop_stage2)(struct vcpu *vcpu);
	/* Writes guest state to the log, for a panic. */
	void (*dump)(struct vcpu *vcpu);
	const char *(*reason_name)(u32 reason);
};

extern const struct backend vmx_backend, svm_backend;

/* The backend that the boot chose. */
extern struct backend backend;

/* The counter that `backend` has at `index`. */
static inline u64 access_count(const struct access_counters *counters, u32 index)
{
	return *(const u64 *)(const void *)((const u8 *)counters + backend.accesses[index].offset);
}

/* Allocates this CPU's virtual CPU. */
void vcpu_create(const struct options *options);

/* Runs the current CPU's guest for ever. */
__attribute__((noreturn)) void vcpu_loop(void);

#endif
