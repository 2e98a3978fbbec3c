/*
 * VMX for guests that run guests of their own: enabling it, the instructions, a world switch that
 * returns to C, default controls and state, EPT entries. Used by guests/hv and the conformance
 * guests. Assumes 64-bit mode, an identity map and interrupts off between vmx_enter() and its
 * return. One inner guest runs at a time; nothing here allocates or prints on a path that is
 * measured.
 */
#ifndef GUESTS_LIB_VMX_H
#define GUESTS_LIB_VMX_H

#include "guests/lib/stage2.h"
#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmcs_fields.h"
#include "shadow-vmcs/vmx_bits.h"
#include "shadow-vmcs/vmx_exits.h"

/* CPUID leaf 1: the CPU has VMX. */
#define CPUID_1_ECX_VMX BIT(5)

/* How a VMX instruction ended (SDM 3C "Conventions" (31.2)). */
enum vmx_status { VMX_SUCCEED = 0, VMX_FAIL_INVALID = 1, VMX_FAIL_VALID = 2 };

/* A VMXON region or a VMCS. */
struct vmx_region {
	u32 revision;
	u32 abort;
	u8 data[PAGE_SIZE - 8];
} __attribute__((aligned(4096)));

/*
 * Registers of the inner guest that the VMCS does not hold, by their number in the instruction
 * encoding. The slot of RSP, which the VMCS does hold, keeps the host's stack pointer.
 */
union vmx_regs {
	struct {
		u64 rax, rcx, rdx, rbx, host_rsp, rbp, rsi, rdi;
		u64 r8, r9, r10, r11, r12, r13, r14, r15;
	};
	u64 gpr[16];
};

/* The five control words of a VMCS. */
struct vmx_controls {
	u32 pin, proc, proc2, exit, entry;
};

/* What the capability MSRs say now; bits of `must` are 1 in every VMCS, others than `may` are 0. */
struct vmx_features {
	u64 basic, misc, ept_vpid;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	struct vmx_controls must, may;
};

struct vmx_memory_operand {
	u64 first, second;
};

static inline enum vmx_status vmx_status_of(bool carry, bool zero)
{
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_SUCCEED;
}

#define VMX_DEFINE_POINTER_INSN(name, mnemonic)                     \
	static inline enum vmx_status name(u64 address)             \
	{                                                           \
		bool invalid, valid;                                \
		__asm__ volatile(mnemonic " %2"                     \
				 : "=@ccc"(invalid), "=@ccz"(valid) \
				 : "m"(address)                     \
				 : "memory");                       \
		return vmx_status_of(invalid, valid);               \
	}

VMX_DEFINE_POINTER_INSN(vmx_vmxon, "vmxon")
VMX_DEFINE_POINTER_INSN(vmx_vmclear, "vmclear")
VMX_DEFINE_POINTER_INSN(vmx_vmptrld, "vmptrld")

static inline enum vmx_status vmx_vmptrst(u64 *address)
{
	bool invalid, valid;

	__asm__ volatile("vmptrst %2"
			 : "=@ccc"(invalid), "=@ccz"(valid), "=m"(*address)
			 :
			 : "memory");
	return vmx_status_of(invalid, valid);
}

static inline enum vmx_status vmx_vmxoff(void)
{
	bool invalid, valid;

	__asm__ volatile("vmxoff" : "=@ccc"(invalid), "=@ccz"(valid) : : "memory");
	return vmx_status_of(invalid, valid);
}

/* `value` is unchanged when the instruction fails. */
static inline enum vmx_status vmx_vmread(u64 encoding, u64 *value)
{
	bool invalid, valid;

	__asm__ volatile("vmread %3, %2"
			 : "=@ccc"(invalid), "=@ccz"(valid), "+r"(*value)
			 : "r"(encoding)
			 : "memory");
	return vmx_status_of(invalid, valid);
}

static inline enum vmx_status vmx_vmwrite(u64 encoding, u64 value)
{
	bool invalid, valid;

	__asm__ volatile("vmwrite %3, %2"
			 : "=@ccc"(invalid), "=@ccz"(valid)
			 : "r"(encoding), "r"(value)
			 : "memory");
	return vmx_status_of(invalid, valid);
}

#define VMX_DEFINE_INVALIDATE(name, mnemonic)                               \
	static inline enum vmx_status name(u64 type, u64 first, u64 second) \
	{                                                                   \
		struct vmx_memory_operand operand = { first, second };      \
		bool invalid, valid;                                        \
		__asm__ volatile(mnemonic " %2, %3"                         \
				 : "=@ccc"(invalid), "=@ccz"(valid)         \
				 : "m"(operand), "r"(type)                  \
				 : "memory");                               \
		return vmx_status_of(invalid, valid);                       \
	}

