/*
 * SVM for guests that run guests of their own: enabling it, the instructions, a world switch that
 * returns to C, default controls and state, permission maps, NPT entries. Used by guests/hv and the
 * conformance guests. Assumes 64-bit mode, an identity map and interrupts off between svm_enter()
 * and its return. One inner guest runs at a time; nothing here allocates or prints on a path that
 * is measured.
 */
#ifndef GUESTS_LIB_SVM_H
#define GUESTS_LIB_SVM_H

#include "guests/lib/stage2.h"
#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/svm_bits.h"
#include "shadow-vmcs/svm_exits.h"
#include "shadow-vmcs/vmcb.h"

/*
 * Registers of the inner guest by their number in the instruction encoding. RAX is moved to the
 * VMCB and back by svm_enter(); the slot of RSP, which the VMCB holds alone, is not used.
 */
union svm_regs {
	struct {
		u64 rax, rcx, rdx, rbx, unused_rsp, rbp, rsi, rdi;
		u64 r8, r9, r10, r11, r12, r13, r14, r15;
	};
	u64 gpr[16];
};

/* What CPUID 8000_000A says now. */
struct svm_features {
	u32 revision;
	u32 asids; /* ASIDs are below this */
	u32 bits;  /* SVM_FEATURE_ */
};

/* What svm_enter() does around VMRUN. */
enum svm_entry {
	SVM_ENTRY_PLAIN = 0,
	SVM_ENTRY_GIF = 1, /* CLGI before, STGI after; without it an exit leaves GIF at 0 */
	SVM_ENTRY_VLS = 2, /* VMSAVE of ours and VMLOAD of the VMCB before, the same back after */
	SVM_ENTRY_FULL = SVM_ENTRY_GIF | SVM_ENTRY_VLS,
	SVM_ENTRIES,
};

static inline void svm_vmload(u64 vmcb)
{
	__asm__ volatile("vmload %%rax" : : "a"(vmcb) : "memory");
}

static inline void svm_vmsave(u64 vmcb)
{
	__asm__ volatile("vmsave %%rax" : : "a"(vmcb) : "memory");
}

static inline void svm_stgi(void)
{
	__asm__ volatile("stgi" : : : "memory");
}

static inline void svm_clgi(void)
{
	__asm__ volatile("clgi" : : : "memory");
}

static inline void svm_invlpga(u64 linear, u32 asid)
{
	__asm__ volatile("invlpga %%rax, %%ecx" : : "a"(linear), "c"(asid) : "memory");
}

typedef void svm_switch(union svm_regs *regs, struct vmcb *vmcb);

/* The world switches of svm_switch.S, by enum svm_entry. */
extern svm_switch *const svm_switches[SVM_ENTRIES];

/*
 * VMRUN with the guest's registers from `regs`; returns at the next exit with the guest's registers
 * back in `regs`. Whether and how the guest ran is in the VMCB's exit code.
 */
static inline void svm_enter(union svm_regs *regs, struct vmcb *vmcb, enum svm_entry entry)
{
	u64 first = (u64)regs, second = (u64)vmcb;

	__asm__ volatile("call *%2"
			 : "+D"(first), "+S"(second)
			 : "r"(svm_switches[entry])
			 : "rax", "rcx", "rdx", "rbx", "r8", "r9", "r10", "r11", "r12", "r13",
			   "r14", "r15", "cc", "memory");
}

/* Reads CPUID; all 0 when the CPU has no SVM. It changes when L1's ways change. */
void svm_read_features(struct svm_features *features);

/* Sets EFER.SVME and the host save area. Returns NULL, or a sentence that says why it cannot. */
const char *svm_start(void);

/* GIF = 1 and EFER.SVME = 0. */
void svm_stop(void);

/*
 * Makes `vmcb` one that runs: zeroes but for ASID 1 and the intercepts of VMRUN, which is
 * mandatory, and VMMCALL. The guest state is the caller's: svm_write_guest_...().
 */
void svm_write_controls(struct vmcb *vmcb);

/* Guest state of a 64-bit inner guest that shares this CPU's page tables, segments, GDT, IDT and
 * what VMSAVE saves. SVM must be on. */
void svm_write_guest_long(struct vmcb *vmcb, u64 rip, u64 rsp);

/* Guest state as Multiboot 1 starts a kernel: flat 32-bit protected mode, CR0 as given (PE set),
 * empty GDT and IDT. */
void svm_write_guest_protected(struct vmcb *vmcb, u64 cr0, u32 eip);

/* A segment register from a descriptor's parts; `access` as segment_descriptor() takes it, `limit`
 * in bytes. */
struct vmcb_segment svm_segment(u16 selector, u16 access, u32 limit, u64 base);

/* Intercepts reads or writes of an MSR, which must lie in one of the map's three ranges. */
void svm_intercept_msr(u8 *msrpm, u32 msr, bool read, bool write);

/* Intercepts a port of one byte. */
void svm_intercept_port(u8 *iopm, u16 port);

/* The EVENTINJ field for an event of EVENT_TYPE_..., without or with an error code. */
static inline u64 svm_event(u64 type, u8 vector)
{
	return EVENT_VALID | type | vector;
}

static inline u64 svm_event_with_code(u64 type, u8 vector, u32 code)
{
	return svm_event(type, vector) | EVENT_ERROR_CODE | (u64)code << EVENT_ERROR_SHIFT;
}

/* NPT leaves for ordinary memory: every access. Nested tables are walked as user accesses. */
#define NPT_RAM (PTE_P | PTE_W | PTE_U)

/* Switches nested paging on with these tables; the guest's PAT becomes this CPU's. */
void svm_use_npt(struct vmcb *vmcb, const struct stage2 *npt);

#endif
