/*
 * What preparing a guest is for both vendors; see vm.h.
 */
#include "guests/hv/vm.h"

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

void vm_break(struct vm *vm, const char *why, u64 at)
{
	vm->end = VM_BROKEN;
	vm->broken = why;
	vm->broken_at = at;
}

const char *vm_create(struct vm *vm, const char *profile, bool stage2_wanted, u32 eip, u32 info)
{
	const struct vendor *vendor = vm->vendor;
	u8 *memory = vm->memory;

	memset(vm, 0, sizeof(*vm));
	vm->vendor = vendor;
	vm->memory = memory;
	vm->cr0 = CR0_PE | CR0_ET;
	vm->pat = rdmsr(MSR_PAT);
	vm->regs.rax = MULTIBOOT_BOOT_MAGIC;
	vm->regs.rbx = info;
	return vendor->create(vm, profile, stage2_wanted, eip);
}
