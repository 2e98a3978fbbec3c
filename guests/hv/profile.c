/*
 * Names of counted profiles; see profile.h.
 */
#include "guests/hv/profile.h"

#include "guests/lib/words.h"

const char *profile_counts(const char *name, u32 *reads, u32 *writes)
{
	char reads_text[PROFILE_NAME_MAX];
	const char *rest = list_next(name, '+', reads_text, sizeof(reads_text));
	u64 r, w;

	if (!rest || !parse_number(reads_text, &r) || !parse_number(rest, &w))
		return "a profile is minimal, kvm, haxm, or R+W for R reads and W writes";
	if (r < PROFILE_READS_MIN || r > PROFILE_READS_MAX)
		return "a profile has 3 to 64 reads";
	if (w < PROFILE_WRITES_MIN || w > PROFILE_WRITES_MAX)
		return "a profile has 1 to 40 writes";
	*reads = (u32)r;
	*writes = (u32)w;
	return NULL;
}
