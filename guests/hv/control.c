/*
 * Control registers; see control.h. With EPT and unrestricted guest only bits that VMX fixes, or
 * that hv does not offer, are hv's; with shadow page tables paging always is on for the processor,
 * and everything that concerns paging is hv's.
 */
#include "guests/hv/control.h"

#include "guests/hv/cpuid.h"
#include "guests/hv/shadow.h"
#include "guests/hv/walk.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define CR0_KNOWN                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
/* What a guest without EPT may change by itself. */
#define CR0_FREE   (CR0_MP | CR0_EM | CR0_TS | CR0_AM)
#define CR0_LMSW   (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE)
#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

#define LMSW_SHIFT   16 /* the operand in the exit qualification */
#define REGISTER_RSP 4

static u64 guest_cr0(const struct vm *vm)
{
	return (vm->cr0 & vm->cr0_mask) | (vmx_get(VMCS_GUEST_CR0) & ~vm->cr0_mask);
}

static u64 guest_cr4(const struct vm *vm)
{
	return (vm->cr4 & vm->cr4_mask) | (vmx_get(VMCS_GUEST_CR4) & ~vm->cr4_mask);
}

static u64 guest_efer(const struct vm *vm)
{
	return vm->ept ? vmx_get(VMCS_GUEST_EFER) : vm->efer;
}

/* What the processor must hold for the guest's values. */
static void write_cr0_fields(struct vm *vm)
{
	u64 forced = vm->features.cr0_fixed0;

	if (vm->ept)
		forced &= ~(CR0_PE | CR0_PG);
	else
		forced |= CR0_WP;
	vmx_set(VMCS_CR0_SHADOW, vm->cr0);
	vmx_set(VMCS_GUEST_CR0, (vm->cr0 | forced) & vm->features.cr0_fixed1);
}

static void write_cr4_fields(struct vm *vm)
{
	vmx_set(VMCS_CR4_SHADOW, vm->cr4);
	vmx_set(VMCS_GUEST_CR4, vm->cr4 | vm->features.cr4_fixed0 | (vm->ept ? 0 : CR4_PAE));
}

/* Long mode has to agree in EFER and in the entry controls. */
static void write_efer_fields(struct vm *vm, u64 efer)
{
	u32 entry = (u32)vmx_get(VMCS_ENTRY_CONTROLS) & ~ENTRY_GUEST_64;

	vm->efer = efer;
	if (efer & EFER_LMA)
		entry |= ENTRY_GUEST_64;
	vmx_set(VMCS_ENTRY_CONTROLS, entry);
	if (!vm->ept && !(efer & EFER_LMA))
		efer &= ~EFER_LME;
	vmx_set(VMCS_GUEST_EFER, efer);
}

/* Loads the PDPTEs that PAE paging with `cr3` uses; false when one of them is bad. */
static bool load_pdptes(struct vm *vm, u64 cr3)
{
	const u64 *table = vm_memory(vm, cr3 & BITS(31, 5), sizeof(vm->pdpte));

	if (!table)
		return false;
	for (u32 i = 0; i < ARRAY_SIZE(vm->pdpte); i++) {
		if ((table[i] & PTE_P) && (table[i] & walk_reserved_pdpte()))
			return false;
	}
	memcpy(vm->pdpte, table, sizeof(vm->pdpte));
	for (u32 i = 0; vm->ept && i < ARRAY_SIZE(vm->pdpte); i++)
		vmx_set(VMCS_GUEST_PDPTE0 + 2 * i, vm->pdpte[i]);
	return true;
}

