/*
 * The bench: runs each chosen operation n times and prints minimum, median, mean and maximum ticks,
 * and what Nestbed did for it. The same image runs natively, as L2 and as L3.
 *
 * Words: ops=a,b,c (default all that are possible), n=300, cold=on|off, tap=top|sub, level=N (what
 * to call our level when no Nestbed below says it). Warm means that the operation ran before; cold
 * that Nestbed forgot its merged second-level tables before each run.
 */
#include "guests/bench/counters.h"
#include "guests/bench/ops.h"
#include "guests/bench/output.h"
#include "guests/bench/statistics.h"
#include "guests/lib/guest.h"
#include "guests/lib/tap.h"
#include "guests/lib/words.h"
#include "l1-hypervisor/leaf/string.h"

#define DEFAULT_RUNS 300
#define LEAD_RUNS    3 /* not kept: they come before the state is steady */
#define MAX_OPS      32
#define LIST_SIZE    200
#define OUR_LEVEL    2 /* when nothing says it */

static const char *const known_words[] = { "ops", "n", "cold", "tap", "level", NULL };
static const char *const cold_choices[] = { "on", "off", NULL };
static const char *const tap_choices[] = { "top", "sub", NULL };

struct bench {
	const struct op *ops[MAX_OPS];
	u32 op_count;
	u64 runs;
	bool cold;
	u32 level;
	u32 nestbed_level; /* 0: nothing below */
	u64 *samples;
};

/* A hypervisor that is not ours may offer its guest VMX or SVM, which is not what is measured. */
static const char *lacking(const struct bench *b, const struct op *op)
{
	if (op->needs != OP_ANY && !b->nestbed_level && b->level != OUR_LEVEL)
		return op->needs == OP_VMX ? "VMX" : "SVM";
	return op_lacks(op);
}

static void choose_op(struct bench *b, const struct op *op)
{
	if (b->op_count == MAX_OPS)
		guest_fail("'ops' has too many operations");
	b->ops[b->op_count++] = op;
}

static void choose_ops(struct bench *b, const char *words)
{
	char list[LIST_SIZE], name[LIST_SIZE];
	const char *rest = list;

	if (!words_text(words, "ops", list, sizeof(list))) {
		for (const struct op *op = bench_ops; op->name; op++) {
			if (!lacking(b, op))
				choose_op(b, op);
		}
		return;
	}
	while ((rest = list_next(rest, ',', name, sizeof(name)))) {
		const struct op *op = op_of_name(name);

		if (!op)
			guest_fail("unknown operation '%s'", name);
		if (lacking(b, op))
			guest_fail("'%s' needs %s of Nestbed's or of a machine", name,
				   lacking(b, op));
		choose_op(b, op);
	}
}

/* Samples lie in front of the pages for `touch`, on pages of their own. */
static void share_memory(struct bench *b, const struct guest_args *args)
{
	u64 pages = ALIGN_UP(args->free_start + b->runs * sizeof(*b->samples), PAGE_SIZE);

	if (b->runs > (args->free_end - args->free_start) / sizeof(*b->samples) ||
	    pages > args->free_end)
		guest_fail("memory is too small for n=%lu", b->runs);
	b->samples = (u64 *)args->free_start;
	ops_give_pages(pages, args->free_end);
}

static void read_words(struct bench *b, const struct guest_args *args)
{
	words_allow(args->words, known_words);
	*b = (struct bench){
		.runs = words_number(args->words, "n", DEFAULT_RUNS),
		.cold = words_choice(args->words, "cold", cold_choices) == 0,
		.nestbed_level = nestbed_level(),
	};
	if (!b->runs)
		guest_fail("'n' must be at least 1");
	b->level = b->nestbed_level;
	if (!b->level)
		b->level = (u32)words_number(args->words, "level", OUR_LEVEL);
	if (words_choice(args->words, "tap", tap_choices) == 1)
		tap_as_subtest();
	choose_ops(b, args->words);
	share_memory(b, args);
}

/* Runs an operation `lead + runs` times and keeps the ticks of the last `runs`. */
static void run_warm(struct bench *b, const struct op *op, struct operands *o, u64 lead, u64 runs,
		     struct counting *counting)
{
	op_code *once = op_measured(op);

	counting_init(counting, b->nestbed_level);
	counting_start(counting);
	for (u64 i = 0; i < lead + runs; i++) {
		if (op->prepare)
			op->prepare(o);
		b->samples[i < lead ? 0 : i - lead] = once(o);
	}
	counting_stop(counting);
}

/* What a few runs more than LEAD_RUNS make Nestbed do is what they alone do. */
static void measure_warm(struct bench *b, const struct op *op, struct operands *o,
			 struct counting *counting)
{
	struct counting lead;

	run_warm(b, op, o, LEAD_RUNS, 0, &lead);
	run_warm(b, op, o, LEAD_RUNS, 0, &lead);
	run_warm(b, op, o, LEAD_RUNS, b->runs, counting);
	counting_less(counting, &lead, 1);
}

/*
 * What the loop itself needs is filled again, by a run of the empty operation, before counting:
 * the counters tell what `op` alone made Nestbed do.
 */
static void run_cold(struct bench *b, const struct op *op, struct operands *o, u64 runs,
		     struct counting *counting)
{
	op_code *once = op_measured(op);

	counting_init(counting, b->nestbed_level);
	for (u64 i = 0; i < runs; i++) {
		u64 ticks;

		if (op->prepare)
			op->prepare(o);
		if (b->nestbed_level)
			nestbed_call(NB_OP_DROP_STAGE2);
		bench_ops[0].once(o);
		counting_start(counting);
		ticks = once(o);
		counting_stop(counting);
		b->samples[i] = ticks;
	}
}

static void measure_cold(struct bench *b, const struct op *op, struct operands *o,
			 struct counting *counting)
{
	struct counting nothing;

	run_cold(b, op, o, 1, &nothing);
	run_cold(b, &bench_ops[0], o, 1, &nothing);
	run_cold(b, op, o, b->runs, counting);
	counting_less(counting, &nothing, b->runs);
}

static void measure(struct bench *b, const struct op *op, bool cold)
{
	struct result result = {
		.op = op->name,
		.state = cold ? "cold" : "warm",
		.level = b->level,
	};
	struct operands operands = { 0 };

	memset(b->samples, 0, b->runs * sizeof(*b->samples));
	if (op->start)
		op->start(&operands);
	if (cold)
		measure_cold(b, op, &operands, &result.counting);
	else
		measure_warm(b, op, &operands, &result.counting);
	if (op->stop)
		op->stop();
	statistics_take(b->samples, b->runs, &result.ticks);
	output_result(&result);
	tap_ok(result.ticks.min > 0, "%s %s", op->name, result.state);
}

int main(const struct guest_args *args)
{
	struct bench b;

	read_words(&b, args);
	tap_plan(b.op_count * (b.cold ? 2 : 1));
	for (u32 i = 0; i < b.op_count; i++) {
		measure(&b, b.ops[i], false);
		if (b.cold)
			measure(&b, b.ops[i], true);
	}
	return tap_status();
}
