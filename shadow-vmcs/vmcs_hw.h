/*
 * Access to the current hardware VMCS, with every access counted. Failures of VMREAD and VMWRITE
 * are not looked at: which fields exist is known from the capabilities, and an access to one that
 * does not exist changes nothing. Needs VMX operation and a current VMCS.
 */
#ifndef SHADOW_VMCS_VMCS_HW_H
#define SHADOW_VMCS_VMCS_HW_H

#include "l1-hypervisor/leaf/percpu.h"
#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/vmcs_fields.h"
#include "shadow-vmcs/vmx_bits.h"

static inline u64 vmread_uncounted(u64 encoding)
{
	u64 value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(encoding) : "cc");
	return value;
}

static inline void vmwrite_uncounted(u64 encoding, u64 value)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"(encoding), "r"(value) : "cc");
}

/* A constant encoding is loaded where it is used, so that it is not kept in a register that would
 * have to be saved. */
#define vmwrite_constant(encoding, value)                           \
	do {                                                        \
		u64 at_;                                            \
		__asm__ volatile("movl %1, %k0\n\tvmwrite %2, %0"   \
				 : "=&r"(at_)                       \
				 : "i"(encoding), "r"((u64)(value)) \
				 : "cc");                           \
	} while (0)

static inline u64 vmread_raw(u64 encoding)
{
	count_access(vmreads, 1);
	return vmread_uncounted(encoding);
}

static inline void vmwrite_raw(u64 encoding, u64 value)
{
	count_access(vmwrites, 1);
	vmwrite_uncounted(encoding, value);
}

/* A field of the current VMCS by name, with the field's own type. */
#define vmcs_read(NAME)         ((vmcs_type_##NAME)vmread_raw(VMCS_##NAME))
#define vmcs_write(NAME, value) vmwrite_raw(VMCS_##NAME, (vmcs_type_##NAME)(value))

/* The same where several accesses are counted together by the caller. */
#define vmcs_peek(NAME)        ((vmcs_type_##NAME)vmread_uncounted(VMCS_##NAME))
#define vmcs_poke(NAME, value) vmwrite_constant(VMCS_##NAME, (vmcs_type_##NAME)(value))

/* VMCLEAR and VMPTRLD of regions that L1 made: false on VMfail. */
static inline bool vmclear_raw(pa1_t region)
{
	bool failed;

	__asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
	return !failed;
}

static inline bool vmptrld_raw(pa1_t region)
{
	bool failed;

	count_access(vmptrlds, 1);
	__asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
	return !failed;
}

/* SDM 3C "INVEPT", "INVVPID": the descriptors of the instructions. */
static inline void invept_raw(enum invept_type type, u64 eptp)
{
	struct {
		u64 eptp, reserved;
	} descriptor = { eptp, 0 };

	count_access(invepts, 1);
	__asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"((u64)type) : "cc", "memory");
}

static inline void invvpid_raw(enum invvpid_type type, u16 vpid, u64 address)
{
	struct {
		u64 vpid, address;
	} descriptor = { vpid, address };

	count_access(invvpids, 1);
	__asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"((u64)type) : "cc", "memory");
}

#endif
