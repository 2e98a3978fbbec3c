/*
 * L1's command line: defaults, every word, and one clear sentence for every kind of mistake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/options.h"
#include "tests/host/machine.h"

static void expect_refusal(const char *words, const char *sentence)
{
	struct options options;
	struct refusal why = { "" };

	assert_false(options_read(&options, words, &why));
	assert_string_equal(why.text, sentence);
}

static void read_ok(struct options *options, const char *words)
{
	struct refusal why = { "" };

	if (!options_read(options, words, &why))
		fail_msg("%s: %s", words, why.text);
}

static void test_defaults_need_no_special_hardware(void **state)
{
	struct options o;

	(void)state;
	read_ok(&o, "");
	assert_int_equal(o.ways.vmcs, WAY_VMCS_TRAP);
	assert_int_equal(o.ways.merge, WAY_MERGE_FULL);
	assert_int_equal(o.ways.ept, WAY_EPT_NESTED_LAZY);
	assert_int_equal(o.ways.tlb, WAY_TLB_VPID);
	assert_int_equal(o.ways.vmcb, WAY_VMCB_CLEAN_BITS);
	assert_int_equal(o.ways.vls, WAY_VLS_TRAP);
	assert_int_equal(o.ways.gif, WAY_GIF_TRAP);
	assert_int_equal(o.ways.npt, WAY_NPT_NESTED_LAZY);
	assert_string_equal(o.ways.fields, "minimal");
	assert_true(o.ways.exposed.readable_count > 0);
	assert_true(o.nested);
	assert_false(o.native);
	assert_true(o.log);
	assert_int_equal(o.stats, STATS_COUNT);
	assert_int_equal(o.memory, 16);
	assert_int_equal(o.given, 0);
}

static void test_every_word(void **state)
{
	struct options o;

	(void)state;
	read_ok(&o, "vmcs=shadow vmcs.fields=GUEST_RIP+EXIT_REASON merge=dirty ept=shadow-on-ept "
		    "vmcb=copy-all vls=virtual gif=virtual npt=shadow-on-npt tlb=flush nested=on "
		    "native=off stats=full log=off cpus=3 memory=32");
	assert_int_equal(o.ways.vmcs, WAY_VMCS_SHADOW);
	assert_int_equal(o.ways.exposed.readable_count, 2);
	assert_string_equal(o.ways.fields, "GUEST_RIP+EXIT_REASON");
	assert_int_equal(o.ways.merge, WAY_MERGE_DIRTY);
	assert_int_equal(o.ways.ept, WAY_EPT_SHADOW_ON_EPT);
	assert_int_equal(o.ways.tlb, WAY_TLB_FLUSH);
	assert_int_equal(o.ways.vmcb, WAY_VMCB_COPY_ALL);
	assert_int_equal(o.ways.vls, WAY_VLS_VIRTUAL);
	assert_int_equal(o.ways.gif, WAY_GIF_VIRTUAL);
	assert_int_equal(o.ways.npt, WAY_NPT_SHADOW_ON_NPT);
	assert_int_equal(o.stats, STATS_FULL);
	assert_false(o.log);
	assert_int_equal(o.cpus, 3);
	assert_int_equal(o.memory, 32);
	assert_int_equal(o.given, BIT(OPTION_COUNT) - 1);
}

static void test_image_name_and_blanks_are_skipped(void **state)
{
	struct options o;

	(void)state;
	read_ok(&o, "  build/nestbed.elf   stats=off  ");
	assert_int_equal(o.stats, STATS_OFF);
	assert_int_equal(o.given, BIT(OPTION_STATS));
}

static void test_value_names(void **state)
{
	(void)state;
	assert_string_equal(options_value_name(OPTION_VMCS, WAY_VMCS_SHADOW), "shadow");
	assert_string_equal(options_value_name(OPTION_EPT, WAY_EPT_SHADOW_ON_EPT), "shadow-on-ept");
	assert_string_equal(options_value_name(OPTION_STATS, 99), "");
	assert_string_equal(options_value_name(OPTION_CPUS, 0), "");
}

#define NAMES                                                                           \
	"vmcs merge ept tlb vmcs.fields vmcb vls gif npt nested native stats log cpus " \
	"memory"

static void test_unknown_words(void **state)
{
	(void)state;
	expect_refusal("stats=off fast", "unknown word \"fast\": the words are name=value, with "
					 "the names " NAMES);
	expect_refusal("vmc=trap", "unknown word \"vmc=trap\": the words are name=value, with the "
				   "names " NAMES);
	expect_refusal("name vmcs", "unknown word \"vmcs\": the words are name=value, with the "
				    "names " NAMES);
}

static void test_unknown_values(void **state)
{
	(void)state;
	expect_refusal("vmcs=magic", "vmcs=magic is refused: the allowed values are trap|shadow");
	expect_refusal("ept=", "ept= is refused: the allowed values are nested-lazy|shadow-on-ept");
	expect_refusal("nested=yes", "nested=yes is refused: the allowed values are off|on");
	expect_refusal("vmcs=shadow vmcs.fields=kvm+GUEST_RIPE",
		       "vmcs.fields=GUEST_RIPE is refused: it takes minimal, kvm, all, none and "
		       "field names (see make fields), joined by +");
	expect_refusal("vmcs=shadow vmcs.fields=",
		       "vmcs.fields= is refused: it takes minimal, kvm, all, none and field names "
		       "(see make fields), joined by +");
}

static void test_numbers(void **state)
{
	const char *const bad[] = { "memory=",   "memory=6",   "memory=34",
				    "memory=15", "memory=16M", "memory=-8",
				    "cpus=0",    "cpus=65",    "cpus=99999999999999999999" };
	struct options o;
	struct refusal why;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(options_read(&o, bad[i], &why));
	expect_refusal("memory=64",
		       "memory=64 is refused: memory takes a number from 8 to 32, in steps of 2");
}

static void test_contradictions(void **state)
{
	(void)state;
	expect_refusal("vmcs=trap vmcs=shadow", "vmcs is given twice: leave one out");
	expect_refusal("vmcs.fields=kvm",
		       "vmcs.fields= has no meaning with vmcs=trap: leave one of the two out");
	expect_refusal("nested=off merge=dirty",
		       "merge= has no meaning with nested=off: leave one of the two out");
	expect_refusal("nested=off vls=trap",
		       "vls= has no meaning with nested=off: leave one of the two out");
	expect_refusal("native=on tlb=flush",
		       "tlb= has no meaning with native=on: leave one of the two out");
}

static void expect_unsuitable(const char *words, enum vendor vendor, const char *sentence)
{
	struct options o;
	struct refusal why = { "" };

	read_ok(&o, words);
	assert_false(options_suit(&o.ways, o.given, vendor, &why));
	assert_string_equal(why.text, sentence);
}

static void test_an_axis_of_the_other_vendor_is_refused(void **state)
{
	struct refusal why = { "" };
	struct options o;

	(void)state;
	expect_unsuitable("stats=off vmcb=clean-bits", VENDOR_VMX,
			  "vmcb= has no meaning here, since this CPU has VMX: leave it out");
	expect_unsuitable("ept=nested-lazy", VENDOR_SVM,
			  "ept= has no meaning here, since this CPU has SVM: leave it out");
	read_ok(&o, "tlb=flush vmcs=shadow merge=dirty");
	assert_true(options_suit(&o.ways, o.given, VENDOR_VMX, &why));
	read_ok(&o, "tlb=flush gif=virtual nested=on");
	assert_true(options_suit(&o.ways, o.given, VENDOR_SVM, &why));
	read_ok(&o, "");
	assert_false(options_read_ways(&o.ways, "vls=virtual", 11, VENDOR_VMX, &why));
	assert_int_equal(o.ways.vls, WAY_VLS_TRAP);
	assert_true(options_read_ways(&o.ways, "vls=virtual", 11, VENDOR_SVM, &why));
	assert_int_equal(o.ways.vls, WAY_VLS_VIRTUAL);
}

/* Each vendor has its own tags for translations, which are the default. */
static void test_tags_are_the_vendors(void **state)
{
	struct refusal why = { "" };
	struct options o;

	(void)state;
	expect_unsuitable("tlb=asid", VENDOR_VMX,
			  "tlb=asid has no meaning here, since this CPU has VMX: use tlb=vpid");
	expect_unsuitable("tlb=vpid", VENDOR_SVM,
			  "tlb=vpid has no meaning here, since this CPU has SVM: use tlb=asid");
	expect_refusal("tlb=none", "tlb=none is refused: the allowed values are vpid|flush|asid");
	for (u32 given = 0; given < 2; given++) {
		read_ok(&o, given ? "tlb=asid" : "");
		assert_true(options_suit(&o.ways, o.given, VENDOR_SVM, &why));
		assert_int_equal(o.ways.tlb, WAY_TLB_ASID);
		read_ok(&o, given ? "tlb=vpid" : "");
		assert_true(options_suit(&o.ways, o.given, VENDOR_VMX, &why));
		assert_int_equal(o.ways.tlb, WAY_TLB_VPID);
	}
	assert_false(options_read_ways(&o.ways, "tlb=asid", 8, VENDOR_VMX, &why));
	assert_int_equal(o.ways.tlb, WAY_TLB_VPID);
}

