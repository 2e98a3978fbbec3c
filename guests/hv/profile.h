/*
 * The names of access profiles, alike for both vendors: minimal, kvm, haxm, or R+W for R reads at
 * every exit and W writes before every entry.
 */
#ifndef GUESTS_HV_PROFILE_H
#define GUESTS_HV_PROFILE_H

#include "l1-hypervisor/leaf/types.h"

#define PROFILE_NAME_MAX 16

#define PROFILE_READS_MIN  3
#define PROFILE_READS_MAX  64
#define PROFILE_WRITES_MIN 1
#define PROFILE_WRITES_MAX 40

/* The numbers of a name of the form R+W. Returns NULL, or a sentence that says why it has none. */
const char *profile_counts(const char *name, u32 *reads, u32 *writes);

#endif
