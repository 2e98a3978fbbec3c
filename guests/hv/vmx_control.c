/*
 * The VMCS's view of control registers; see vmx_control.h.
 */
#include "guests/hv/vmx_control.h"

#include "guests/hv/control.h"
#include "guests/hv/cpuid.h"
#include "guests/hv/shadow.h"
#include "guests/hv/vmx_vm.h"

/* What a guest without EPT may change by itself. */
#define CR0_FREE (CR0_MP | CR0_EM | CR0_TS | CR0_AM)

#define LMSW_SHIFT   16 /* the operand in the exit qualification */
#define REGISTER_RSP 4

/* Brings what the guest may have changed by itself to where control_write() looks. */
static void collect(struct vm *vm)
{
	const struct vmx_part *x = &vm->vmx;

	vm->cr0 = (vm->cr0 & x->cr0_mask) | (vmx_get(VMCS_GUEST_CR0) & ~x->cr0_mask);
	vm->cr4 = (vm->cr4 & x->cr4_mask) | (vmx_get(VMCS_GUEST_CR4) & ~x->cr4_mask);
	if (vm->stage2) {
		vm->cr3 = vmx_get(VMCS_GUEST_CR3);
		vm->efer = vmx_get(VMCS_GUEST_EFER);
	}
}

/* What the processor must hold for the guest's values. */
static void write_cr0_fields(const struct vm *vm)
{
	u64 forced = vm->vmx.features.cr0_fixed0;

	if (vm->stage2)
		forced &= ~(CR0_PE | CR0_PG);
	else
		forced |= CR0_WP;
	vmx_set(VMCS_CR0_SHADOW, vm->cr0);
	vmx_set(VMCS_GUEST_CR0, (vm->cr0 | forced) & vm->vmx.features.cr0_fixed1);
}

static void write_cr4_fields(const struct vm *vm)
{
	vmx_set(VMCS_CR4_SHADOW, vm->cr4);
	vmx_set(VMCS_GUEST_CR4, vm->cr4 | vm->vmx.features.cr4_fixed0 | (vm->stage2 ? 0 : CR4_PAE));
}

/* Long mode has to agree in EFER and in the entry controls. */
static void write_efer_fields(const struct vm *vm)
{
	u32 entry = (u32)vmx_get(VMCS_ENTRY_CONTROLS) & ~ENTRY_GUEST_64;
	u64 efer = vm->efer;

	if (efer & EFER_LMA)
		entry |= ENTRY_GUEST_64;
	else if (!vm->stage2)
		efer &= ~EFER_LME;
	vmx_set(VMCS_ENTRY_CONTROLS, entry);
	vmx_set(VMCS_GUEST_EFER, efer);
}

void vmx_publish_control(struct vm *vm, u32 which)
{
	if (which & CONTROL_CR0)
		write_cr0_fields(vm);
	if (which & CONTROL_CR3)
		vmx_set(VMCS_GUEST_CR3, vm->cr3);
	if (which & CONTROL_CR4)
		write_cr4_fields(vm);
	if (which & CONTROL_EFER)
		write_efer_fields(vm);
	for (u32 i = 0; vm->stage2 && (which & CONTROL_PDPTES) && i < ARRAY_SIZE(vm->pdpte); i++)
		vmx_set(VMCS_GUEST_PDPTE0 + 2 * i, vm->pdpte[i]);
}

/* Outside 64-bit code the upper half of a register is not part of the operand. */
static u64 operand(const struct vm *vm, u64 reg)
{
	u64 value = reg == REGISTER_RSP ? vm_field(vm, GUEST_RSP) : vm->regs.gpr[reg];

	return vm_field(vm, GUEST_CS_AR) & AR_L ? value : (u32)value;
}

void vmx_exit_cr_access(struct vm *vm)
{
	u64 q = vm_field(vm, EXIT_QUALIFICATION);
	u64 reg = q >> CR_ACCESS_REG_SHIFT & CR_ACCESS_REG;
	bool done = true;

	if ((q & CR_ACCESS_TYPE) != CR_ACCESS_READ)
		collect(vm);
	switch (q & CR_ACCESS_TYPE) {
	case CR_ACCESS_WRITE:
		done = control_write(vm, q & CR_ACCESS_NUMBER, operand(vm, reg));
		break;
	case CR_ACCESS_READ: /* of CR3 only, and without EPT; the others have shadows */
		if (reg == REGISTER_RSP)
			vmx_set(VMCS_GUEST_RSP, vm->cr3);
		else
			vm->regs.gpr[reg] = vm->cr3;
		break;
	case CR_ACCESS_CLTS:
		done = control_write(vm, 0, vm->cr0 & ~CR0_TS);
		break;
	case CR_ACCESS_LMSW:
		done = control_write(vm, 0, control_lmsw(vm, q >> LMSW_SHIFT));
		break;
	}
	if (done)
		vmx_skip(vm);
	else
		vmx_fault(vm, EXC_GP);
}

void vmx_control_create(struct vm *vm)
{
	const struct vmx_features *f = &vm->vmx.features;
	struct vmx_part *x = &vm->vmx;

	vm->cr4_allowed = cpuid_cr4_allowed() & f->cr4_fixed1;
	x->cr4_mask = ~vm->cr4_allowed;
	if (vm->stage2) {
		x->cr0_mask = (f->cr0_fixed0 & ~(CR0_PE | CR0_PG)) | ~f->cr0_fixed1;
	} else {
		x->cr0_mask = ~CR0_FREE;
		x->cr4_mask |= CR4_PAGING;
		vmx_set(VMCS_EXCEPTION_BITMAP, BIT(EXC_PF));
		vmx_set(VMCS_GUEST_CR3, shadow_root());
		shadow_drop(vm);
	}
	vmx_set(VMCS_CR0_MASK, x->cr0_mask);
	vmx_set(VMCS_CR4_MASK, x->cr4_mask);
	write_cr0_fields(vm);
	write_cr4_fields(vm);
}
