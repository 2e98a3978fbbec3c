/*
 * Stands in for shadow-vmcs/vmcs_hw.h when that room is compiled for the host tests: the same
 * names, but the instructions act on the fake of tests/host/fake_vmx.h. Nothing is counted but what
 * the fake counts.
 */
#ifndef SHADOW_VMCS_VMCS_HW_H
#define SHADOW_VMCS_VMCS_HW_H

#include "shadow-vmcs/vmcs_fields.h"
#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/fake_vmx.h"

#define count_access(counter, n) ((void)(n))

#define vmread_uncounted  fake_vmread
#define vmread_raw        fake_vmread
#define vmwrite_uncounted fake_vmwrite
#define vmwrite_constant  fake_vmwrite
#define vmwrite_raw       fake_vmwrite
#define vmclear_raw       fake_vmclear
#define vmptrld_raw       fake_vmptrld
#define invept_raw        fake_invept
#define invvpid_raw       fake_invvpid

#define vmcs_read(NAME)         ((vmcs_type_##NAME)fake_vmread(VMCS_##NAME))
#define vmcs_write(NAME, value) fake_vmwrite(VMCS_##NAME, (vmcs_type_##NAME)(value))
#define vmcs_peek               vmcs_read
#define vmcs_poke               vmcs_write

#endif
