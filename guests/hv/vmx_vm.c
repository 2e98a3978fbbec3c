/*
 * A guest's VMCS and its run loop; see vm.h and vmx_vm.h. The guest owns interrupts, HLT and all
 * ports and MSRs but the few that the bitmaps name.
 */
#include "guests/hv/vmx_vm.h"

#include "guests/hv/answers.h"
#include "guests/hv/memory.h"
#include "guests/hv/vmx_control.h"
#include "guests/hv/vmx_exits.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define VPID_OF_GUEST 1U

/* SDM 3C "MSR-Bitmap Address" (25.6.9): read low, read high, write low, write high. */
#define MSR_BITMAP_HIGH  1024U
#define MSR_BITMAP_WRITE 2048U
#define MSR_LOW_END      0x2000U
#define MSR_HIGH_START   0xc0000000U

static struct vmx_region vmxon_region, vmcs;
static u8 io_bitmaps[2 * PAGE_SIZE] __attribute__((aligned(4096)));
static u8 msr_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));

void vmx_inject(struct vm *vm, u32 info, u32 error)
{
	vm->vmx.fields.f[F_ENTRY_INTR_INFO] = info;
	if (!vm->vmx.profile.writes_row[F_ENTRY_INTR_INFO])
		vmx_set(VMCS_ENTRY_INTR_INFO, info);
	if (info & INTR_INFO_ERROR_CODE)
		vmx_set(VMCS_ENTRY_ERROR_CODE, error);
}

void vmx_fault(struct vm *vm, enum exception vector)
{
	u32 info = INTR_INFO_VALID | INTR_TYPE_HARDWARE_EXCEPTION | (u32)vector;

	if (EXC_HAS_ERROR_CODE & BIT(vector))
		info |= INTR_INFO_ERROR_CODE;
	vmx_inject(vm, info, 0);
}

void vmx_redeliver(struct vm *vm)
{
	u32 info = (u32)vm_field(vm, IDT_VECTORING_INFO);
	u32 type = info & INTR_INFO_TYPE;

	if (likely(!(info & INTR_INFO_VALID)))
		return;
	if (type >= INTR_TYPE_SOFTWARE_INTERRUPT)
		vmx_set(VMCS_ENTRY_INSN_LENGTH, vm->vmx.fields.f[F_EXIT_INSN_LENGTH]);
	vmx_inject(vm, info & ~INTR_INFO_RESERVED,
		   info & INTR_INFO_ERROR_CODE ? (u32)vmx_get(VMCS_IDT_VECTORING_ERROR_CODE) : 0);
}

static void set_bit(u8 *bitmap, u32 bit)
{
	bitmap[bit / 8] |= (u8)(1U << bit % 8);
}

static void intercept_port(u16 port)
{
	set_bit(io_bitmaps, port);
}

static void intercept_msr(u32 msr)
{
	u32 bit = msr < MSR_LOW_END ? msr : msr - MSR_HIGH_START + MSR_BITMAP_HIGH * 8;

	set_bit(msr_bitmap, bit);
	set_bit(msr_bitmap + MSR_BITMAP_WRITE, bit);
}

static void fill_bitmaps(const struct vm *vm)
{
	memset(io_bitmaps, 0, sizeof(io_bitmaps));
	memset(msr_bitmap, 0, sizeof(msr_bitmap));
	intercept_port(EMULATED_PORT);
	intercept_port(NB_PORT_QEMU_EXIT);
	intercept_port(NB_PORT_BOCHS_EXIT);
	intercept_msr(MSR_PAT);
	intercept_msr(MSR_XSS);
	intercept_msr(MSR_FEATURE_CONTROL);
	for (u32 msr = MSR_VMX_BASIC; msr <= MSR_VMX_VMFUNC; msr++)
		intercept_msr(msr);
	if (!vm->stage2)
		intercept_msr(MSR_EFER);
}

