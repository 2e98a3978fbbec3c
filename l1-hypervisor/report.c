/*
 * Reports of L1; see report.h.
 */
#include "l1-hypervisor/report.h"

#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/log.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/vcpu.h"

#include "version.h"

/* SDM 2A "CPUID": leaves 80000002H to 80000004H spell the processor's name. */
static void log_cpu_name(void)
{
	union {
		struct cpuid_regs leaf[3];
		char text[49];
	} name = { 0 };

	for (u32 i = 0; i < 3; i++)
		name.leaf[i] = cpuid(0x80000002 + i, 0);
	log_text("cpu", name.text);
}

void report_start(const struct options *options)
{
	struct memory_range taken = memory_taken();

	log_begin("start");
	log_number("version", NB_VERSION);
	log_text("commit", NESTBED_COMMIT);
	log_text("backend", backend.name);
	log_cpu_name();
	log_number("cpus", options->cpus);
	log_number("memory_taken", taken.end - taken.start);
	log_number("memory_from", taken.start);
	log_number("memory_left", memory_pages_left() * PAGE_SIZE);
	log_number("trace_at", physical_of(&this_vcpu()->trace).v);
	log_text("stats", options_value_name(OPTION_STATS, options->stats));
	backend.log_ways(&options->ways);
	log_number("tsc", rdtsc());
	log_end();
}

void report_native(void)
{
	log_begin("native");
	log_number("tsc", rdtsc());
	log_end();
}

void report_ways(const struct ways *ways)
{
	log_begin("strategy");
	backend.log_ways(ways);
	log_end();
}

static void log_accesses(const struct cpu *cpu)
{
	log_begin("accesses");
	log_number("cpu", cpu->index);
	log_number("exits", stats_exits(&cpu->head.vcpu->stats));
	for (u32 i = 0; i < ACCESS_NAMES; i++)
		log_number(backend.accesses[i].name, access_count(&cpu->head.accesses, i));
	log_end();
}

void report_write(void)
{
	static bool written;

	if (__atomic_exchange_n(&written, true, __ATOMIC_ACQ_REL))
		return;
	for (u32 i = 0; i < cpu_count(); i++) {
		const struct cpu *cpu = cpu_get(i);

		if (!cpu->head.vcpu)
			continue;
		stats_log(&cpu->head.vcpu->stats, i, backend.reason_name);
		log_accesses(cpu);
	}
}

void report_triple_fault(struct vcpu *vcpu, u64 rip)
{
	log_begin("error");
	log_text("text", "L2 ended by a triple fault; the last exits below may show why");
	log_number("cpu", vcpu->index);
	log_number("rip", rip);
	log_end();
	trace_log(&vcpu->trace, backend.reason_name);
	report_write();
	end_platform(1);
}
