/*
 * The guest that hv runs, and what its parts share: the guest's registers and memory, what only one
 * of the two vendors needs, and the operations by which common code reaches the vendor that this
 * CPU has. One guest at a time, so there is one `struct vm`. Everything here is on the measured
 * path: no printing.
 */
#ifndef GUESTS_HV_VM_H
#define GUESTS_HV_VM_H

#include "guests/hv/svm_profile.h"
#include "guests/hv/vmx_profile.h"
#include "guests/lib/svm.h"
#include "guests/lib/vmx.h"
#include "l1-hypervisor/leaf/types.h"

/* Memory of the guest: its second-level or shadow tables are static and fit this. */
#define VM_MEMORY (32ULL << 20)

/* How a run ends: the guest wrote an exit port, or hv cannot go on. */
enum vm_end { VM_RUNS, VM_EXITED, VM_BROKEN };

/* General registers by their number in the instruction encoding. The slot of RSP is the world
 * switch's. */
union vm_regs {
	struct {
		u64 rax, rcx, rdx, rbx, rsp_slot, rbp, rsi, rdi;
		u64 r8, r9, r10, r11, r12, r13, r14, r15;
	};
	u64 gpr[16];
	union vmx_regs vmx;
	union svm_regs svm;
};

struct vmx_part {
	struct vmcs_fields fields; /* what the profile reads and writes, by row */
	struct vmx_profile profile;
	u64 cr0_mask, cr4_mask;
	struct vmx_features features;
	struct vmx_controls controls;
};

struct svm_part {
	struct vmcb seen; /* what the profile reads and writes, as in the VMCB */
	struct svm_profile profile;
	bool has_next_rip;
	u32 clean; /* the clean field of an entry before which nothing changed */
};

struct vm {
	union vm_regs regs;
	union {
		struct vmx_part vmx;
		struct svm_part svm;
	};
	const struct vendor *vendor;
	u8 *memory;  /* VM_MEMORY bytes: the guest's address 0 is here */
	bool stage2; /* EPT or NPT; else shadow page tables */

	/* As the guest sees them. With second-level tables the guest changes most of this by
	 * itself; then it counts after the vendor collected it only. */
	u64 cr0, cr3, cr4, efer;
	u64 cr4_allowed;
	u64 pdpte[4];
	u64 pat;
	u8 port_value; /* what the emulated port holds */

	enum vm_end end;
	u32 status;         /* with VM_EXITED */
	const char *broken; /* with VM_BROKEN: why, and the address or number that goes with it */
	u64 broken_at;
};

/* What publish_control() is told to publish. */
#define CONTROL_CR0    BIT32(0)
#define CONTROL_CR3    BIT32(1)
#define CONTROL_CR4    BIT32(2)
#define CONTROL_EFER   BIT32(3)
#define CONTROL_PDPTES BIT32(4)

/* What common code asks of VMX or SVM. Those that return a text return NULL, or a sentence that
 * says what is wrong. */
struct vendor {
	const char *stage2_name;
	/* Is there an access profile of this name? Before anything has run. */
	const char *(*check_profile)(const char *name);
	/* Switches VMX or SVM on and off. */
	const char *(*start)(void);
	void (*stop)(void);
	/* What vm_create() leaves to the vendor: control structure and tables for a start at `eip`
	 * in protected mode without paging. Sets vm->stage2: wanted and offered. */
	const char *(*create)(struct vm *vm, const char *profile, bool stage2_wanted, u32 eip);
	/* Runs the guest to its end: vm->end says which. */
	void (*run)(struct vm *vm);
	/* Hands control registers (CONTROL_ bits), or the PAT, to the processor. */
	void (*publish_control)(struct vm *vm, u32 which);
	void (*publish_pat)(struct vm *vm);
};

extern const struct vendor vmx_vendor, svm_vendor;

/* `length` bytes of the guest's memory, or NULL when they are not all there. */
static inline void *vm_memory(const struct vm *vm, u64 address, u64 length)
{
	if (address >= VM_MEMORY || length > VM_MEMORY - address)
		return NULL;
	return vm->memory + address;
}

/*
 * Prepares everything for a start at `eip` with `info`, an address in the guest's memory, in EBX.
 * Needs the vendor started and vm->vendor and vm->memory set. Without second-level tables that
 * suffice, or when they are not wanted, the guest gets shadow page tables. Returns NULL, or a
 * sentence that says what is missing.
 */
const char *vm_create(struct vm *vm, const char *profile, bool stage2_wanted, u32 eip, u32 info);

/* Ends the run because hv cannot go on. */
void vm_break(struct vm *vm, const char *why, u64 at);

#endif
