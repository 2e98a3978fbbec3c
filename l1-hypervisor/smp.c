/*
 * Starting the other CPUs by INIT and SIPI through the local APIC, one stack at a time: SDM 3A
 * "MP Initialization Example". Assumes that APIC IDs answer in any order and number.
 */
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/memory.h"

#define APIC_BASE_X2APIC BIT(10)
#define APIC_BASE_ENABLE BIT(11)
#define APIC_ID          0x20
#define APIC_ICR_LOW     0x300
#define APIC_ICR_HIGH    0x310
#define ICR_INIT         0x4500 /* level, assert */
#define ICR_SIPI         0x4600
#define ICR_PENDING      BIT(12)
#define SPINS_AFTER_INIT 20000
#define SPINS_FOR_ANSWER 20000
#define APIC_IDS_TRIED   CPUS_MAX

extern u8 ap_trampoline[], ap_trampoline_end[];
extern u64 ap_trampoline_cr3, ap_trampoline_stack, ap_trampoline_argument;
void ap_main(struct cpu *cpu);

static void (*ap_run)(void);

/* In the copy of the trampoline: the variable that is `variable` in the original. */
static u64 *in_trampoline(const u64 *variable)
{
	return physical(TRAMPOLINE + (u64)((const u8 *)variable - ap_trampoline));
}

void ap_main(struct cpu *cpu)
{
	cpu_load(cpu);
	cpu->started = true;
	ap_run();
}

static void send(u32 id, u32 command)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (base & APIC_BASE_X2APIC) {
		wrmsr(MSR_X2APIC_FIRST + (APIC_ICR_LOW >> 4), ((u64)id << 32) | command);
		return;
	}
	volatile u32 *icr_low = physical((base & BITS(51, 12)) + APIC_ICR_LOW);
	volatile u32 *icr_high = physical((base & BITS(51, 12)) + APIC_ICR_HIGH);

	*icr_high = id << 24;
	*icr_low = command;
	while (*icr_low & ICR_PENDING)
		cpu_relax();
}

static u32 own_id(void)
{
	return cpuid(1, 0).ebx >> 24;
}

static bool start_one(u32 id, struct cpu *cpu)
{
	*in_trampoline(&ap_trampoline_stack) = (u64)cpu->stack + sizeof(cpu->stack);
	*in_trampoline(&ap_trampoline_argument) = (u64)cpu;
	send(id, ICR_INIT);
	for (u32 i = 0; i < SPINS_AFTER_INIT; i++)
		cpu_relax();
	for (u32 tries = 0; tries < 2 && !cpu->started; tries++) {
		send(id, ICR_SIPI | (TRAMPOLINE >> PAGE_SHIFT));
		for (u32 i = 0; i < SPINS_FOR_ANSWER && !cpu->started; i++)
			cpu_relax();
	}
	return cpu->started;
}

/* How many logical CPUs the package says it has room for (SDM 2A CPUID leaf 1, EBX 23:16); ids
 * beyond are not tried, so that a machine with one CPU loses no time. */
static u32 id_limit(void)
{
	struct cpuid_regs r = cpuid(1, 0);
	u32 ids = (r.edx & BIT(28)) ? (r.ebx >> 16) & 0xff : 1;

	return ids < APIC_IDS_TRIED ? ids : APIC_IDS_TRIED;
}

u32 cpu_start_others(u32 limit, void (*run)(void))
{
	static u8 borrowed[PAGE_SIZE];
	struct cpu *spare = NULL;

	ap_run = run;
	memcpy(borrowed, physical(TRAMPOLINE), PAGE_SIZE);
	memcpy(physical(TRAMPOLINE), ap_trampoline, (u64)(ap_trampoline_end - ap_trampoline));
	*in_trampoline(&ap_trampoline_cr3) = memory_cr3();
	memory_map_identity(TRAMPOLINE);
	for (u32 id = 0; id < id_limit() && cpu_count() < limit; id++) {
		if (id == own_id())
			continue;
		if (!spare)
			spare = cpu_allocate();
		if (start_one(id, spare)) {
			cpu_commit();
			spare = NULL;
		}
	}
	memory_unmap_identity(TRAMPOLINE);
	memcpy(physical(TRAMPOLINE), borrowed, PAGE_SIZE);
	return cpu_count();
}
