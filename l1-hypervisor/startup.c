/*
 * INIT and start-up IPIs of L2 while it starts its CPUs; see startup.h.
 */
#include "l1-hypervisor/startup.h"

#include "l1-hypervisor/apic.h"
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/stage2.h"

#define CPUID1_ECX_MONITOR BIT(3)

/* What L2 has done with a CPU: nothing, or started it at a vector. */
#define NOT_STARTED ~0U

static struct {
	bool on;
	u64 page; /* of the local APIC */
	u32 cpus;
	u32 waiting;
	volatile u32 vector[CPUS_MAX];
} startup;

bool startup_is_watched(void)
{
	return __atomic_load_n(&startup.on, __ATOMIC_ACQUIRE);
}

bool startup_is_apic(u64 address)
{
	return startup.page && ALIGN_DOWN(address, PAGE_SIZE) == startup.page;
}

void startup_watch(u32 cpus)
{
	startup.cpus = cpus;
	startup.waiting = cpus - 1;
	for (u32 i = 1; i < cpus; i++)
		startup.vector[i] = NOT_STARTED;
	if (!startup.waiting)
		return;
	startup.page = rdmsr(MSR_APIC_BASE) & APIC_BASE_PAGE;
	stage2_protect(PA2(startup.page), true);
	startup.on = true;
}

/* Only rights are added, so no CPU needs an invalidation: one that still has the old translation
 * misses once. */
void startup_unwatch(void)
{
	if (__atomic_exchange_n(&startup.on, false, __ATOMIC_ACQ_REL))
		stage2_protect(PA2(startup.page), false);
	/* Wakes the CPUs that watch their vector. */
	for (u32 i = 1; i < startup.cpus; i++)
		startup.vector[i] = startup.vector[i];
}

/* DEVIATION: a logical destination finds nobody. Operating systems start CPUs by physical ones. */
static bool is_addressed(const struct cpu *cpu, u32 destination, u32 command)
{
	switch (ICR_SHORTHAND(command)) {
	case ICR_TO_DESTINATION:
		return !(command & ICR_LOGICAL) &&
		       (destination == cpu->apic_id || destination == ICR_BROADCAST);
	case ICR_TO_SELF:
		return cpu == this_cpu();
	case ICR_TO_ALL:
		return true;
	default:
		return cpu != this_cpu();
	}
}

static void start(u32 index, u32 vector)
{
	u32 expected = NOT_STARTED;

	if (__atomic_compare_exchange_n(&startup.vector[index], &expected, vector, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) &&
	    __atomic_sub_fetch(&startup.waiting, 1, __ATOMIC_ACQ_REL) == 0)
		startup_unwatch();
}

/* SDM 3A "MP Initialization Protocol": a CPU that waits takes the SIPI and ignores another INIT,
 * one that runs takes the INIT and ignores a SIPI. */
static void carry_out(u32 destination, u32 command)
{
	for (u32 i = 0; i < startup.cpus; i++) {
		const struct cpu *cpu = cpu_get(i);
		bool waits = i && startup.vector[i] == NOT_STARTED;

		if (!is_addressed(cpu, destination, command))
			continue;
		if (waits && (command & ICR_MODE) == ICR_MODE_SIPI)
			start(i, ICR_VECTOR(command));
		else if (!waits && (command & ICR_MODE) == ICR_MODE_INIT)
			apic_send(cpu->apic_id, ICR_INIT);
	}
}

/* Whether it is L1 who does this command. A level de-assert of INIT does nothing. */
static bool is_ours(u32 command)
{
	u32 mode = command & ICR_MODE;

	return mode == ICR_MODE_INIT || mode == ICR_MODE_SIPI;
}

static bool is_deassert(u32 command)
{
	return (command & ICR_LEVEL) && !(command & ICR_ASSERT);
}

void startup_apic_write(u32 offset, u32 value)
{
	if (offset != APIC_ICR_LOW || !is_ours(value))
		*apic_register(offset) = value;
	else if (!is_deassert(value))
		carry_out(*apic_register(APIC_ICR_HIGH) >> ICR_DESTINATION_SHIFT, value);
}

bool startup_icr_write(u64 value)
{
	if (!startup_is_watched() || !is_ours((u32)value))
		return false;
	if (!is_deassert((u32)value))
		carry_out((u32)(value >> 32), (u32)value);
	return true;
}

/* Sleeps until another CPU writes to `word`, where this one can do that. */
static void sleep_on(const volatile u32 *word)
{
	if (!(cpuid(1, 0).ecx & CPUID1_ECX_MONITOR)) {
		cpu_relax();
		return;
	}
	__asm__ volatile("monitor" : : "a"(word), "c"(0), "d"(0));
	if (*word == NOT_STARTED && startup_is_watched())
		__asm__ volatile("mwait" : : "a"(0), "c"(0) : "memory");
}

bool startup_wait(u8 *vector)
{
	const volatile u32 *word = &startup.vector[this_cpu()->index];

	while (*word == NOT_STARTED && startup_is_watched())
		sleep_on(word);
	*vector = (u8)*word;
	return *word != NOT_STARTED;
}
