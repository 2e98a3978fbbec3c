/*
 * The VMX of a CPU for the host tests; see fake_vmx.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/host/fake_vmx.h"

#define FIRST_REGION 0x7e000000ULL

struct fake_vmx fake_vmx;

void fake_vmx_reset(void)
{
	memset(&fake_vmx, 0, sizeof(fake_vmx));
}

pa1_t fake_vmcs_new(void)
{
	struct fake_vmcs *vmcs = &fake_vmx.vmcs[fake_vmx.vmcs_count];

	assert_in_range(fake_vmx.vmcs_count, 0, FAKE_VMCSS - 1);
	vmcs->region = PA1(FIRST_REGION + fake_vmx.vmcs_count++ * PAGE_SIZE);
	return vmcs->region;
}

struct fake_vmcs *fake_vmcs_at(pa1_t region)
{
	for (u32 i = 0; i < fake_vmx.vmcs_count; i++)
		if (fake_vmx.vmcs[i].region.v == region.v)
			return &fake_vmx.vmcs[i];
	fail_msg("there is no VMCS at 0x%lx", region.v);
	return NULL;
}

/* The field that an instruction names; it must exist, and a VMCS must be current. */
static u64 *field(u64 encoding)
{
	int row = vmcs_row_of(encoding);

	assert_non_null(fake_vmx.current);
	assert_true(row >= 0 && !(encoding & VMCS_HIGH));
	return &fake_vmx.current->fields.f[row];
}

u64 fake_vmread(u64 encoding)
{
	return *field(encoding);
}

void fake_vmwrite(u64 encoding, u64 value)
{
	*field(encoding) = value & vmcs_value_mask(vmcs_row_of(encoding));
}

bool fake_vmclear(pa1_t region)
{
	struct fake_vmcs *vmcs = fake_vmcs_at(region);

	vmcs->launched = false;
	if (fake_vmx.current == vmcs)
		fake_vmx.current = NULL;
	return true;
}

bool fake_vmptrld(pa1_t region)
{
	fake_vmx.current = fake_vmcs_at(region);
	return true;
}

static void note(struct fake_invalidation invalidation)
{
	assert_in_range(fake_vmx.invalidation_count, 0, FAKE_INVALIDATIONS - 1);
	fake_vmx.invalidation[fake_vmx.invalidation_count++] = invalidation;
}

void fake_invept(enum invept_type type, u64 eptp)
{
	note((struct fake_invalidation){ .is_invept = true, .type = type, .context = eptp });
}

void fake_invvpid(enum invvpid_type type, u16 vpid, u64 address)
{
	/* SDM 3C "INVVPID": VPID 0 is VMX root operation's. */
	assert_true(vpid != 0 || type == INVVPID_ALL);
	note((struct fake_invalidation){ .type = type, .context = vpid, .address = address });
}

static u32 count(bool invepts)
{
	u32 n = 0;

	for (u32 i = 0; i < fake_vmx.invalidation_count; i++)
		n += fake_vmx.invalidation[i].is_invept == invepts;
	return n;
}

u32 fake_invepts(void)
{
	return count(true);
}

u32 fake_invvpids(void)
{
	return count(false);
}

void fake_forget_invalidations(void)
{
	fake_vmx.invalidation_count = 0;
}
