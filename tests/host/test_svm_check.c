/*
 * The checks of VMRUN: every rule is quoted and broken alone, what looks illegal but is not passes,
 * and on random VMCBs the rules of the groups that changed decide as all of them do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/leaf/x86.h"
#include "tests/host/fake_memory.h"
#include "tests/host/svm_guest.h"

/* The groups that some rule looks at. */
#define GROUPS_WITH_RULES                                                                  \
	((u32)(BIT(CLEAN_INTERCEPTS) | BIT(CLEAN_MAPS) | BIT(CLEAN_ASID) | BIT(CLEAN_NP) | \
	       BIT(CLEAN_CR) | BIT(CLEAN_DR) | BIT(CLEAN_SEG) | BIT(VMCB_ALWAYS)))

#define ALL_GROUPS (~0U)
#define END        BIT(SVM_GUEST_WIDTH)

/* A change of one field: some bits cleared, then some set. All zero: no change. */
struct edit {
	u32 offset;
	u64 clear;
	u64 set;
};

#define AT(field) ((u32)offsetof(struct vmcb, field))
#define SET(field, value)                 \
	{                                 \
		AT(field), ~0ULL, (value) \
	}
#define OR(field, bits)              \
	{                            \
		AT(field), 0, (bits) \
	}
#define CLEAR(field, bits)           \
	{                            \
		AT(field), (bits), 0 \
	}
#define EVENT(event) SET(c.event_injection, EVENT_VALID | (event))

struct svm_case {
	const char *quote; /* NULL: it passes */
	svm_variant *variant;
	struct edit edits[3];
};

/* Applies it; returns the bit of the group that it makes stale. */
static u32 apply(struct vmcb *vmcb, const struct edit *edit)
{
	const struct svm_field *field = svm_field_at(edit->offset);
	u8 *at = (u8 *)vmcb + edit->offset;
	/* Of a segment register the edit is of the attributes. */
	u32 size = field->size == sizeof(struct vmcb_segment) ? 2 : field->size;
	u64 value = 0;

	memcpy(&value, at, size);
	value = (value & ~edit->clear) | edit->set;
	memcpy(at, &value, size);
	return BIT32(field->group);
}

static const char *run(const struct svm_guest *g, u32 groups)
{
	struct svm_verdict verdict = { &svm_rules[1] };
	bool passes = svm_check(&g->vmcb.c, &g->vmcb.s, &g->env, groups, &verdict);

	assert_int_equal(passes, verdict.rule == NULL);
	return passes ? "passes" : verdict.rule->text;
}