static void test_ways_change_only_when_all_are_good(void **state)
{
	const char good[] = "vmcs=shadow,merge=dirty";
	const char bad[] = "vmcs=trap,merge=half";
	const char no_way[] = "stats=full";
	struct refusal why;
	struct options o;

	(void)state;
	read_ok(&o, "tlb=flush");
	assert_true(options_read_ways(&o.ways, good, sizeof(good) - 1, VENDOR_VMX, &why));
	assert_int_equal(o.ways.vmcs, WAY_VMCS_SHADOW);
	assert_int_equal(o.ways.merge, WAY_MERGE_DIRTY);
	assert_int_equal(o.ways.tlb, WAY_TLB_FLUSH);
	assert_false(options_read_ways(&o.ways, bad, sizeof(bad) - 1, VENDOR_VMX, &why));
	assert_string_equal(why.text, "merge=half is refused: the allowed values are full|dirty");
	assert_int_equal(o.ways.vmcs, WAY_VMCS_SHADOW);
	assert_false(options_read_ways(&o.ways, no_way, sizeof(no_way) - 1, VENDOR_VMX, &why));
	assert_false(options_read_ways(&o.ways, "", 0, VENDOR_VMX, &why));
}

/* Mutates a good command line: never a crash, and a refusal always has a sentence. */
static void test_random_words(void **state)
{
	const char good[] = "vmcs=shadow vmcs.fields=kvm+GUEST_RIP merge=dirty cpus=2 memory=16";
	u64 seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		/* On the heap and of exact size: reading past the end is caught. */
		char *words = strdup(good);
		struct options o;
		struct refusal why = { "" };

		for (u64 n = machine_random(&seed) % 4; n > 0; n--)
			words[machine_random(&seed) % (sizeof(good) - 1)] =
				(char)machine_random(&seed);
		if (!options_read(&o, words, &why))
			assert_true(strlen(why.text) > 10);
		if (!options_read_ways(&o.ways, words, strlen(words), VENDOR_VMX, &why))
			assert_true(strlen(why.text) > 10);
		free(words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_need_no_special_hardware),
		cmocka_unit_test(test_every_word),
		cmocka_unit_test(test_image_name_and_blanks_are_skipped),
		cmocka_unit_test(test_value_names),
		cmocka_unit_test(test_unknown_words),
		cmocka_unit_test(test_unknown_values),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_an_axis_of_the_other_vendor_is_refused),
		cmocka_unit_test(test_tags_are_the_vendors),
		cmocka_unit_test(test_ways_change_only_when_all_are_good),
		cmocka_unit_test(test_random_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