/* The controls that hv wants. Returns NULL, or a sentence. */
static const char *choose_controls(struct vm *vm)
{
	static char sentence[96];
	struct vmx_controls *c = &vm->vmx.controls;
	const char *word;
	u32 missing;

	*c = (struct vmx_controls){
		.proc = PROC_IO_BITMAPS | PROC_MSR_BITMAPS | PROC_SECONDARY,
		.exit = EXIT_HOST_64 | EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_LOAD_PAT,
		.entry = ENTRY_LOAD_EFER | ENTRY_LOAD_PAT,
	};
	if (vm->stage2)
		c->proc2 |= PROC2_EPT | PROC2_UNRESTRICTED_GUEST |
			    (PROC2_VPID & vm->vmx.features.may.proc2);
	else
		c->proc |= PROC_CR3_LOAD | PROC_CR3_STORE | PROC_INVLPG;
	word = vmx_adjust_controls(&vm->vmx.features, c, &missing);
	if (!word)
		return NULL;
	snprintf(sentence, sizeof(sentence), "the processor lacks bits 0x%x of the %s controls",
		 missing, word);
	return sentence;
}

static bool offers_ept(const struct vmx_features *f)
{
	const u32 controls = PROC2_EPT | PROC2_UNRESTRICTED_GUEST;
	const u64 capabilities = EPT_CAP_WALK_4 | EPT_CAP_WB;

	return (f->may.proc2 & controls) == controls &&
	       (f->ept_vpid & capabilities) == capabilities;
}

/* An earlier run may have left translations under the same EPT pointer and VPID. */
static void forget_translations(const struct vm *vm)
{
	if (vm->stage2 && (vm->vmx.features.ept_vpid & EPT_CAP_INVEPT_GLOBAL))
		vmx_invept(INVEPT_GLOBAL, 0, 0);
	if ((vm->vmx.controls.proc2 & PROC2_VPID) && (vm->vmx.features.ept_vpid & VPID_CAP_ALL))
		vmx_invvpid(INVVPID_ALL, 0, 0);
}

static void write_pointers(const struct vm *vm)
{
	vmx_set(VMCS_IO_BITMAP_A, (u64)io_bitmaps);
	vmx_set(VMCS_IO_BITMAP_B, (u64)io_bitmaps + PAGE_SIZE);
	vmx_set(VMCS_MSR_BITMAP, (u64)msr_bitmap);
	if (vm->stage2)
		vmx_set(VMCS_EPTP, vmx_ept_pointer(memory_create()));
	if (vm->vmx.controls.proc2 & PROC2_VPID)
		vmx_set(VMCS_VPID, VPID_OF_GUEST);
}

static const char *check_profile(const char *name)
{
	struct vmx_profile profile;

	return vmx_profile_find(name, true, &profile);
}

static const char *start(void)
{
	return vmx_start(&vmxon_region);
}

static const char *create(struct vm *vm, const char *profile, bool stage2_wanted, u32 eip)
{
	const char *refused;

	vmx_read_features(&vm->vmx.features);
	vm->stage2 = stage2_wanted && offers_ept(&vm->vmx.features);
	refused = vmx_profile_find(profile, vm->stage2, &vm->vmx.profile);
	if (!refused)
		refused = choose_controls(vm);
	if (refused)
		return refused;
	if (vmx_load_fresh(&vmcs) != VMX_SUCCEED)
		return "VMCLEAR or VMPTRLD failed";

	fill_bitmaps(vm);
	vmx_write_controls(&vm->vmx.controls);
	write_pointers(vm);
	vmx_write_host_state(&vm->regs.vmx);
	vmx_write_guest_protected(&vm->vmx.controls, vm->cr0, eip);
	vmx_control_create(vm);
	forget_translations(vm);
	vmx_profile_prepare(&vm->vmx.profile, &vm->vmx.fields);
	return NULL;
}

static void run(struct vm *vm)
{
	bool launched = false;

	do {
		if (unlikely(vmx_enter(&vm->regs.vmx, launched) != VMX_SUCCEED)) {
			vm_break(vm, "the entry of L3 failed with VM-instruction error",
				 vmx_get(VMCS_INSTRUCTION_ERROR));
			return;
		}
		launched = true;
		vm->vmx.profile.read(&vm->vmx.profile, &vm->vmx.fields);
		vm->vmx.fields.f[F_ENTRY_INTR_INFO] = 0;
		vmx_exit_handle(vm);
		vm->vmx.profile.write(&vm->vmx.profile, &vm->vmx.fields);
	} while (likely(vm->end == VM_RUNS));
}

static void publish_pat(struct vm *vm)
{
	vmx_set(VMCS_GUEST_PAT, vm->pat);
}

const struct vendor vmx_vendor = {
	.stage2_name = "ept",
	.check_profile = check_profile,
	.start = start,
	.stop = vmx_stop,
	.create = create,
	.run = run,
	.publish_control = vmx_publish_control,
	.publish_pat = publish_pat,
};