static const struct svm_case cases[] = {
	{ "EFER.SVME is zero", svm_guest_64, { CLEAR(s.efer, EFER_SVME) } },
	{ "CR0.CD is zero and CR0.NW is set", svm_guest_64, { OR(s.cr0, CR0_NW) } },
	{ "CR0[63:32] are not zero", svm_guest_64, { OR(s.cr0, BIT(32)) } },
	{ "CR0[63:32] are not zero", svm_guest_real, { OR(s.cr0, BIT(63)) } },
	{ "any MBZ bit of CR3 is set", svm_guest_64, { OR(s.cr3, END) } },
	{ "any MBZ bit of CR3 is set", svm_guest_64, { OR(s.cr3, BIT(63)) } },
	{ "any MBZ bit of CR3 is set", svm_guest_compat, { OR(s.cr3, BIT(52)) } },
	{ "any MBZ bit of CR4 is set", svm_guest_64, { OR(s.cr4, BIT(15)) } },
	{ "any MBZ bit of CR4 is set", svm_guest_32, { OR(s.cr4, CR4_VMXE) } },
	{ "any MBZ bit of CR4 is set", svm_guest_64, { OR(s.cr4, BIT(32)) } },
	{ "DR6[63:32] are not zero", svm_guest_64, { OR(s.dr6, BIT(32)) } },
	{ "DR7[63:32] are not zero", svm_guest_64, { OR(s.dr7, BIT(63)) } },
	{ "any MBZ bit of EFER is set", svm_guest_64, { OR(s.efer, BIT(9)) } },
	{ "any MBZ bit of EFER is set", svm_guest_real, { OR(s.efer, BIT(63)) } },
	{ "EFER.LME and CR0.PG are both set and CR4.PAE is zero",
	  svm_guest_64,
	  { CLEAR(s.cr4, CR4_PAE) } },
	{ "EFER.LME and CR0.PG are both non-zero and CR0.PE is zero",
	  svm_guest_64,
	  { CLEAR(s.cr0, CR0_PE) } },
	{ "EFER.LME and CR0.PG are both non-zero and CR0.PE is zero",
	  svm_guest_paged_real,
	  { OR(s.efer, EFER_LME), OR(s.cr4, CR4_PAE) } },
	{ "EFER.LME, CR0.PG, CR4.PAE, CS.L, and CS.D are all non-zero",
	  svm_guest_64,
	  { OR(s.cs.attributes, SEG_DB) } },
	{ "EFER.LME, CR0.PG, CR4.PAE, CS.L, and CS.D are all non-zero",
	  svm_guest_compat,
	  { OR(s.cs.attributes, SEG_L) } },
	{ "the VMRUN intercept bit is clear",
	  svm_guest_64,
	  { CLEAR(c.intercept2, INTERCEPT2_VMRUN) } },
	{ "the MSR intercept table extends to or beyond the maximum physical address",
	  svm_guest_64,
	  { SET(c.msrpm_base, END - 0x2000) } },
	{ "the MSR intercept table extends to or beyond the maximum physical address",
	  svm_guest_64,
	  { SET(c.msrpm_base, END - 0x1000) } },
	{ "the MSR intercept table extends to or beyond the maximum physical address",
	  svm_guest_64,
	  { SET(c.msrpm_base, ~0xfffULL) } },
	{ "the IOIO intercept table extends to or beyond the maximum physical address",
	  svm_guest_64,
	  { SET(c.iopm_base, END - 0x2000) } },
	{ "the IOIO intercept table extends to or beyond the maximum physical address",
	  svm_guest_64,
	  { SET(c.iopm_base, ~0ULL) } },
	{ "ASID is equal to zero", svm_guest_64, { SET(c.asid, 0) } },
	{ "reserved values of TYPE have been specified", svm_guest_64, { EVENT(1ULL << 8) } },
	{ "reserved values of TYPE have been specified", svm_guest_64, { EVENT(7ULL << 8) } },
	{ "TYPE = 3 (exception) with a vector that does not correspond to an exception",
	  svm_guest_64,
	  { EVENT(EVENT_TYPE_EXCEPTION | EXC_NMI) } },
	{ "TYPE = 3 (exception) with a vector that does not correspond to an exception",
	  svm_guest_real,
	  { EVENT(EVENT_TYPE_EXCEPTION | 32) } },
	{ "hCR0.PG is cleared to zero and NP_ENABLE is set to 1",
	  svm_guest_32,
	  { OR(c.nested_control, NESTED_NP_ENABLE) } },
	{ "nested paging of a host that is not in long mode",
	  svm_guest_of_pae,
	  { OR(c.nested_control, NESTED_NP_ENABLE) } },
	{ "any MBZ bit of nCR3 is set, as of the host's own CR3",
	  svm_guest_64,
	  { OR(c.ncr3, END) } },
	{ "any MBZ bit of nCR3 is set, as of the host's own CR3",
	  svm_guest_real,
	  { OR(c.ncr3, BIT(52)) } },
	{ "G_PAT has an unsupported type encoding or a non-zero reserved field",
	  svm_guest_64,
	  { SET(s.g_pat, 0x0007040600070402) } },
	{ "G_PAT has an unsupported type encoding or a non-zero reserved field",
	  svm_guest_64,
	  { SET(s.g_pat, 0x0807040600070406) } },
	{ "ASID is not below the number of ASIDs that CPUID tells",
	  svm_guest_64,
	  { SET(c.asid, 15) } },

	/* "VMRUN can load a guest value of CR0 with PE = 0 but PG = 1." */
	{ NULL, svm_guest_paged_real, { { 0, 0, 0 } } },
	{ NULL, svm_guest_64, { OR(s.cr0, CR0_CD) } },
	{ NULL, svm_guest_64, { OR(s.cr0, CR0_CD | CR0_NW) } },
	/* Reserved, but not MBZ. */
	{ NULL, svm_guest_64, { OR(s.cr3, BITS(11, 0)) } },
	{ NULL, svm_guest_64, { SET(s.dr6, 0) } },
	{ NULL, svm_guest_64, { SET(s.dr7, 0xffffffff) } },
	/* "VMRUN ... canonicalize all base addresses in the segment registers." */
	{ NULL, svm_guest_64, { SET(s.rip, BIT(62)), SET(s.rsp, BIT(61)) } },
	/* "The VMRUN instruction ignores the lower 12 bits of the address." */
	{ NULL, svm_guest_64, { SET(c.msrpm_base, END - 0x2001) } },
	{ NULL, svm_guest_64, { SET(c.iopm_base, END - 0x2001) } },
	{ NULL, svm_guest_64, { EVENT(EVENT_TYPE_INTR | 0xff) } },
	{ NULL, svm_guest_64, { EVENT(EVENT_TYPE_NMI | 77) } },
	{ NULL, svm_guest_64, { EVENT(EVENT_TYPE_SOFTWARE | 2) } },
	{ NULL, svm_guest_64, { EVENT(EVENT_TYPE_EXCEPTION | EVENT_ERROR_CODE | EXC_DE) } },
	{ NULL, svm_guest_64, { SET(c.event_injection, BITS(10, 0)) } },
	/* Not looked at without nested paging. */
	{ NULL, svm_guest_pae, { SET(s.g_pat, ~0ULL), SET(c.ncr3, ~0ULL) } },
	/* Only long mode has MBZ bits in CR3. */
	{ NULL, svm_guest_pae, { OR(s.cr3, BITS(63, 32)) } },
	/* Long mode that is not active: LME without PG. */
	{ NULL, svm_guest_real, { OR(s.efer, EFER_LME) } },
};

