/*
 * Starting the other CPUs: SDM 3A "MP Initialization Example". All are called at once, since nobody
 * says which there are; then they go on one after the other.
 */
#include "l1-hypervisor/apic.h"
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/panic.h"

/* A CPU that has not answered by then is not there. */
#define SPINS_AFTER_INIT 20000
#define SPINS_FOR_ANSWER 20000
/* But one that CPUID tells of may be slow: an emulator runs each CPU when its host has time. */
#define SPINS_IF_TOLD 1000000

#define CPUID_SIZES  0x80000008U
#define CPUID_ECX_NC 0xffU /* CPUs but one, on AMD; 0 elsewhere */

extern u8 ap_trampoline[], ap_trampoline_end[], ap_trampoline_found[];
extern u16 ap_trampoline_turn;
extern u64 ap_trampoline_cr3, ap_trampoline_stack, ap_trampoline_argument;
void ap_main(struct cpu *cpu);

static void (*ap_run)(void);

/* In the copy of the trampoline: the variable that is `variable` in the original. */
static void *in_trampoline(const void *variable)
{
	return physical(TRAMPOLINE + (u64)((const u8 *)variable - ap_trampoline));
}

void ap_main(struct cpu *cpu)
{
	cpu_load(cpu);
	cpu->started = true;
	ap_run();
}

static void spin(u32 times)
{
	for (u32 i = 0; i < times; i++)
		cpu_relax();
}

static u32 answers(void)
{
	const volatile u8 *found = in_trampoline(ap_trampoline_found);
	u32 number = 0;

	for (u32 id = 0; id < 256; id++)
		number += found[id] != 0;
	return number;
}

/* INIT, then SIPI twice: a CPU that took the first one ignores the second. */
static void call_all(void)
{
	u32 told = cpuid(CPUID_SIZES, 0).ecx & CPUID_ECX_NC;

	apic_send(0, ICR_INIT | ICR_ALL_BUT_SELF);
	spin(SPINS_AFTER_INIT);
	for (u32 i = 0; i < 2; i++) {
		apic_send(0, ICR_SIPI | ICR_ALL_BUT_SELF | TRAMPOLINE >> PAGE_SHIFT);
		spin(SPINS_FOR_ANSWER);
	}
	for (u32 i = 0; i < SPINS_IF_TOLD / SPINS_FOR_ANSWER && answers() < told; i++)
		spin(SPINS_FOR_ANSWER);
}

static void let_go_on(u32 id)
{
	volatile u16 *turn = in_trampoline(&ap_trampoline_turn);
	struct cpu *cpu;

	if (cpu_count() == CPUS_MAX)
		end_with_error("this machine has more CPUs than Nestbed can hold: give it 16");
	cpu = cpu_allocate();
	cpu->apic_id = id;
	*(u64 *)in_trampoline(&ap_trampoline_stack) = (u64)cpu->stack + sizeof(cpu->stack);
	*(u64 *)in_trampoline(&ap_trampoline_argument) = (u64)cpu;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*turn = (u16)id;
	while (!cpu->started)
		cpu_relax();
	cpu_commit();
}

void cpu_start_others(void (*run)(void))
{
	static u8 borrowed[PAGE_SIZE];
	const volatile u8 *found = in_trampoline(ap_trampoline_found);

	ap_run = run;
	this_cpu()->apic_id = apic_id();
	memcpy(borrowed, physical(TRAMPOLINE), PAGE_SIZE);
	memcpy(physical(TRAMPOLINE), ap_trampoline, (u64)(ap_trampoline_end - ap_trampoline));
	*(u64 *)in_trampoline(&ap_trampoline_cr3) = memory_cr3();
	memory_map_identity(TRAMPOLINE);
	call_all();
	for (u32 id = 0; id < 256; id++) {
		if (found[id])
			let_go_on(id);
	}
	memory_unmap_identity(TRAMPOLINE);
	memcpy(physical(TRAMPOLINE), borrowed, PAGE_SIZE);
}
