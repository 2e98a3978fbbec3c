/*
 * The run loop, and nothing else: enter, decode, count, handle, finish. See docs/design.md, "An
 * exit's way through the code".
 */
#include "l1-hypervisor/vcpu.h"

#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/memory.h"

const struct backend *backend;

#define PAGES_FOR(type) (ALIGN_UP(sizeof(type), PAGE_SIZE) / PAGE_SIZE)

void vcpu_create(const struct options *options)
{
	struct vcpu *vcpu = memory_pages(PAGES_FOR(struct vcpu));

	vcpu->index = this_cpu()->index;
	vcpu->level = 2;
	vcpu->stats = memory_pages(PAGES_FOR(struct stats));
	vcpu->trace = memory_pages(PAGES_FOR(struct trace));
	vcpu->stats_mode = options->stats;
	trace_init(vcpu->trace);
	this_cpu()->vcpu = vcpu;
	backend->vcpu_init(vcpu, options);
}

/*
 * Calls the entry stub. The stub changes every register, which the compiler is told here, so that
 * it keeps nothing in registers across the guest and the stub need not save and restore them.
 */
static inline void enter(struct vcpu *vcpu)
{
	__asm__ volatile("call *%1"
			 : "+D"(vcpu)
			 : "m"(backend->enter)
			 : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13",
			   "r14", "r15", "memory", "cc");
}

static inline void count_exit(struct vcpu *vcpu, u32 level, u32 reason, enum stats_by by,
			      u64 start)
{
	struct stats_row *row = stats_row(vcpu->stats, level, reason, by);

	if (vcpu->stats_mode == STATS_OFF)
		return;
	row->count++;
	if (unlikely(vcpu->stats_mode == STATS_FULL))
		stats_ticks(row, rdtsc() - start);
}

void vcpu_loop(void)
{
	struct vcpu *vcpu = this_cpu()->vcpu;
	u64 start = 0;

	for (;;) {
		enter(vcpu);
		count_access(exits, 1);
		if (unlikely(vcpu->stats_mode == STATS_FULL))
			start = rdtsc();
		backend->decode(vcpu);

		enum stats_by by = BY_L1;
		u32 level = vcpu->level;
		u32 reason = vcpu->reason;
		enum outcome outcome = backend->handle(vcpu, &by);

		if (outcome != OUTCOME_RESUME)
			backend->finish(vcpu, outcome);
		if (unlikely(vcpu->pending || this_cpu()->nmi_pending))
			backend->prepare(vcpu);
		count_exit(vcpu, level, reason, by, start);
	}
}
