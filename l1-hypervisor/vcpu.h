/*
 * One virtual CPU of L2, pinned to the physical CPU it runs on, and the table of operations by
 * which the core drives whichever vendor's backend the boot chose.
 */
#ifndef L1_VCPU_H
#define L1_VCPU_H

#include "l1-hypervisor/leaf/outcome.h"
#include "l1-hypervisor/leaf/regs.h"
#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/loader.h"
#include "l1-hypervisor/options.h"
#include "l1-hypervisor/refusal.h"
#include "l1-hypervisor/stats.h"
#include "l1-hypervisor/trace.h"

/* Work to do before the next entry, in vcpu->pending. */
#define PENDING_ABSENT_PAGE     BIT(0) /* a page of absent memory was lent writable: take it back */
#define PENDING_ABSENT_PAGE_NEW BIT(1) /* it was lent in this exit: let the store happen first */

struct vcpu {
	struct regs regs; /* first: the entry stub pushes and pops it */
	u64 stack;        /* L1's stack while the guest runs (entry stub) */
	u32 launched;     /* the loaded VMCS was launched (entry stub) */
	u32 entry_failed; /* the entry instruction failed (entry stub) */

	u32 level; /* whose exit is handled: 2 or 3 */
	u32 reason;
	u64 pending;
	struct fault fault; /* for OUTCOME_EXCEPTION */
	enum stats_mode stats_mode;
	struct stats *stats;
	struct trace *trace;
	void *backend_state;
	u32 index;
};

/*
 * A vendor's backend. All but probe() run on the CPU of the virtual CPU that they are given.
 */
struct backend {
	const char *name;
	/* Whether this machine can run L2 and do the ways that were asked for. */
	bool (*probe)(const struct options *options, struct refusal *why);
	/* Enables virtualization on this CPU and makes `vcpu` ready to start L2 or wait. */
	void (*vcpu_init)(struct vcpu *vcpu, const struct options *options);
	void (*start)(struct vcpu *vcpu, const struct load_plan *plan);
	void (*wait_for_sipi)(struct vcpu *vcpu);
	/* The entry stub: runs the guest until it exits. Changes every register but RSP and RBP. */
	void (*enter)(struct vcpu *vcpu);
	/* After an exit: fills level and reason. */
	void (*decode)(struct vcpu *vcpu);
	/* Does what the exit asks for; `*by` says for whom it was. */
	enum outcome (*handle)(struct vcpu *vcpu, enum stats_by *by);
	/* Applies the outcome to the guest that was current: the only place that advances RIP,
	 * raises exceptions or sets the flags of VMfail. */
	void (*finish)(struct vcpu *vcpu, enum outcome outcome);
	/* Prepares for the next entry when vcpu->pending or an NMI asks for it. */
	void (*prepare)(struct vcpu *vcpu);
	/* The ways that are set. */
	const struct ways *(*ways)(struct vcpu *vcpu);
	/* Changes the ways between two entries; refuses what the platform lacks. */
	bool (*set_ways)(struct vcpu *vcpu, const struct ways *ways, struct refusal *why);
	/* Forgets the merged stage-2 tables of this CPU. */
	void (*drop_stage2)(struct vcpu *vcpu);
	/* Writes guest state to the log, for a panic. */
	void (*dump)(struct vcpu *vcpu);
	const char *(*reason_name)(u32 reason);
};

extern const struct backend vmx_backend;

/* The backend that the boot chose. */
extern const struct backend *backend;

/* Allocates this CPU's virtual CPU. */
void vcpu_create(const struct options *options);

/* Runs the current CPU's guest for ever. */
__attribute__((noreturn)) void vcpu_loop(void);

#endif
