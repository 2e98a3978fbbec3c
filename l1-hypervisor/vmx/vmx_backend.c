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

void vmx_enter(struct vcpu *vcpu);

static vmx_handler *const handlers[] = {
#define VMX_EXIT(number, NAME, handler, wanted, kind) [number] = vmx_handle_##handler,
#include "shadow-vmcs/vmx_exits.def"
};

static void trace(struct vcpu *vcpu)
{
	struct trace_entry *e = trace_next(vcpu->trace);

	e->tsc = rdtsc();
	e->rip = vmcs_read(GUEST_RIP);
	e->qualification = vmcs_read(EXIT_QUALIFICATION);
	e->reason = vcpu->reason;
	e->level = vcpu->level;
}

static void decode(struct vcpu *vcpu)
{
	vcpu->reason = vmcs_read(EXIT_REASON) & EXIT_REASON_BASIC;
	trace(vcpu);
}

/* The entry instruction itself failed: for L3 that is L2's doing. */
static enum outcome entry_failed(struct vcpu *vcpu)
{
	u32 error = vmcs_read(INSTRUCTION_ERROR);

	if (vcpu->level == 2)
		panic("VM entry to L2 failed with VM-instruction error %u", error);
	vcpu->entry_failed = 0;
	vmx_reflect_vmfail(&vmx_of(vcpu)->nested, error);
	return OUTCOME_VMFAIL_VALID;
}

static enum outcome handle(struct vcpu *vcpu, enum stats_by *by)
{
	struct vmx_nested *n = &vmx_of(vcpu)->nested;

	if (unlikely(vcpu->entry_failed))
		return entry_failed(vcpu);
	if (vcpu->level == 2)
		return handlers[vcpu->reason](vcpu);
	if (vmx_l2_wants(n, vcpu->reason)) {
		*by = BY_L2;
		vmx_reflect(n, vcpu->reason);
		return OUTCOME_RESUME;
	}
	return vmx_handle_for_l3(vcpu);
}

static const struct ways *ways(struct vcpu *vcpu)
{
	return &vmx_of(vcpu)->ways;
}

static void dump(struct vcpu *vcpu)
{
	char value[24];

	log_begin("guest");
	log_number("cpu", vcpu->index);
	log_number("level", vcpu->level);
	log_text("exit", vmx_exit_name(vcpu->reason));
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
	.probe = vmx_probe,
	.vcpu_init = vmx_vcpu_init,
	.start = vmx_start,
	.wait_for_sipi = vmx_wait_for_sipi,
	.enter = vmx_enter,
	.decode = decode,
	.handle = handle,
	.finish = vmx_finish,
	.prepare = vmx_prepare,
	.ways = ways,
	.set_ways = vmx_set_ways,
	.drop_stage2 = vmx_drop_stage2,
	.dump = dump,
	.reason_name = vmx_exit_name,
};
