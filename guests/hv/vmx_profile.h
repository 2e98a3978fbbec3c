/*
 * Access profiles on VMX: which VMCS fields hv reads at every exit and writes before every entry.
 * Every profile reads the exit reason, the instruction length and RIP, and writes RIP. What the
 * handler of one kind of exit needs beyond its profile it reads itself (vm_field).
 */
#ifndef GUESTS_HV_VMX_PROFILE_H
#define GUESTS_HV_VMX_PROFILE_H

#include "guests/hv/profile.h"
#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/vmcs_fields.h"

/* A field: its row for memory, its encoding for the VMCS. */
struct vmx_access {
	u16 row;
	u16 encoding;
};

struct vmx_profile {
	char name[PROFILE_NAME_MAX];
	void (*read)(const struct vmx_profile *profile, struct vmcs_fields *fields);
	void (*write)(const struct vmx_profile *profile, const struct vmcs_fields *fields);
	u32 reads, writes; /* how many VMREADs and VMWRITEs those are */
	const struct vmx_access *write_list;
	bool reads_row[VMCS_ROWS];
	bool writes_row[VMCS_ROWS];
};

/*
 * The profile of this name: minimal, kvm, haxm or R+W, R VMREADs and W VMWRITEs; of haxm, the
 * variant for a guest with or without EPT. Returns NULL, or a sentence that says why there is
 * none.
 */
const char *vmx_profile_find(const char *name, bool ept, struct vmx_profile *profile);

/*
 * Fills `fields` with what the current VMCS holds in the fields that the profile writes: hv alone
 * changes those that it does not read at every exit, so that writing them back is right. Once for
 * a VMCS, after its last field was set.
 */
void vmx_profile_prepare(const struct vmx_profile *profile, struct vmcs_fields *fields);

#endif
