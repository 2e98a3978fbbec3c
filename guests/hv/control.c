/*
 * Writes to control registers; see control.h. With shadow page tables paging always is on for the
 * processor, so protected mode is the least that a guest can be in.
 */
#include "guests/hv/control.h"

#include "guests/hv/shadow.h"
#include "guests/hv/walk.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define CR0_KNOWN                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

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
	vm->vendor->publish_control(vm, CONTROL_PDPTES);
	return true;
}

static bool is_pae(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

/* SDM 2B "MOV-Move to/from Control Registers": when it is #GP. */
static bool cr0_is_valid(u64 value, u64 cr4, u64 efer)
{
	if ((value & ~CR0_KNOWN) || ((value & CR0_PG) && !(value & CR0_PE)) ||
	    ((value & CR0_NW) && !(value & CR0_CD)))
		return false;
	return !((value & CR0_PG) && (efer & EFER_LME) && !(cr4 & CR4_PAE));
}

static bool write_cr0(struct vm *vm, u64 value)
{
	u64 changed, efer = vm->efer;

	value |= CR0_ET;
	changed = value ^ vm->cr0;
	if (!cr0_is_valid(value, vm->cr4, efer))
		return false;
	if (!vm->stage2 && !(value & CR0_PE)) {
		vm_break(vm, "L3 left protected mode, which needs second-level tables; its CR0 is",
			 value);
		return true;
	}
	if (changed & CR0_PG) {
		efer &= ~EFER_LMA;
		if ((value & CR0_PG) && (efer & EFER_LME))
			efer |= EFER_LMA;
	}
	if ((changed & CR0_PG) && is_pae(value, vm->cr4, efer) && !load_pdptes(vm, vm->cr3))
		return false;
	vm->cr0 = value;
	vm->efer = efer;
	vm->vendor->publish_control(vm, CONTROL_CR0 | (changed & CR0_PG ? CONTROL_EFER : 0));
	if (!vm->stage2 && (changed & (CR0_PG | CR0_WP)))
		shadow_drop(vm);
	return true;
}

static bool write_cr3(struct vm *vm, u64 value)
{
	if (is_pae(vm->cr0, vm->cr4, vm->efer) && !load_pdptes(vm, value))
		return false;
	vm->cr3 = value;
	if (vm->stage2)
		vm->vendor->publish_control(vm, CONTROL_CR3);
	else
		shadow_drop(vm);
	return true;
}

static bool write_cr4(struct vm *vm, u64 value)
{
	u64 changed = value ^ vm->cr4;

	if ((value & ~vm->cr4_allowed) || ((vm->efer & EFER_LMA) && !(value & CR4_PAE)))
		return false;
	if ((changed & CR4_PAGING) && is_pae(vm->cr0, value, vm->efer) && !load_pdptes(vm, vm->cr3))
		return false;
	vm->cr4 = value;
	vm->vendor->publish_control(vm, CONTROL_CR4);
	if (!vm->stage2 && (changed & CR4_PAGING))
		shadow_drop(vm);
	return true;
}

bool control_write(struct vm *vm, u64 number, u64 value)
{
	switch (number) {
	case 0:
		return write_cr0(vm, value);
	case 3:
		return write_cr3(vm, value);
	case 4:
		return write_cr4(vm, value);
	default:
		vm_break(vm, "L3 used a control register that hv does not know, number", number);
		return true;
	}
}

bool control_write_efer(struct vm *vm, u64 value)
{
	u64 changed = value ^ vm->efer;

	if ((value & ~EFER_KNOWN) || ((changed & EFER_LME) && (vm->cr0 & CR0_PG)))
		return false;
	vm->efer = (value & ~EFER_LMA) | (vm->efer & EFER_LMA);
	vm->vendor->publish_control(vm, CONTROL_EFER);
	if (!vm->stage2 && (changed & EFER_NXE))
		shadow_drop(vm);
	return true;
}