static const char *expected(const struct svm_case *this)
{
	return this->quote ? this->quote : "passes";
}

static void test_each_rule_broken_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 stale = 0;
		struct svm_guest g;

		cases[i].variant(&g);
		assert_string_equal(run(&g, ALL_GROUPS), "passes");
		for (u32 n = 0; n < ARRAY_SIZE(cases[i].edits); n++)
			if (cases[i].edits[n].clear | cases[i].edits[n].set)
				stale |= apply(&g.vmcb, &cases[i].edits[n]);
		assert_string_equal(run(&g, ALL_GROUPS), expected(&cases[i]));
		assert_string_equal(run(&g, stale), expected(&cases[i]));
		assert_true(stale == 0 || (stale & GROUPS_WITH_RULES));
	}
}

static void test_every_rule_is_quoted(void **state)
{
	(void)state;
	for (u32 id = SVM_RULE_NONE + 1; id < SVM_RULE_COUNT; id++) {
		bool quoted = false;

		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			quoted = quoted || strcmp(svm_rules[id].text, expected(&cases[i])) == 0;
		if (!quoted)
			fail_msg("no case breaks \"%s\"", svm_rules[id].text);
		assert_non_null(svm_rules[id].area->title);
	}
}

/* APM 2 "Event Injection" (15.20), for every event that there is. */
static void test_events(void **state)
{
	/* APM 2 "Vectors" (8.2): those that are not marked reserved, less NMI. */
	static const u8 exceptions[] = { 0,  1,  3,  4,  5,  6,  7,  8,  10, 11, 12,
					 13, 14, 16, 17, 18, 19, 21, 28, 29, 30 };

	(void)state;
	for (u32 event = 0; event < BIT(11); event++) {
		u32 type = event >> 8;
		bool legal =
			type == 0 || type == 2 || type == 4 ||
			(type == 3 && memchr(exceptions, (u8)event, sizeof(exceptions)) != NULL);

		assert_true(svm_event_is_legal(event));
		assert_int_equal(svm_event_is_legal(EVENT_VALID | event), legal);
		assert_int_equal(svm_event_is_legal(~0xffffULL | event), legal);
	}
}

/* A value that a rule may care about. */
static u64 odd_value(struct fake_random *random, u64 old)
{
	switch (fake_below(random, 5)) {
	case 0:
		return fake_random(random);
	case 1:
		return old ^ BIT(fake_below(random, 64));
	case 2:
		return old ^ BIT(fake_below(random, 16));
	case 3:
		return BIT(fake_below(random, 64)) - 1;
	default:
		return 0;
	}
}

