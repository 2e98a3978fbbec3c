/*
 * The VMX of a CPU for the host tests: VMCS regions, which one is current, and the invalidations
 * that were executed. An instruction that would fail on hardware fails the test.
 */
#ifndef TESTS_FAKE_VMX_H
#define TESTS_FAKE_VMX_H

#include "shadow-vmcs/vmcs_fields.h"
#include "shadow-vmcs/vmx_bits.h"

#define FAKE_VMCSS         16
#define FAKE_INVALIDATIONS 64

struct fake_vmcs {
	pa1_t region;
	bool launched;
	struct vmcs_fields fields;
};

/* INVEPT or INVVPID as executed. */
struct fake_invalidation {
	bool is_invept;
	u32 type;
	u64 context; /* EPTP or VPID */
	u64 address;
};

struct fake_vmx {
	struct fake_vmcs vmcs[FAKE_VMCSS];
	u32 vmcs_count;
	struct fake_vmcs *current;
	struct fake_invalidation invalidation[FAKE_INVALIDATIONS];
	u32 invalidation_count;
};

extern struct fake_vmx fake_vmx;

/* No VMCS, nothing executed. */
void fake_vmx_reset(void);
/* A VMCS region at an address of its own, clear, its fields zero. */
pa1_t fake_vmcs_new(void);
/* The VMCS of a region. */
struct fake_vmcs *fake_vmcs_at(pa1_t region);

/* How often INVEPT or INVVPID was executed since fake_vmx_reset() or fake_forget(). */
u32 fake_invepts(void);
u32 fake_invvpids(void);
void fake_forget_invalidations(void);

/* What vmcs_hw.h has. */
u64 fake_vmread(u64 encoding);
void fake_vmwrite(u64 encoding, u64 value);
bool fake_vmclear(pa1_t region);
bool fake_vmptrld(pa1_t region);
void fake_invept(enum invept_type type, u64 eptp);
void fake_invvpid(enum invvpid_type type, u16 vpid, u64 address);

#endif
