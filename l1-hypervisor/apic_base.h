/*
 * What L2 has written to IA32_APIC_BASE, where L1 does not let it become true; see apic_base.c.
 */
#ifndef L1_APIC_BASE_H
#define L1_APIC_BASE_H

#include "l1-hypervisor/leaf/types.h"

struct apic_base {
	bool is_off; /* disabled globally, as L2 sees it: `value` is what it reads then */
	u64 value;
};

/* L2 writes the MSR; false is #GP. Reads must exit while it is off afterwards. */
bool apic_base_write(struct apic_base *base, u64 value, u32 physical_bits);

#endif