/* Changes one field, or L2's own paging; returns the bit of its group. */
static u32 mutate(struct svm_guest *g, struct fake_random *random)
{
	const struct svm_field *field = &svm_fields[fake_below(random, (u32)svm_field_count)];
	u8 *at = (u8 *)&g->vmcb + field->offset;
	u32 size = field->size < 8 ? field->size : 8;
	u64 value = 0;

	if (fake_once_in(random, 20)) {
		g->env.host_paging = fake_once_in(random, 2);
		g->env.host_long_mode = g->env.host_paging && fake_once_in(random, 2);
		return BIT32(VMCB_ALWAYS);
	}
	memcpy(&value, at, size);
	value = odd_value(random, value);
	memcpy(at, &value, size);
	return BIT32(field->group);
}

/*
 * A walk through VMCBs as L2 makes them: change some fields, try to enter. The groups that went
 * stale since the last check that passed must decide as all do.
 */
static void test_stale_groups_decide_as_all_do(void **state)
{
	struct fake_random random = { 3 };
	u32 passed = 0, failed[SVM_RULE_COUNT] = { 0 };

	(void)state;
	for (u32 walk = 0; walk < 6000; walk++) {
		struct svm_guest g, last;
		u32 stale = 0;

		svm_variants[fake_below(&random, (u32)svm_variant_count)](&g);
		last = g;
		for (u32 step = 0; step < 20; step++) {
			struct svm_verdict verdict;

			stale |= mutate(&g, &random);
			assert_ptr_equal(run(&g, stale), run(&g, ALL_GROUPS));
			if (svm_check(&g.vmcb.c, &g.vmcb.s, &g.env, ALL_GROUPS, &verdict)) {
				last = g;
				stale = 0;
				passed++;
				continue;
			}
			failed[verdict.rule - svm_rules]++;
			if (fake_once_in(&random, 2)) {
				g = last;
				stale = 0;
			}
		}
	}
	assert_true(passed > 10000);
	for (u32 id = SVM_RULE_NONE + 1; id < SVM_RULE_COUNT; id++)
		if (failed[id] == 0)
			fail_msg("never met: %s", svm_rules[id].text);
}

/* An entry with nothing new but what has no group and the event needs no more than
 * svm_event_is_legal(). */
static void test_light_entries_need_only_the_event(void **state)
{
	struct fake_random random = { 4 };
	struct svm_guest g;

	(void)state;
	for (u32 round = 0; round < 20000; round++) {
		struct vmcb *v = &g.vmcb;

		svm_variants[fake_below(&random, (u32)svm_variant_count)](&g);
		v->s.rip = odd_value(&random, v->s.rip);
		v->s.rsp = odd_value(&random, v->s.rsp);
		v->s.rax = odd_value(&random, v->s.rax);
		v->s.rflags = odd_value(&random, v->s.rflags);
		v->c.int_state = odd_value(&random, v->c.int_state);
		v->c.event_injection = odd_value(&random, EVENT_VALID | EVENT_TYPE_EXCEPTION);
		assert_int_equal(svm_event_is_legal(v->c.event_injection),
				 strcmp(run(&g, ALL_GROUPS), "passes") == 0);
	}
}

static void test_noise_is_judged(void **state)
{
	struct fake_random random = { 2 };
	struct svm_guest g;

	(void)state;
	svm_guest_64(&g);
	for (u32 round = 0; round < 2000; round++) {
		u64 words[sizeof(g.vmcb) / 8];

		for (u32 i = 0; i < ARRAY_SIZE(words); i++)
			words[i] = fake_random(&random);
		memcpy(&g.vmcb, words, sizeof(words));
		assert_string_not_equal(run(&g, ALL_GROUPS), "passes");
		run(&g, (u32)fake_random(&random));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rule_broken_alone),
		cmocka_unit_test(test_every_rule_is_quoted),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_stale_groups_decide_as_all_do),
		cmocka_unit_test(test_light_entries_need_only_the_event),
		cmocka_unit_test(test_noise_is_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
