/*
 * What L2 is told of SVM: what L1 does itself always, what the platform must have otherwise, and
 * what is never offered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shadow-vmcs/svm_caps.h"

/* Features as measured (docs/platforms.md). */
static const struct svm_caps tcg_epyc = { true, 16, SVM_FEATURE_NPT };
static const struct svm_caps ryzen = { true, 32768,
				       SVM_FEATURE_NPT | SVM_FEATURE_LBR | SVM_FEATURE_LOCK |
					       SVM_FEATURE_NRIPS | SVM_FEATURE_FLUSH_BY_ASID |
					       SVM_FEATURE_PAUSE_FILTER };
static const struct svm_caps everything = { true, 512, 0xffffffff };

#define ALWAYS (SVM_FEATURE_CLEAN_BITS | SVM_FEATURE_FLUSH_BY_ASID)

static struct svm_caps offer(struct svm_caps platform, bool npt)
{
	struct svm_offer what = { .npt = npt };
	struct svm_caps out;

	svm_caps_offer(&platform, &what, &out);
	return out;
}

static void test_what_l1_does_is_always_there(void **state)
{
	(void)state;
	assert_int_equal(offer(tcg_epyc, true).features, ALWAYS | SVM_FEATURE_NPT);
	assert_int_equal(offer(tcg_epyc, false).features, ALWAYS);
	assert_true(svm_has(&(struct svm_caps){ .features = ALWAYS }, ALWAYS));
	assert_false(svm_has(&tcg_epyc, ALWAYS | SVM_FEATURE_NPT));
}

static void test_the_platforms_features_are_handed_on(void **state)
{
	(void)state;
	assert_int_equal(offer(ryzen, true).features,
			 (ryzen.features | ALWAYS) & ~SVM_FEATURE_LOCK);
}

/* vmcb13 does not carry them for L2. */
static void test_unknown_features_are_not_offered(void **state)
{
	u32 known = ALWAYS | SVM_FEATURE_NPT | SVM_FEATURE_LBR | SVM_FEATURE_NRIPS |
		    SVM_FEATURE_DECODE | SVM_FEATURE_PAUSE_FILTER | SVM_FEATURE_PAUSE_THRESHOLD |
		    SVM_FEATURE_VGIF | SVM_FEATURE_TSC_RATIO | SVM_FEATURE_ADDR_CHK;

	(void)state;
	assert_int_equal(offer(everything, true).features, known);
	assert_int_equal(offer(everything, false).features, known & ~SVM_FEATURE_NPT);
}

/* L2 runs on one of hardware's; a root pointer of nested-ept has 12 bits for an ASID. */
static void test_one_asid_less(void **state)
{
	(void)state;
	assert_int_equal(offer(tcg_epyc, true).asids, 15);
	assert_int_equal(offer(everything, true).asids, 511);
	assert_int_equal(offer(ryzen, true).asids, 4096);
}

static void test_nothing_without_svm(void **state)
{
	struct svm_caps none = { .svm = false, .asids = 0, .features = 0 };
	struct svm_caps no_asid = { .svm = true, .asids = 2, .features = SVM_FEATURE_NPT };

	(void)state;
	assert_false(offer(none, true).svm);
	assert_int_equal(offer(none, true).asids, 0);
	assert_int_equal(offer(none, true).features, 0);
	/* Enough for L2, and none left for its guests. */
	assert_false(offer(no_asid, true).svm);
	assert_true(offer(tcg_epyc, true).svm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_l1_does_is_always_there),
		cmocka_unit_test(test_the_platforms_features_are_handed_on),
		cmocka_unit_test(test_unknown_features_are_not_offered),
		cmocka_unit_test(test_one_asid_less),
		cmocka_unit_test(test_nothing_without_svm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
