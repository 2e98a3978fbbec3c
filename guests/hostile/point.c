/*
 * The places that are not ours, and what points to them; see point.h.
 */
#include "guests/hostile/point.h"
#include "guests/lib/tap.h"

#define MEBIBYTE    0x100000ULL
#define DEVICE_HOLE 0xf0000000ULL
#define AFTER_4_GIB 0x200000000ULL

int point_run(const struct pointer *pointers, size_t count, const struct hostile *h)
{
	const struct {
		const char *name;
		u64 at;
	} places[] = {
		{ "the first page behind our memory", h->theirs },
		{ "a page 1 MiB behind our memory", h->theirs + MEBIBYTE },
		{ "the hole for devices", DEVICE_HOLE },
		{ "an address above 4 GiB", AFTER_4_GIB },
	};

	tap_plan((u32)(count * ARRAY_SIZE(places)));
	for (size_t p = 0; p < count; p++) {
		for (size_t i = 0; i < ARRAY_SIZE(places); i++)
			tap_ok(pointers[p].is_harmless(places[i].at), "%s at %s", pointers[p].name,
			       places[i].name);
	}
	return tap_status();
}
