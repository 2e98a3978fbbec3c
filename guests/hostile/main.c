/*
 * A guest that misbehaves on purpose. Words: test=fuzz|point|triple-fault|spin|spin-l3|abort|
 * shutdown|shutdown-l3|deadly, with the extension that the CPU has; abort needs VMX, what follows
 * SVM; seed=N and n=N for fuzz, ept=on|off and npt=on|off for point, at=ADDRESS (decimal) for where
 * memory that is not ours begins; by default right behind ours, where L1 is.
 */
#include "guests/hostile/hostile.h"
#include "guests/lib/inner.h"
#include "guests/lib/print.h"
#include "guests/lib/svm_inner.h"
#include "guests/lib/words.h"

#define DEFAULT_SEED  1
#define DEFAULT_COUNT 20000

/* NULL: the extension has no such test. */
struct way_to_harm {
	const char *name;
	int (*with_vmx)(const struct hostile *h);
	int (*with_svm)(const struct hostile *h);
};

static const struct way_to_harm tests[] = {
	{ "fuzz", hostile_vmx_fuzz, hostile_svm_fuzz },
	{ "point", hostile_vmx_point, hostile_svm_point },
	{ "triple-fault", hostile_triple_fault, hostile_triple_fault },
	{ "spin", hostile_spin, hostile_spin },
	{ "spin-l3", hostile_vmx_spin_level3, hostile_svm_spin_level3 },
	{ "abort", hostile_abort, NULL },
	{ "shutdown", NULL, hostile_svm_shutdown },
	{ "shutdown-l3", NULL, hostile_svm_shutdown_level3 },
	{ "deadly", NULL, hostile_svm_deadly },
};

static bool has_svm(void)
{
	struct svm_features features;

	svm_read_features(&features);
	return features.revision != 0;
}

int main(const struct guest_args *args)
{
	static const char *const names[] = { "test", "seed", "n", "at", "ept", "npt", NULL };
	const char *choices[ARRAY_SIZE(tests) + 1] = { NULL };
	int (*run)(const struct hostile *h);
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
	svm_inner_read_words(args->words);
	const struct way_to_harm *test = &tests[words_choice(args->words, "test", choices)];

	run = has_svm() ? test->with_svm : test->with_vmx;
	if (!run)
		guest_fail("the extension of this CPU has no test %s", test->name);
	guest_printf("# before %s\n", test->name);
	return run(&h);
}
