/*
 * The run loop, and nothing else: enter, decode, count, handle, finish. See docs/design.md, "An
 * exit's way through the code".
 */
#include "l1-hypervisor/vcpu.h"

#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/memory.h"

struct backend backend;

#define PAGES_FOR(type) (ALIGN_UP(sizeof(type), PAGE_SIZE) / PAGE_SIZE)

void vcpu_create(const struct options *options)
{
	struct vcpu *vcpu = memory_pages(PAGES_FOR(struct vcpu));

	vcpu->index = this_cpu()->index;
	vcpu->level = 2;
	vcpu->stats_mode = options->stats;
	trace_init(&vcpu->trace);
	this_cpu()->head.vcpu = vcpu;
	backend.vcpu_init(vcpu, options);
}

/*
 * Calls the entry stub that is due. It changes every register, which the compiler is told here, so
 * that nothing is kept in registers across the guest and the stub need not save and restore them.
 */
static inline __attribute__((always_inline)) struct vcpu *enter(void)
{
	struct vcpu *vcpu;

	__asm__ volatile("mov %%gs:%c1, %0\n\t"
			 "call *%c2(%0)"
			 : "=&D"(vcpu)
			 : "i"(offsetof(struct cpu_head, vcpu)), "i"(offsetof(struct vcpu, enter))
			 : "rax", "rbx", "rcx", "rdx", "rsi", "rbp", "r8", "r9", "r10", "r11",
			   "r12", "r13", "r14", "r15", "memory", "cc");
	return vcpu;
}

/* The stack pointer inside of the entry stub, which is called from one place with one depth. */
static inline __attribute__((always_inline)) void note_stack(struct vcpu *vcpu)
{
	__asm__ volatile("lea -8(%%rsp), %0" : "=r"(vcpu->stack));
}

/* stats=full: the ticks between exit and entry too. */
__attribute__((noreturn)) static void loop_timed(struct vcpu *vcpu)
{
	note_stack(vcpu);
	for (;;) {
		vcpu = enter();

		u64 start = rdtsc();
		u32 level = vcpu->level;

		vcpu->by = BY_L1;
		backend.handle(vcpu);
		if (unlikely(has_pending()))
			backend.prepare(vcpu);
		stats_add_ticks(&vcpu->stats, level, vcpu->by,
				trace_last(&vcpu->trace)->reason & ~(u64)TRACE_LEVEL3,
				rdtsc() - start);
	}
}

__attribute__((noreturn)) static void loop(struct vcpu *vcpu)
{
	note_stack(vcpu);
	for (;;) {
		vcpu = enter();
		backend.handle(vcpu);
		if (unlikely(has_pending()))
			backend.prepare(this_vcpu());
	}
}

void vcpu_loop(void)
{
	struct vcpu *vcpu = this_vcpu();

	if (vcpu->stats_mode == STATS_FULL)
		loop_timed(vcpu);
	loop(vcpu);
}
