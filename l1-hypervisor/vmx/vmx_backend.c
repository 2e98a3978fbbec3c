/*
 * The VMX backend as the core drives it: creation, decode, dispatch of exits by level, dumps.
 */
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/log.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/report.h"
#include "l1-hypervisor/stage2.h"
#include "l1-hypervisor/vmx/vmx.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_exits.h"

void vmx_entry_failed(struct vcpu *vcpu);

static vmx_handler *const handlers[VMX_EXIT_REASONS] = {
#define VMX_EXIT(number, NAME, handler, wanted, kind) [number] = vmx_handle_##handler,
#include "shadow-vmcs/vmx_exits.def"
};

/* Called by the entry stub when the entry instruction itself failed: for L3 that is L2's doing. */
void vmx_entry_failed(struct vcpu *vcpu)
{
	u32 error = vmcs_read(INSTRUCTION_ERROR);

	if (vcpu->level == 2)
		panic("VM entry to L2 failed with VM-instruction error %u", error);
	vmx_reflect_vmfail(&vmx_of(vcpu)->nested, error);
	vcpu->rip = vmcs_read(GUEST_RIP);
	vmx_finish(vcpu, OUTCOME_VMFAIL_VALID);
}

/* An exit of L3: L2's to see, or L1's to serve behind L2's back. */
__attribute__((noinline)) static void handle_level3(struct vcpu *vcpu, u64 reason)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;

	trace_add(&vcpu->trace, vcpu->rip, reason | TRACE_LEVEL3);
	if (vmx_l2_wants(n, (u32)reason)) {
		stats_count(&vcpu->stats, 3, BY_L2, reason);
		vcpu->by = BY_L2;
		vmx_reflect(n, reason);
		count_access(vmreads, VMX_HANDLE_READS);
		return;
	}
	stats_count(&vcpu->stats, 3, BY_L1, reason);
	vmx_finish(vcpu, vmx_handle_for_l3(vcpu, reason));
}

static void handle(struct vcpu *vcpu)
{
	/* Whatever the processor says, no table is left. */
	u64 reason = vmcs_peek(EXIT_REASON) & (VMX_EXIT_REASONS - 1);
	enum outcome outcome;

	vcpu->rip = vmcs_peek(GUEST_RIP);
	if (unlikely(vcpu->level != 2)) {
		handle_level3(vcpu, reason);
		return;
	}
	trace_add(&vcpu->trace, vcpu->rip, reason);
	stats_count(&vcpu->stats, 2, BY_L1, reason);
	outcome = handlers[reason](vcpu, reason);
	vcpu = this_vcpu();
	if (unlikely(outcome > OUTCOME_VMSUCCEED))
		vmx_finish(vcpu, outcome);
	else if (outcome == OUTCOME_VMSUCCEED)
		vmx_advance_with_flags(vcpu, 0);
	else
		vmx_advance(vcpu, vmcs_peek(GUEST_RFLAGS));
}

static const struct ways *ways(struct vcpu *vcpu)
{
	return &vmx_of(vcpu)->ways;
}

static void log_ways(const struct ways *ways)
{
	log_text("vmcs", options_value_name(OPTION_VMCS, ways->vmcs));
	log_text("fields", ways->fields);
	log_text("merge", options_value_name(OPTION_MERGE, ways->merge));
	log_text("ept", options_value_name(OPTION_EPT, ways->ept));
	log_text("tlb", options_value_name(OPTION_TLB, ways->tlb));
}

static void dump(struct vcpu *vcpu)
{
	char value[24];
	u32 reason = (u32)trace_last(&vcpu->trace)->reason & ~TRACE_LEVEL3;

	if (!vmx_of(vcpu))
		return;
	log_begin("guest");
	log_number("cpu", vcpu->index);
	log_number("level", vcpu->level);
	log_text("exit", vmx_exit_name(reason));
	for (int row = 0; row < VMCS_ROWS; row++) {
		enum vmcs_type type = vmcs_table[row].type;

		if (type != VMCS_TYPE_GUEST && type != VMCS_TYPE_INFO)
			continue;
		snprintf(value, sizeof(value), "0x%lx", vmread_raw(vmcs_table[row].encoding));
		log_text(vmcs_field_name(row), value);
	}
	log_end();
}

const struct backend vmx_backend = {
	.name = "vmx",
	.vendor = VENDOR_VMX,
	.waits_for_sipi = true,
	.accesses = { ACCESS_NAME(vmreads), ACCESS_NAME(vmwrites), ACCESS_NAME(vmptrlds),
		      ACCESS_NAME(invepts), ACCESS_NAME(invvpids) },
	.is_there = vmx_is_there,
	.probe = vmx_probe,
	.machine_init = vmx_machine_init,
	.vcpu_init = vmx_vcpu_init,
	.start = vmx_start,
	.wait_for_sipi = vmx_wait_for_sipi,
	.start_up = vmx_start_up,
	.handle = handle,
	.prepare = vmx_prepare,
	.ways = ways,
	.log_ways = log_ways,
	.set_ways = vmx_set_ways,
	.drop_stage2 = vmx_drop_stage2,
	.dump = dump,
	.reason_name = vmx_exit_name,
};
