/*
 * Starts the other CPUs by INIT and start-up IPIs: all of them run, each once, in real mode at the
 * page that was asked for. Words: cpus=N (how many there are in all, default 2), apic=xapic|x2apic
 * (how the local APIC is reached).
 */
#include "guests/lib/guest.h"
#include "guests/lib/tap.h"
#include "guests/lib/words.h"
#include "guests/smp/ap.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define APIC_PAGE        0xfee00000ULL
#define APIC_ICR_LOW     0x300U
#define APIC_ICR_HIGH    0x310U
#define APIC_BASE_X2APIC BIT(10)
#define ICR_PENDING      BIT(12)
#define ICR_INIT         0x4500U
#define ICR_DEASSERT     0x8500U
#define ICR_SIPI         (0x4600U | SMP_PAGE >> PAGE_SHIFT)
#define ICR_OTHERS       0xc0000U
#define CPUS_DEFAULT     2
#define SPINS            20000U
#define SPINS_MAX        1000U /* times SPINS: an emulator runs each CPU when its host has time */

static bool is_x2apic;

static void *in_page(const void *symbol)
{
	return (u8 *)SMP_PAGE + ((const u8 *)symbol - smp_code);
}

static u16 noted(const u16 *counter)
{
	return *(volatile u16 *)in_page(counter);
}

static void spin(void)
{
	for (u32 i = 0; i < SPINS; i++)
		cpu_relax();
}

/* Whether so many CPUs have started, and no more do. */
static bool started(u32 cpus)
{
	for (u32 i = 0; i < SPINS_MAX && noted(&smp_starts) < cpus; i++)
		spin();
	spin();
	return noted(&smp_starts) == cpus;
}

static void send(u32 id, u32 command)
{
	volatile u32 *low = (volatile u32 *)(APIC_PAGE + APIC_ICR_LOW);
	volatile u32 *high = (volatile u32 *)(APIC_PAGE + APIC_ICR_HIGH);

	if (is_x2apic) {
		wrmsr(MSR_X2APIC_FIRST + (APIC_ICR_LOW >> 4), (u64)id << 32 | command);
	} else {
		*high = id << 24;
		*low = command;
		while (*low & ICR_PENDING)
			cpu_relax();
	}
	spin();
}

/* A CPU that waits starts; the second of two start-up IPIs finds it running and does nothing. */
static void start(u32 id)
{
	send(id, ICR_SIPI);
	send(id, ICR_SIPI);
}

static u32 count_seen(u32 cpus)
{
	const volatile u8 *seen = in_page(smp_seen);
	u32 count = 0;

	for (u32 id = 1; id < cpus; id++)
		count += seen[id];
	return count;
}

static bool enable_x2apic(void)
{
	if (!(cpuid(1, 0).ecx & BIT(21)))
		return false;
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2APIC);
	return true;
}

int main(const struct guest_args *args)
{
	static const char *const names[] = { "cpus", "apic", NULL };
	static const char *const apics[] = { "xapic", "x2apic", NULL };
	u32 cpus;

	words_allow(args->words, names);
	cpus = (u32)words_number(args->words, "cpus", CPUS_DEFAULT);
	is_x2apic = words_choice(args->words, "apic", apics);
	if (is_x2apic && !enable_x2apic())
		guest_fail("this CPU has no x2APIC");
	memcpy((void *)SMP_PAGE, smp_code, (size_t)(smp_code_end - smp_code));

	tap_plan(5);
	send(0, ICR_INIT | ICR_OTHERS);
	send(0, ICR_DEASSERT | ICR_OTHERS);
	tap_ok(started(0), "INIT alone starts no CPU");
	if (cpus > 1)
		start(cpus - 1);
	tap_ok(started(cpus > 1), "a start-up IPI to one CPU starts one, once");
	send(0, ICR_SIPI | ICR_OTHERS);
	tap_ok(started(cpus - 1), "a start-up IPI to all starts those that wait");
	tap_ok(count_seen(cpus) == cpus - 1, "each has an identifier of its own");
	tap_ok(noted(&smp_boot_cpus) == 0, "none of them is the one that booted");
	return tap_status();
}
