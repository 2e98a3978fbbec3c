/*
 * The VMX backend's own parts: the CPU (VMXON, capabilities), vmcs12, and the exits of L2 that L1
 * serves. The nesting is in shadow-vmcs/.
 */
#ifndef L1_VMX_H
#define L1_VMX_H

#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/vcpu.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_nested.h"

struct vmx_vcpu {
	struct vmx_nested nested;
	struct vcpu *vcpu;
	struct vmx_core core;
	struct ways ways;
	bool nested_on;
};

static inline struct vmx_vcpu *vmx_of(struct vcpu *vcpu)
{
	return vcpu->backend_state;
}

/* --- vmx_cpu.c --- */

/* The platform's capability MSRs, read once. */
const struct vmx_caps *vmx_platform(void);
bool vmx_is_there(void);
/* Whether VMX can be used here with what L2 needs: EPT and unrestricted guest. */
bool vmx_probe(const struct options *options, struct refusal *why);
/* Whether the platform can do these ways. */
bool vmx_ways_possible(const struct ways *ways, struct refusal *why);
/* Width of physical addresses on this CPU. */
u32 vmx_physical_bits(void);
/* Builds ept12, with the largest pages that the CPU has. */
void vmx_machine_init(const struct memory_map *map);
/* VMXON on this CPU. */
void vmx_cpu_enable(void);
/* Invalidates every translation of a guest that this CPU may have. */
void vmx_forget_translations(void);
/* A cleared VMCS region with the platform's revision. `shadow` sets the shadow-VMCS indicator. */
struct hw_vmcs vmx_region_new(bool shadow);
/* Controls: what is wanted and allowed, and what the platform demands. */
u32 vmx_controls(u32 msr, u32 wanted);

/* --- vmx_vmcs12.c --- */

/* Fills the controls and host state of the loaded VMCS, and n->v12. */
void vmx_vmcs12_init(struct vmx_vcpu *v);
/* What of vmcs12 follows from v->ways. vmcs12 is loaded. */
void vmx_vmcs12_ways(struct vmx_vcpu *v);
/* The host state, which vmcs12 and every vmcs13 share. */
void vmx_write_host_state(struct vcpu *vcpu);
void vmx_start(struct vcpu *vcpu, const struct load_plan *plan);
void vmx_wait_for_sipi(struct vcpu *vcpu);
void vmx_start_up(struct vcpu *vcpu, u8 vector);

/* --- vmx_handle.c, vmx_cr.c, vmx_msr.c, vmx_task_switch.c: exits of L2 by the handler column of
 * vmx_exits.def --- */

typedef enum outcome vmx_handler(struct vcpu *vcpu, u64 reason);
vmx_handler vmx_handle_none, vmx_handle_undefined, vmx_handle_cpuid, vmx_handle_xsetbv,
	vmx_handle_invd, vmx_handle_init, vmx_handle_sipi, vmx_handle_triple_fault, vmx_handle_io,
	vmx_handle_ept_violation, vmx_handle_ept_misconfig, vmx_handle_entry_failure,
	vmx_handle_vmx, vmx_handle_exception, vmx_handle_vmread, vmx_handle_vmwrite,
	vmx_handle_vmresume, vmx_handle_cr, vmx_handle_rdmsr, vmx_handle_wrmsr,
	vmx_handle_task_switch;

/* Adds to an MSR bitmap those MSRs that L2 does not have. In vmx_msr.c, as the next two. */
void vmx_withhold_msrs(struct bitmap_page *bitmap);
/* MSRs of the machine as L2 has them; false is #GP. */
bool vmx_guest_rdmsr(u32 msr, u64 *value);
bool vmx_guest_wrmsr(u32 msr, u64 value);

/* Exits of L3 that L2 does not want: L1 serves them for L3. */
enum outcome vmx_handle_for_l3(struct vcpu *vcpu, u64 reason);

/* Makes `fault` the outcome. */
enum outcome vmx_fault(struct vcpu *vcpu, u8 vector, bool has_error_code, u32 error_code);

/* --- vmx_vcpu.c --- */

void vmx_vcpu_init(struct vcpu *vcpu, const struct options *options);
bool vmx_set_ways(struct vcpu *vcpu, const struct ways *ways, struct refusal *why);
void vmx_drop_stage2(struct vcpu *vcpu);

/* --- vmx_apic.c --- */

/* Whether the EPT violation at `at` was a store to the local APIC that L1 watches; it is done. */
bool vmx_apic_store(struct vcpu *vcpu, u64 at);

/* --- vmx_finish.c --- */

/* Applies what an outcome does to the guest whose VMCS is current: the only place that raises
 * exceptions and sets the flags of the VMX instructions, and with vmx_advance() moves RIP. */
void vmx_finish(struct vcpu *vcpu, enum outcome outcome);
void vmx_prepare(struct vcpu *vcpu);
/* An event whose delivery the exit interrupted is delivered again at the next entry. */
void vmx_redeliver(void);
/* An IRET that the exit interrupted had unblocked NMIs already: it will run again. */
void vmx_block_nmi(void);

/* RIP near the end of 4 GiB, where an instruction of 32-bit code may wrap around, blocking by STI
 * or MOV SS, a single step: what an instruction's end does beyond moving RIP. */
void vmx_advance_rare(u64 next, u64 blocking, u64 rflags);

#define RIP_MAY_WRAP(rip) ((u32)(rip) > 0xfffffff0U)
#define BLOCKING_BY_INSN  (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)

/* What vmx_backend.c reads at every exit; counted where the exit ends. */
#define VMX_HANDLE_READS 2

/* An instruction's end, where `writes` fields have been written with RIP. */
static inline void advance(struct vcpu *vcpu, u64 rflags, u32 writes)
{
	u64 rip = vcpu->rip;
	u64 next = rip + vmread_uncounted(VMCS_EXIT_INSN_LENGTH);
	u64 blocking = vmread_uncounted(VMCS_GUEST_INTERRUPTIBILITY);

	count_access(vmreads, 3 + VMX_HANDLE_READS);
	count_access(vmwrites, writes);
	vmcs_poke(GUEST_RIP, next);
	if (unlikely(RIP_MAY_WRAP(rip) || blocking || (rflags & RFLAGS_TF)))
		vmx_advance_rare(next, blocking, rflags);
}

/* An emulated instruction ends as every instruction does. The caller has read RFLAGS. */
static inline void vmx_advance(struct vcpu *vcpu, u64 rflags)
{
	advance(vcpu, rflags, 1);
}

/* As vmx_advance(), after a VMX instruction: its flags are cleared and those in `set` set. SDM 3C
 * "Conventions" (31.2): VMsucceed, VMfailInvalid, VMfailValid. */
static inline void vmx_advance_with_flags(struct vcpu *vcpu, u64 set)
{
	u64 rflags = (vmcs_peek(GUEST_RFLAGS) & ~RFLAGS_ARITHMETIC) | set;

	forget_origin(rflags);
	vmwrite_uncounted(VMCS_GUEST_RFLAGS, rflags);
	advance(vcpu, rflags, 2);
}

#endif
