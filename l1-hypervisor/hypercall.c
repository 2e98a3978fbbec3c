/*
 * Hypercalls of L2; see hypercall.h and leaf/nestbed_abi.h. Texts are copied before they are read.
 */
#include "l1-hypervisor/hypercall.h"

#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/log.h"
#include "l1-hypervisor/report.h"
#include "l1-hypervisor/stage2.h"

static enum nb_status set_strategy(struct vcpu *vcpu, u64 *r)
{
	char words[NB_WORDS_MAX];
	u64 length = r[REG_RCX];
	struct refusal why;
	struct ways ways;

	if (length > sizeof(words) || !guest_read(PA2(r[REG_RBX]), words, length))
		return NB_ERR_ARGUMENT;
	ways = *backend.ways(vcpu);
	if (!options_read_ways(&ways, words, length, backend.vendor, &why))
		return NB_ERR_UNKNOWN;
	if (!backend.set_ways(vcpu, &ways, &why)) {
		log_begin("refused");
		log_text("text", why.text);
		log_end();
		return NB_ERR_CAPABILITY;
	}
	report_ways(&ways);
	return NB_OK;
}

static enum nb_status write_line(const u64 *r)
{
	char line[NB_LINE_MAX];
	u64 length = r[REG_RCX];

	if (length > sizeof(line) || !guest_read(PA2(r[REG_RBX]), line, length))
		return NB_ERR_ARGUMENT;
	log_begin("line");
	log_text_n("text", line, length);
	log_end();
	return NB_OK;
}

static enum nb_status counters(const struct vcpu *vcpu, u64 *r)
{
	const struct access_counters *a = &this_cpu()->head.accesses;

	r[REG_RBX] = stats_exits(&vcpu->stats);
	r[REG_RCX] = access_count(a, 0);
	r[REG_RDX] = access_count(a, 1);
	r[REG_RSI] = access_count(a, 2);
	return NB_OK;
}

static enum nb_status serve(struct vcpu *vcpu, u64 *r)
{
	switch ((enum nb_op)(r[REG_RAX] & ~NB_CALL_MASK)) {
	case NB_OP_NOP:
		return NB_OK;
	case NB_OP_STRATEGY:
		return set_strategy(vcpu, r);
	case NB_OP_COUNTERS:
		return counters(vcpu, r);
	case NB_OP_DROP_STAGE2:
		backend.drop_stage2(vcpu);
		return NB_OK;
	case NB_OP_LOG:
		return write_line(r);
	case NB_OP_STATS_RESET:
		stats_reset(&vcpu->stats);
		return NB_OK;
	}
	return NB_ERR_UNKNOWN;
}

void hypercall(struct vcpu *vcpu)
{
	vcpu->regs.r[REG_RAX] = serve(vcpu, vcpu->regs.r);
}
