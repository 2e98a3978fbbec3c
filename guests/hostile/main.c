/*
 * A guest that misbehaves on purpose. Words: test=fuzz-vmx|point|triple-fault|spin|spin-l3|abort,
 * seed=N and n=N for fuzz-vmx, ept=on|off for point, at=ADDRESS (decimal) for where memory that is
 * not ours begins; by default right behind ours, where L1 is.
 */
#include "guests/hostile/hostile.h"
#include "guests/lib/inner.h"
#include "guests/lib/print.h"
#include "guests/lib/words.h"

#define DEFAULT_SEED  1
#define DEFAULT_COUNT 20000

struct way_to_harm {
	const char *name;
	int (*run)(const struct hostile *h);
};

static const struct way_to_harm tests[] = {
	{ "fuzz-vmx", hostile_fuzz },
	{ "point", hostile_point },
	{ "triple-fault", hostile_triple_fault },
	{ "spin", hostile_spin },
	{ "spin-l3", hostile_spin_level3 },
	{ "abort", hostile_abort },
};

int main(const struct guest_args *args)
{
	static const char *const names[] = { "test", "seed", "n", "at", "ept", NULL };
	const char *choices[ARRAY_SIZE(tests) + 1] = { NULL };
	struct hostile h;

	words_allow(args->words, names);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		choices[i] = tests[i].name;
	h = (struct hostile){
		.seed = words_number(args->words, "seed", DEFAULT_SEED),
		.count = words_number(args->words, "n", DEFAULT_COUNT),
		.theirs = words_number(args->words, "at", args->free_end),
	};
	inner_read_words(args->words);
	const struct way_to_harm *test = &tests[words_choice(args->words, "test", choices)];

	guest_printf("# before %s\n", test->name);
	return test->run(&h);
}