static bool is_pae(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

static u64 guest_cr3(const struct vm *vm)
{
	return vm->ept ? vmx_get(VMCS_GUEST_CR3) : vm->cr3;
}

/* SDM 2B "MOV-Move to/from Control Registers": when it is #GP. */
static bool cr0_is_valid(u64 value, u64 cr4, u64 efer)
{
	if ((value & ~CR0_KNOWN) || ((value & CR0_PG) && !(value & CR0_PE)) ||
	    ((value & CR0_NW) && !(value & CR0_CD)))
		return false;
	return !((value & CR0_PG) && (efer & EFER_LME) && !(cr4 & CR4_PAE));
}

static bool set_cr0(struct vm *vm, u64 value)
{
	u64 changed, cr4 = guest_cr4(vm), efer = guest_efer(vm);

	value |= CR0_ET;
	changed = value ^ guest_cr0(vm);
	if (!cr0_is_valid(value, cr4, efer))
		return false;
	if (!vm->ept && !(value & CR0_PE)) {
		vm_break(vm, "L3 left protected mode, which needs EPT; its CR0 is", value);
		return true;
	}
	if (changed & CR0_PG) {
		efer &= ~EFER_LMA;
		if ((value & CR0_PG) && (efer & EFER_LME))
			efer |= EFER_LMA;
	}
	if ((changed & CR0_PG) && is_pae(value, cr4, efer) && !load_pdptes(vm, guest_cr3(vm)))
		return false;
	vm->cr0 = value;
	write_cr0_fields(vm);
	if (changed & CR0_PG)
		write_efer_fields(vm, efer);
	if (!vm->ept && (changed & (CR0_PG | CR0_WP)))
		shadow_drop(vm);
	return true;
}

static bool set_cr3(struct vm *vm, u64 value)
{
	if (is_pae(guest_cr0(vm), guest_cr4(vm), guest_efer(vm)) && !load_pdptes(vm, value))
		return false;
	vm->cr3 = value;
	if (vm->ept)
		vmx_set(VMCS_GUEST_CR3, value);
	else
		shadow_drop(vm);
	return true;
}

static bool set_cr4(struct vm *vm, u64 value)
{
	u64 efer = guest_efer(vm), changed = value ^ guest_cr4(vm);

	if ((value & ~vm->cr4_allowed) || ((efer & EFER_LMA) && !(value & CR4_PAE)))
		return false;
	if ((changed & CR4_PAGING) && is_pae(guest_cr0(vm), value, efer) &&
	    !load_pdptes(vm, guest_cr3(vm)))
		return false;
	vm->cr4 = value;
	write_cr4_fields(vm);
	if (!vm->ept && (changed & CR4_PAGING))
		shadow_drop(vm);
	return true;
}

bool control_write_efer(struct vm *vm, u64 value)
{
	u64 changed = value ^ vm->efer;

	if ((value & ~EFER_KNOWN) || ((changed & EFER_LME) && (vm->cr0 & CR0_PG)))
		return false;
	value = (value & ~EFER_LMA) | (vm->efer & EFER_LMA);
	write_efer_fields(vm, value);
	if (changed & EFER_NXE)
		shadow_drop(vm);
	return true;
}

/* Outside 64-bit code the upper half of a register is not part of the operand. */
static u64 operand(const struct vm *vm, u64 reg)
{
	u64 value = reg == REGISTER_RSP ? vm_field(vm, GUEST_RSP) : vm->regs.gpr[reg];

	return vm_field(vm, GUEST_CS_AR) & AR_L ? value : (u32)value;
}

static bool write_register(struct vm *vm, u64 number, u64 value)
{
	switch (number) {
	case 0:
		return set_cr0(vm, value);
	case 3:
		return set_cr3(vm, value);
	case 4:
		return set_cr4(vm, value);
	default:
		vm_break(vm, "L3 used a control register that hv does not know, number", number);
		return true;
	}
}

void exit_cr_access(struct vm *vm)
{
	u64 q = vm_field(vm, EXIT_QUALIFICATION);
	u64 reg = q >> CR_ACCESS_REG_SHIFT & CR_ACCESS_REG;
	bool done = true;

	switch (q & CR_ACCESS_TYPE) {
	case CR_ACCESS_WRITE:
		done = write_register(vm, q & CR_ACCESS_NUMBER, operand(vm, reg));
		break;
	case CR_ACCESS_READ: /* of CR3 only: the others are read through their shadows */
		if (reg == REGISTER_RSP)
			vmx_set(VMCS_GUEST_RSP, guest_cr3(vm));
		else
			vm->regs.gpr[reg] = guest_cr3(vm);
		break;
	case CR_ACCESS_CLTS:
		done = set_cr0(vm, guest_cr0(vm) & ~CR0_TS);
		break;
	case CR_ACCESS_LMSW: /* can set PE, not clear it */
		done = set_cr0(vm, (guest_cr0(vm) & ~(CR0_LMSW & ~CR0_PE)) |
					   (q >> LMSW_SHIFT & CR0_LMSW));
		break;
	}
	if (done)
		vm_skip(vm);
	else
		vm_fault(vm, EXC_GP);
}

void control_create(struct vm *vm)
{
	const struct vmx_features *f = &vm->features;

	vm->cr0 = CR0_PE | CR0_ET;
	vm->cr4_allowed = cpuid_cr4_allowed() & f->cr4_fixed1;
	vm->cr4_mask = ~vm->cr4_allowed;
	if (vm->ept) {
		vm->cr0_mask = (f->cr0_fixed0 & ~(CR0_PE | CR0_PG)) | ~f->cr0_fixed1;
	} else {
		vm->cr0_mask = ~CR0_FREE;
		vm->cr4_mask |= CR4_PAGING;
		vmx_set(VMCS_EXCEPTION_BITMAP, BIT(EXC_PF));
		vmx_set(VMCS_GUEST_CR3, shadow_root());
		shadow_drop(vm);
	}
	vmx_set(VMCS_CR0_MASK, vm->cr0_mask);
	vmx_set(VMCS_CR4_MASK, vm->cr4_mask);
	write_cr0_fields(vm);
	write_cr4_fields(vm);
}
