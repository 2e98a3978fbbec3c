/*
 * The guest that hv runs, and what its parts share: the exit information as the access profile
 * read it, the guest's registers and memory, and the ways to answer an exit. One guest at a time,
 * so there is one `struct vm`. Everything here is on the measured path: no printing.
 */
#ifndef GUESTS_HV_VM_H
#define GUESTS_HV_VM_H

#include "guests/hv/profile.h"
#include "guests/lib/vmx.h"
#include "l1-hypervisor/leaf/types.h"

/* Memory of the guest: its second-level or shadow tables are static and fit this. */
#define VM_MEMORY (32ULL << 20)

/* How a run ends: the guest wrote an exit port, or hv cannot go on. */
enum vm_end { VM_RUNS, VM_EXITED, VM_BROKEN };

struct vm {
	union vmx_regs regs;
	struct vmcs_fields fields; /* what the profile reads and writes, by row */
	struct profile profile;
	u8 *memory; /* VM_MEMORY bytes: the guest's address 0 is here */
	bool ept;   /* else shadow page tables */

	/* As the guest sees them; with EPT it owns CR3, EFER and the bits outside the masks, and
	 * then only the VMCS holds them. */
	u64 cr0, cr3, cr4, efer;
	u64 cr0_mask, cr4_mask;
	u64 cr4_allowed;
	u64 pdpte[4];
	u64 pat;
	u8 port_value; /* what the emulated port holds */

	struct vmx_features features;
	struct vmx_controls controls;

	enum vm_end end;
	u32 status;         /* with VM_EXITED */
	const char *broken; /* with VM_BROKEN: why, and the address or number that goes with it */
	u64 broken_at;
};

/* A field of this exit: as the profile read it, else read now. */
#define vm_field(vm, NAME) \
	((vm)->profile.reads_row[F_##NAME] ? (vm)->fields.f[F_##NAME] : vmx_get(VMCS_##NAME))

/* The guest continues behind the instruction that exited. */
static inline void vm_skip(struct vm *vm)
{
	vm->fields.f[F_GUEST_RIP] += vm->fields.f[F_EXIT_INSN_LENGTH];
	vm->fields.f[F_GUEST_INTERRUPTIBILITY] &=
		~(u64)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
}

/* `length` bytes of the guest's memory, or NULL when they are not all there. */
static inline void *vm_memory(const struct vm *vm, u64 address, u64 length)
{
	if (address >= VM_MEMORY || length > VM_MEMORY - address)
		return NULL;
	return vm->memory + address;
}

/* The guest takes this event at the next entry; `info` as for VM-entry interruption information,
 * `error` counts when it says so. */
void vm_inject(struct vm *vm, u32 info, u32 error);

/* The guest takes a hardware exception, with error code 0 where the vector has one. */
void vm_fault(struct vm *vm, enum exception vector);

/* Delivers again, at the next entry, an event whose delivery this exit interrupted. */
void vm_redeliver(struct vm *vm);

/* Ends the run because hv cannot go on. */
void vm_break(struct vm *vm, const char *why, u64 at);

/*
 * Prepares VMCS, tables and registers for a start at `eip` with `info`, an address in the guest's
 * memory, in EBX. Needs VMX operation and vm->memory. Without EPT and unrestricted guest in the
 * capability MSRs, or when it is not wanted, the guest gets shadow page tables. Returns NULL with
 * the VMCS current, or a sentence that says what is missing.
 */
const char *vm_create(struct vm *vm, const char *profile, bool ept_wanted, u32 eip, u32 info);

/* Runs the guest to its end: vm->end says which. */
void vm_run(struct vm *vm);

#endif
