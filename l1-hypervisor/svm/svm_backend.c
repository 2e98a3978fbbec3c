/*
 * The SVM backend as the core drives it: creation, decode, dispatch of exits by level, dumps.
 */
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/log.h"
#include "l1-hypervisor/svm/svm.h"
#include "shadow-vmcs/svm_exits.h"

static svm_handler *const handlers[SVM_EXITS] = {
#define SVM_EXIT(number, NAME, handler, opcode) [number] = svm_handle_##handler,
#include "shadow-vmcs/svm_exits.def"
	[SVM_EXIT_UNKNOWN] = svm_handle_none,
};

/* An exit of L3: L2's to see, or L1's to serve behind L2's back. */
__attribute__((noinline)) static void handle_level3(struct vcpu *vcpu, u32 exit)
{
	struct svm_nested *n = &svm_of(vcpu)->nested;
	enum outcome outcome;

	trace_add(&vcpu->trace, vcpu->rip, exit | TRACE_LEVEL3);
	if (svm_l2_wants(n, exit)) {
		stats_count(&vcpu->stats, 3, BY_L2, exit);
		vcpu->by = BY_L2;
		svm_reflect(n);
		return;
	}
	stats_count(&vcpu->stats, 3, BY_L1, exit);
	outcome = likely(exit == SVM_EXIT_NPF) ? svm_handle_npf_of_l3(vcpu, exit)
					       : svm_handle_for_l3(vcpu, exit);
	if (unlikely(outcome != OUTCOME_RESUME && outcome != OUTCOME_REFLECT))
		svm_finish(vcpu, outcome);
}

static void handle(struct vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu->run.vmcb;
	u32 exit = svm_exit_of(vmcb->c.exit_code);
	enum outcome outcome;

	/* Hardware has all of it, and has flushed. */
	vmcb->c.clean = CLEAN_ALL;
	vmcb->c.tlb_control = TLB_KEEP;
	vcpu->rip = vmcb->s.rip;
	if (unlikely(vcpu->level != 2)) {
		handle_level3(vcpu, exit);
		return;
	}
	trace_add(&vcpu->trace, vcpu->rip, exit);
	stats_count(&vcpu->stats, 2, BY_L1, exit);
	outcome = handlers[exit](vcpu, exit);
	vcpu = this_vcpu();
	if (likely(outcome == OUTCOME_ADVANCE))
		svm_advance(vcpu);
	else if (unlikely(outcome != OUTCOME_RESUME))
		svm_finish(vcpu, outcome);
}

static const struct ways *ways(struct vcpu *vcpu)
{
	return &svm_of(vcpu)->ways;
}

static void log_ways(const struct ways *ways)
{
	log_text("vmcb", options_value_name(OPTION_VMCB, ways->vmcb));
	log_text("vls", options_value_name(OPTION_VLS, ways->vls));
	log_text("gif", options_value_name(OPTION_GIF, ways->gif));
	log_text("npt", options_value_name(OPTION_NPT, ways->npt));
	log_text("tlb", options_value_name(OPTION_TLB, ways->tlb));
}

/* A field of at most 8 bytes, or the base of a segment, whose other parts come before it. */
static void log_field(const char *name, const void *field, size_t size)
{
	const struct vmcb_segment *segment = field;
	char text[64];
	u64 value = 0;

	if (size == sizeof(*segment)) {
		snprintf(text, sizeof(text), "0x%x 0x%x 0x%x 0x%lx", segment->selector,
			 segment->attributes, segment->limit, segment->base);
	} else {
		memcpy(&value, field, size);
		snprintf(text, sizeof(text), "0x%lx", value);
	}
	log_text(name, text);
}

static void dump(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu->run.vmcb;
	u32 reason = (u32)trace_last(&vcpu->trace)->reason & ~TRACE_LEVEL3;

	if (!vmcb)
		return;
	log_begin("guest");
	log_number("cpu", vcpu->index);
	log_number("level", vcpu->level);
	log_text("exit", svm_exit_name(reason));
	log_field("rax", &vcpu->regs.r[REG_RAX], sizeof(u64));
#define VMCB_CONTROL(type, name, offset, group) log_field(#name, &vmcb->c.name, sizeof(type));
#define VMCB_SAVE(type, name, offset, group)    log_field(#name, &vmcb->s.name, sizeof(type));
#include "shadow-vmcs/vmcb_fields.def"
	log_end();
}

const struct backend svm_backend = {
	.name = "svm",
	.vendor = VENDOR_SVM,
	.accesses = { ACCESS_NAME(vmloads), ACCESS_NAME(vmsaves), ACCESS_NAME(map_words),
		      ACCESS_NAME(tlb_flushes), ACCESS_NAME(invlpgas) },
	.is_there = svm_is_there,
	.probe = svm_probe,
	.machine_init = svm_machine_init,
	.vcpu_init = svm_vcpu_init,
	.start = svm_start,
	.wait_for_sipi = svm_wait_for_sipi,
	.start_up = svm_start_up,
	.handle = handle,
	.prepare = svm_prepare,
	.ways = ways,
	.log_ways = log_ways,
	.set_ways = svm_set_ways,
	.drop_stage2 = svm_forget_stage2,
	.dump = dump,
	.reason_name = svm_exit_name,
};