/* INVEPT: first = EPT pointer. INVVPID: first = VPID, second = linear address. */
VMX_DEFINE_INVALIDATE(vmx_invept, "invept")
VMX_DEFINE_INVALIDATE(vmx_invvpid, "invvpid")

/* Ends the guest with a sentence that names the field; what vmx_get() and vmx_set() fail with. */
__attribute__((noreturn, cold)) void vmx_access_failed(u32 encoding);

/* A field of the current VMCS that is known to exist. */
static inline u64 vmx_get(u32 encoding)
{
	u64 value;

	__asm__ goto("vmread %1, %0\n\tjbe %l[failed]"
		     : "=r"(value)
		     : "r"((u64)encoding)
		     : "cc", "memory"
		     : failed);
	return value;
failed:
	vmx_access_failed(encoding);
}

static inline void vmx_set(u32 encoding, u64 value)
{
	__asm__ goto("vmwrite %1, %0\n\tjbe %l[failed]"
		     :
		     : "r"((u64)encoding), "r"(value)
		     : "cc", "memory"
		     : failed);
	return;
failed:
	vmx_access_failed(encoding);
}

/*
 * VMLAUNCH, or VMRESUME when `launched`, with the guest's registers from `regs`; returns at the
 * next exit with the guest's registers back in `regs`, or at once with how the entry failed. An
 * entry that fails on guest state or MSR loading is an exit: VMX_SUCCEED, with bit 31 of the exit
 * reason. The current VMCS must hold vmx_write_host_state(regs).
 */
static inline enum vmx_status vmx_enter(union vmx_regs *regs, bool launched)
{
	u64 at = (u64)regs, resume = launched;
	u64 status;

	__asm__ volatile("call vmx_switch"
			 : "=a"(status), "+D"(at), "+S"(resume)
			 :
			 : "rcx", "rdx", "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
			   "r15", "cc", "memory");
	return (enum vmx_status)status;
}

/* Reads the capability MSRs; the CPU must have VMX. They change when L1's ways change. */
void vmx_read_features(struct vmx_features *features);

/* Sets IA32_FEATURE_CONTROL, CR0 and CR4 so that VMXON works. Returns NULL, or a sentence that
 * says why it cannot. */
const char *vmx_enable(void);

/* vmx_enable() and VMXON on `region`. Returns NULL, or a sentence that says why it cannot. */
const char *vmx_start(struct vmx_region *region);

/* VMXOFF and CR4.VMXE = 0. */
void vmx_stop(void);

/* Makes `region` a fresh VMCS, clear and current, its fields undefined. */
enum vmx_status vmx_load_fresh(struct vmx_region *region);

/*
 * Adds to `controls` the bits that must be 1. Returns NULL, or the name of a control word that
 * lacks a wanted bit, the bits in `missing`.
 */
const char *vmx_adjust_controls(const struct vmx_features *features, struct vmx_controls *controls,
				u32 *missing);

/* Writes the control words, and every other control field of the current VMCS as "nothing":
 * no bitmaps' bits, no events, no MSR lists, no masks. The fields of bitmaps, EPT pointer, VPID
 * and TSC offset are the caller's: they exist only with their controls. */
void vmx_write_controls(const struct vmx_controls *controls);

/* The host state of the current VMCS: this CPU as it is now; exits return from vmx_enter(regs). */
void vmx_write_host_state(union vmx_regs *regs);

/* Guest state of a 64-bit inner guest that shares this CPU's page tables, segments, GDT and IDT.
 * `controls` are those written before: its entry control for IA-32e mode must be set. */
void vmx_write_guest_long(const struct vmx_controls *controls, u64 rip, u64 rsp);

/* Guest state as Multiboot 1 starts a kernel: flat 32-bit protected mode, CR0 as given (PE set;
 * without PG only if the controls have "unrestricted guest"), empty GDT and IDT. */
void vmx_write_guest_protected(const struct vmx_controls *controls, u64 cr0, u32 eip);

/* Bits of EPT entries (SDM 3C "The Extended Page Table Mechanism (EPT)" (29.3)). */
#define EPT_R             BIT(0)
#define EPT_W             BIT(1)
#define EPT_X             BIT(2)
#define EPT_MEMTYPE_SHIFT 3

/* Leaves for ordinary memory: every access, write-back. */
#define EPT_RAM (EPT_R | EPT_W | EPT_X | (u64)MEMTYPE_WB << EPT_MEMTYPE_SHIFT)

/* The EPTP for these tables: 4 levels, write-back, A/D flags off. */
u64 vmx_ept_pointer(const struct stage2 *ept);

#endif
