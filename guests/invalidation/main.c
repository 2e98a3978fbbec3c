/*
 * What changes translations, n times: so that the invalidations that L1 executed can be counted
 * over one round, since an emulator hides a missing one. L3 reads a page and says what it found, so
 * that each round also shows that the change took effect. Words: op=..., n=rounds, at=address (of
 * memory that is not ours, for op=absent).
 */
#include "guests/invalidation/invalidation.h"
#include "guests/lib/guest.h"
#include "guests/lib/nestbed.h"
#include "guests/lib/tap.h"
#include "guests/lib/test.h"
#include "guests/lib/vmx.h"
#include "guests/lib/words.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

u64 *pages[2];

static const struct extension *extension;
static u64 address;

static void nothing(u32 round)
{
	(void)round;
}

static void drop_stage2(u32 round)
{
	(void)round;
	test_equal("status of the hypercall", nestbed_call(NB_OP_DROP_STAGE2), NB_OK);
}

static void change_ways(u32 round)
{
	const char *way = round % 2 ? "tlb=flush" : extension->tagged;

	test_equal("status of the hypercall", nestbed_call_text(NB_OP_STRATEGY, way), NB_OK);
}

/* A store to memory that is not there is forgotten after the next exit. */
static void store_absent(u32 round)
{
	volatile u64 *at = (volatile u64 *)address;

	*at = round;
	(void)cpuid(0, 0);
	test_equal("absent memory", *at, ~0ULL);
}

static const struct op common_ops[] = {
	{ "none", nothing, false, false },
	{ "drop", drop_stage2, false, false },
	{ "ways", change_ways, false, false },
	{ "absent", store_absent, false, false },
	{ .name = NULL },
};

static const struct op *find_in(const struct op *ops, const char *name)
{
	for (; ops->name; ops++)
		if (strcmp(name, ops->name) == 0)
			return ops;
	return NULL;
}

static const struct op *find_op(const char *words)
{
	char name[32] = "";
	const struct op *op;

	words_text(words, "op", name, sizeof(name));
	op = find_in(common_ops, name);
	if (!op)
		op = find_in(extension->ops, name);
	if (!op)
		guest_fail("there is no op=%s", name);
	return op;
}

static void make_pages(const struct guest_args *args)
{
	u64 start = ALIGN_UP(args->free_start, PAGE_2M);

	if (start + 2 * PAGE_2M > args->free_end)
		guest_fail("there is too little memory");
	for (u32 i = 0; i < 2; i++) {
		pages[i] = (u64 *)(start + i * PAGE_2M);
		*pages[i] = i;
	}
}

int main(const struct guest_args *args)
{
	static const char *const names[] = { "op", "n", "at", NULL };
	const struct op *op;
	u64 rounds;

	extension = cpuid(1, 0).ecx & CPUID_1_ECX_VMX ? &vmx_extension : &svm_extension;
	op = find_op(args->words);
	words_allow(args->words, names);
	rounds = words_number(args->words, "n", 1);
	address = words_number(args->words, "at", 0);
	make_pages(args);
	extension->init();
	tap_plan(1);
	test_begin(op->name, "what L2 changes and invalidates takes effect for L3");
	extension->start(op);
	extension->run_l3(0);
	for (u32 round = 1; round <= rounds; round++) {
		op->round(round);
		extension->run_l3(op->remaps ? round % 2 : 0);
	}
	test_end();
	return tap_status();
}
