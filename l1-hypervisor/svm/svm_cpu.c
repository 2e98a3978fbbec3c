/*
 * SVM on one CPU: whether it can be used, EFER.SVME, the host save area, VMCBs. See svm.h.
 */
#include "l1-hypervisor/svm/svm.h"

#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/exceptions.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/stage2.h"
#include "nested-ept/npt.h"

#define CPUID_EXT            0x80000000U
#define CPUID_EXT_FEATURES   0x80000001U
#define CPUID_EXT_EDX_1G     BIT32(26)
#define CPUID_EXT_SIZES      0x80000008U
#define CPUID_7_EBX_FSGSBASE BIT32(0)

/* 0 is the host's, then L2's, then one that L2 can use. */
#define ASIDS_NEEDED 3

void svm_enter(struct vcpu *vcpu);
void svm_enter_by_msr(struct vcpu *vcpu);
extern const char svm_debug_stub[];

static struct svm_caps platform;
static bool is_bochs;

const struct svm_caps *svm_platform(void)
{
	return &platform;
}

bool svm_is_there(void)
{
	return cpuid(CPUID_EXT, 0).eax >= CPUID_SVM_LEAF &&
	       (cpuid(CPUID_EXT_FEATURES, 0).ecx & CPUID_ECX_SVM);
}

static void read_capabilities(void)
{
	struct cpuid_regs leaf = cpuid(CPUID_SVM_LEAF, 0);

	platform = (struct svm_caps){ .svm = true, .asids = leaf.ebx, .features = leaf.edx };
}

/* APM 2 "Enabling SVM" (15.4). QUIRK(bochs-2.7): reading VM_CR raises #GP. */
static bool is_locked_off(void)
{
	u64 vm_cr;

	if (!rdmsr_safe(MSR_VM_CR, &vm_cr) || !(vm_cr & VM_CR_SVMDIS))
		return false;
	return (vm_cr & VM_CR_LOCK) || !wrmsr_safe(MSR_VM_CR, vm_cr & ~VM_CR_SVMDIS);
}

bool svm_ways_possible(const struct ways *ways, struct refusal *why)
{
	if (ways->vls == WAY_VLS_VIRTUAL && !svm_has(&platform, SVM_FEATURE_VLS))
		return refuse(why, "vls=virtual needs virtual VMLOAD and VMSAVE, which this CPU "
				   "lacks; use vls=trap");
	if (ways->gif == WAY_GIF_VIRTUAL && !svm_has(&platform, SVM_FEATURE_VGIF))
		return refuse(why, "gif=virtual needs a virtual global interrupt flag, which this "
				   "CPU lacks; use gif=trap");
	return true;
}

bool svm_probe(const struct options *options, struct refusal *why)
{
	if (is_locked_off())
		return refuse(why, "SVM is locked off by the firmware; switch it on there");
	read_capabilities();
	if (!svm_has(&platform, SVM_FEATURE_NPT))
		return refuse(why, "Nestbed needs nested paging (NPT), which this CPU lacks");
	if (platform.asids < ASIDS_NEEDED)
		return refuse(why, "Nestbed needs %u ASIDs, and this CPU has %u", ASIDS_NEEDED,
			      platform.asids);
	return svm_ways_possible(&options->ways, why);
}

u32 svm_physical_bits(void)
{
	return cpuid(CPUID_EXT_SIZES, 0).eax & 0xff;
}

u32 svm_max_shift(void)
{
	return cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_EXT_EDX_1G ? NEPT_SHIFT_1G : NEPT_SHIFT_2M;
}

void svm_machine_init(const struct memory_map *map)
{
	exceptions_replace_stub(EXC_DB, (u64)svm_debug_stub);
	stage2_init(&nept_format_npt, map, svm_max_shift(), svm_physical_bits());
}

struct hw_vmcb svm_vmcb_new(void)
{
	struct vmcb *vmcb = memory_pages(1);

	return (struct hw_vmcb){ vmcb, physical_of(vmcb) };
}

/* GS base by instruction where the CPU has that. */
void svm_choose_stub(struct vcpu *vcpu)
{
	struct svm_run *run = &vcpu->run;

	run->fsgsbase = cpuid(7, 0).ebx & CPUID_7_EBX_FSGSBASE;
	if (run->fsgsbase)
		write_cr4(read_cr4() | CR4_FSGSBASE);
	run->gs_host = (u64)this_cpu();
	vcpu->enter = run->fsgsbase ? svm_enter : svm_enter_by_msr;
}

bool svm_is_bochs(void)
{
	return is_bochs;
}

/* QUIRK(bochs-2.7): it does not say who it is, but its VM_HSAVE_PA takes every value. */
void svm_cpu_enable(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	is_bochs = wrmsr_safe(MSR_VM_HSAVE_PA, 1);
	wrmsr(MSR_VM_HSAVE_PA, physical_of(memory_pages(1)).v);
	if (svm_has(&platform, SVM_FEATURE_TSC_RATIO))
		svm_tsc_ratio_write(TSC_RATIO_ONE);
	__asm__ volatile("clgi" : : : "memory");
}

/* L1 takes no interrupt here, whatever RFLAGS.IF is for the guest; STGI lets one instruction pass
 * before what it lets in. */
void svm_take_held(void)
{
	u64 rflags;

	__asm__ volatile("pushfq\n\t"
			 "popq %0\n\t"
			 "cli\n\t"
			 "stgi\n\t"
			 "nop\n\t"
			 "clgi"
			 : "=r"(rflags)
			 :
			 : "memory");
	svm_host_interrupts(rflags & RFLAGS_IF);
}
