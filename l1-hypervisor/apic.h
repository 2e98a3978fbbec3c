/*
 * The local APIC of this CPU, in whichever mode it is: the registers that L1 uses to start CPUs.
 */
#ifndef L1_APIC_H
#define L1_APIC_H

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/memory.h"

#define APIC_BASE_X2APIC BIT(10)
#define APIC_BASE_ENABLE BIT(11)
#define APIC_BASE_PAGE   BITS(51, 12)

#define APIC_SPURIOUS   0xf0U
#define APIC_IN_SERVICE 0x100U
#define APIC_ICR_LOW    0x300U
#define APIC_ICR_HIGH   0x310U
#define APIC_LINT0      0x350U
#define MSR_X2APIC_ICR  (MSR_X2APIC_FIRST + (APIC_ICR_LOW >> 4))

/* SDM 3A "Interrupt Command Register (ICR)". */
#define ICR_VECTOR(icr)       ((icr)&0xff)
#define ICR_MODE              (7U << 8)
#define ICR_MODE_INIT         (5U << 8)
#define ICR_MODE_SIPI         (6U << 8)
#define ICR_LOGICAL           BIT(11)
#define ICR_PENDING           BIT(12)
#define ICR_ASSERT            BIT(14)
#define ICR_LEVEL             BIT(15)
#define ICR_SHORTHAND(icr)    ((icr) >> 18 & 3)
#define ICR_ALL_BUT_SELF      (3U << 18)
#define ICR_INIT              (ICR_MODE_INIT | (u32)ICR_ASSERT)
#define ICR_SIPI              (ICR_MODE_SIPI | (u32)ICR_ASSERT)
#define ICR_DESTINATION_SHIFT 24 /* in the high half; in x2APIC mode it is all of it */
#define ICR_BROADCAST         0xffU

/* SDM 3A "Local Vector Table". */
#define LVT_MASKED BIT32(16)

enum icr_shorthand { ICR_TO_DESTINATION, ICR_TO_SELF, ICR_TO_ALL, ICR_TO_OTHERS };

static inline bool apic_is_x2apic(void)
{
	return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC;
}

static inline volatile u32 *apic_register(u32 offset)
{
	return physical((rdmsr(MSR_APIC_BASE) & APIC_BASE_PAGE) + offset);
}

static inline u32 apic_id(void)
{
	return cpuid(1, 0).ebx >> 24;
}

static inline u32 apic_read(u32 offset)
{
	return apic_is_x2apic() ? (u32)rdmsr(MSR_X2APIC_FIRST + (offset >> 4))
				: *apic_register(offset);
}

static inline void apic_write(u32 offset, u32 value)
{
	if (apic_is_x2apic())
		wrmsr(MSR_X2APIC_FIRST + (offset >> 4), value);
	else
		*apic_register(offset) = value;
}

/* Sends an IPI and waits until it is on its way. */
static inline void apic_send(u32 id, u32 command)
{
	if (apic_is_x2apic()) {
		wrmsr(MSR_X2APIC_ICR, ((u64)id << 32) | command);
		return;
	}
	*apic_register(APIC_ICR_HIGH) = id << ICR_DESTINATION_SHIFT;
	*apic_register(APIC_ICR_LOW) = command;
	while (*apic_register(APIC_ICR_LOW) & ICR_PENDING)
		cpu_relax();
}

#endif
