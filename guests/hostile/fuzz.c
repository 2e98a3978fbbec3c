/*
 * Random instructions of an extension, and whether they left us as we were; see fuzz.h.
 */
#include "guests/hostile/fuzz.h"
#include "guests/hostile/random.h"
#include "guests/lib/tap.h"
#include "l1-hypervisor/leaf/string.h"

#define CANARY 0xa5

static const struct fuzz *fuzz;
static u64 theirs;
static u8 canary[PAGE_SIZE] __attribute__((aligned(4096)));

static u64 random_page(void)
{
	return (u64)fuzz->pages + random_below(FUZZ_PAGES) * PAGE_SIZE;
}

u64 fuzz_pointer(void)
{
	u64 page;

	switch (random_below(8)) {
	case 0:
		return theirs + random_below(256) * PAGE_SIZE;
	case 1:
		return random_word();
	case 2:
		page = random_page();
		return page + random_below(PAGE_SIZE);
	case 3:
		return fuzz->busy ? (u64)fuzz->busy : random_page();
	default:
		return random_page();
	}
}

u64 fuzz_value(void)
{
	switch (random_below(6)) {
	case 0:
		return random_word();
	case 1:
		return BIT(random_below(64));
	case 2:
		return ~0ULL;
	case 3:
		return fuzz_pointer();
	default:
		return random_below(16);
	}
}

static bool canary_lives(void)
{
	for (u32 i = 0; i < sizeof(canary); i++) {
		if (canary[i] != CANARY)
			return false;
	}
	return true;
}

int fuzz_run(const struct fuzz *extension, const struct hostile *h)
{
	u32 entries = 0;

	fuzz = extension;
	theirs = h->theirs;
	random_seed(h->seed);
	memset(canary, CANARY, sizeof(canary));
	tap_plan(3);
	fuzz->start();
	for (u64 i = 0; i < h->count; i++)
		entries += fuzz->execute_one();
	tap_note("{\"entries\":%u}", entries);
	tap_ok(canary_lives(), "our memory is as it was");
	tap_ok(entries > 0, "some random entries were made");
	tap_ok(fuzz->still_enters(), "an ordinary entry works after all");
	return tap_status();
}
