/*
 * L2's IA32_APIC_BASE: global disabling of the local APIC, and where its page may be. SDM 3A
 * "Enabling or Disabling the Local APIC", "x2APIC State Transitions".
 * QUIRK(bochs-2.7): a local APIC that was disabled globally ignores IA32_APIC_BASE from then on, so
 * it is never really disabled unless L2 wants it back in a mode that demands this. Software
 * disables it instead, which keeps it as silent. DEVIATION: while it is off its page still answers,
 * and afterwards most registers have kept their values.
 */
#include "l1-hypervisor/apic_base.h"

#include "l1-hypervisor/apic.h"
#include "l1-hypervisor/cpu.h"

#define APIC_BASE_BSP BIT(8)
#define SPURIOUS_OFF  0xffU /* the value after reset: disabled by software */

static void silence(void)
{
	if (apic_is_x2apic())
		wrmsr(MSR_X2APIC_FIRST + (APIC_SPURIOUS >> 4), SPURIOUS_OFF);
	else
		*apic_register(APIC_SPURIOUS) = SPURIOUS_OFF;
}

/* L1's memory must stay memory, and the page must be one that L1 can reach.
 * DEVIATION: an address above all memory is #GP. */
static bool page_is_allowed(u64 value)
{
	struct memory_range own = memory_taken();
	u64 page = value & APIC_BASE_PAGE;

	return (page < own.start || page >= own.end) && page < mapped_memory_end();
}

static bool turn_off(struct apic_base *base, u64 value, u32 physical_bits)
{
	u64 defined = APIC_BASE_BSP | BITS(physical_bits - 1, PAGE_SHIFT);

	if (value & ~defined)
		return false;
	if (!base->is_off)
		silence();
	base->is_off = true;
	base->value = value;
	return true;
}

static bool turn_on(struct apic_base *base, u64 value)
{
	if (value & APIC_BASE_X2APIC)
		return false;
	if (apic_is_x2apic())
		wrmsr(MSR_APIC_BASE, base->value);
	if (!wrmsr_safe(MSR_APIC_BASE, value))
		return false;
	base->is_off = false;
	return true;
}

bool apic_base_write(struct apic_base *base, u64 value, u32 physical_bits)
{
	if (!page_is_allowed(value))
		return false;
	if (!(value & APIC_BASE_ENABLE))
		return turn_off(base, value, physical_bits);
	return base->is_off ? turn_on(base, value) : wrmsr_safe(MSR_APIC_BASE, value);
}
