/*
 * Access profiles on SVM: which VMCB fields hv reads at every exit and writes before every entry,
 * which are memory accesses, and whether it swaps what VMLOAD and VMSAVE move, and GIF, in each
 * round. Every profile reads the exit code and RIP, and writes RIP. What the handler of one kind of
 * exit needs beyond its profile it reads from the VMCB itself.
 */
#ifndef GUESTS_HV_SVM_PROFILE_H
#define GUESTS_HV_SVM_PROFILE_H

#include "guests/hv/profile.h"
#include "guests/lib/svm.h"
#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/vmcb.h"

struct svm_profile {
	char name[PROFILE_NAME_MAX];
	/* Between the VMCB and hv's copy of it. */
	void (*read)(const struct svm_profile *profile, const volatile struct vmcb *vmcb,
		     struct vmcb *seen);
	void (*write)(const struct svm_profile *profile, volatile struct vmcb *vmcb,
		      const struct vmcb *seen);
	u32 reads, writes; /* of a counted profile */
	enum svm_entry entry;
};

/*
 * The profile of this name: minimal, kvm, haxm or R+W, R words of 8 bytes read and W written.
 * Returns NULL, or a sentence that says why there is none.
 */
const char *svm_profile_find(const char *name, struct svm_profile *profile);

#endif
